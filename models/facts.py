"""What is found in clinical notes: frozen dataclasses, nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from models.contracts import Code


class Experiencer(StrEnum):
    """Whom a statement of a note is about."""

    PATIENT = "patient"
    FAMILY = "family"
    OTHER = "other"


class FactKind(StrEnum):
    """What kind of thing a note's fact is."""

    PROBLEM = "problem"
    SYMPTOM = "symptom"
    PROCEDURE = "procedure"
    MEDICATION = "medication"
    RISK_FACTOR = "risk_factor"
    ATTRIBUTE = "attribute"  # what is said of a finding named beside it: solid, spiculated, upper lobe
    MEASUREMENT = "measurement"  # a number with a unit: a size, pack-years, blood pressure, a laboratory value


@dataclass(frozen=True, slots=True)
class Assertion:
    """How a note states a concept: the ConText properties (Harkema et al., J Biomed Inform 2009;42:839)."""

    negated: bool = False
    uncertain: bool = False
    historical: bool = False
    hypothetical: bool = False
    experiencer: Experiencer = Experiencer.PATIENT

    @property
    def present(self) -> bool:
        """Whether the note says that the patient has it now."""
        return not (self.negated or self.uncertain or self.historical or self.hypothetical) and (
            self.experiencer is Experiencer.PATIENT
        )


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number that a note gives.

    Parameters
    ----------
    value
        In ``unit``; the lower end where it is a range.
    unit
        UCUM, such as ``mm``, ``{pack}.a`` (pack-years), ``mm[Hg]``, ``mg/dL``; ``1`` for a plain number.
    upper
        The upper end of a range, else None.
    comparator
        ``<``, ``>``, ``<=``, ``>=`` or "" for exactly.
    """

    value: float
    unit: str
    upper: float | None = None
    comparator: str = ""


@dataclass(frozen=True, slots=True)
class NoteFact:
    """One concept in a note with where it stands and how it is asserted.

    Parameters
    ----------
    start, end
        Character offsets into the note's text; ``text[start:end] == surface``.
    quantity
        The number that belongs to the concept: the size of a nodule, the pack-years of a smoker, the value of a test.
    when
        Time that the note gives for it: an ISO 8601 date of any precision (``2024``, ``2024-03``, ``2024-03-05``), or a
        duration before the note was written (``-P3Y``, ``-P2W``); "" where it gives none.
    side
        ``left``, ``right``, ``both`` or "".
    """

    kind: FactKind
    code: Code
    surface: str
    start: int
    end: int
    section: str
    assertion: Assertion
    quantity: Quantity | None = None
    when: str = ""
    side: str = ""


@dataclass(frozen=True, slots=True)
class NoteAnalysis:
    """All facts of one note, in text order, with the engine and version that found them."""

    language: str
    facts: tuple[NoteFact, ...]
    sections: tuple[tuple[str, int, int], ...]
    engine: str
    version: str
