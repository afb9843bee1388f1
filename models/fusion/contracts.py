"""What merging takes and gives: frozen dataclasses, nothing else.

:class:`Case` is everything that is known of one study and its patient; an :class:`Assessment` is what follows from it,
each statement with the evidence that it rests on. Nothing is guessed: what a score needs and the case does not have is
named in :attr:`Score.missing`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from models.contracts import Code, Finding
from models.facts import NoteFact


class Source(StrEnum):
    """Where a piece of evidence comes from."""

    IMAGE = "image"
    NOTE = "note"
    LAB = "lab"
    DEMOGRAPHICS = "demographics"
    PRIOR = "prior"
    ORDER = "order"


class Relation(StrEnum):
    """What a piece of evidence says of an image finding."""

    SUPPORTS = "supports"
    CONTRADICTS = "contradicts"
    EXPLAINS = "explains"  # another cause of the same picture
    RAISES_RISK = "raises_risk"  # makes the finding more urgent or dangerous (anticoagulant, immunosuppression)


class Priority(StrEnum):
    """How soon somebody should read the study (HL7 table 0485, DICOM (0040,1003))."""

    STAT = "STAT"
    ASAP = "ASAP"
    ROUTINE = "ROUTINE"


@dataclass(frozen=True, slots=True)
class Demographics:
    """The patient at the time of the study; None and "" where it is not known."""

    age: float | None = None
    """Completed years, with fraction for children."""
    sex: str = ""
    """``M``, ``F``, ``O`` or ""."""


@dataclass(frozen=True, slots=True)
class StatedFact:
    """A fact with the note that states it."""

    fact: NoteFact
    document: str
    """The note's document number."""
    author: str = ""
    written_at: dt.datetime | None = None
    kind: str = ""
    """Document type, as its sender calls it."""


@dataclass(frozen=True, slots=True)
class Observed:
    """A laboratory value or vital sign.

    Parameters
    ----------
    code
        LOINC (scheme ``LN``) where the sender gives it, else the sender's own.
    value
        The number, None where the result is not one; ``text`` is the result as it was sent.
    unit
        As sent; :func:`models.fusion.units.convert` knows the usual spellings.
    flag
        HL7 table 0078 (H, L, HH, LL, A...).
    status
        HL7 table 0085 (F, P, C...); withdrawn values (D, W, X) do not come here.
    """

    code: Code
    value: float | None
    text: str = ""
    unit: str = ""
    reference_range: str = ""
    flag: str = ""
    status: str = ""
    observed_at: dt.datetime | None = None
    reference: str = ""
    """What leads back to it: the sender's filler number."""


@dataclass(frozen=True, slots=True)
class PriorFinding:
    """What an earlier study of the patient showed, by the same kind of model."""

    finding: Finding
    model: str
    study_uid: str
    studied_at: dt.datetime | None = None


class Seen(StrEnum):
    """What a model looked at, in words."""

    IMAGES = "images"
    IMAGE = "image"
    WAVEFORM = "waveform"
    VALUES = "values"


@dataclass(frozen=True)
class Case:
    """Everything that is known when a study is assessed.

    Parameters
    ----------
    findings
        What the images show, in the model's order; other structures refer to them by their index.
    model
        Name of the model that found them.
    modality, body_part
        Of the series (DICOM (0008,0060), (0018,0015)).
    facts, observations, priors
        What notes, laboratory and earlier studies say; any may be empty.
    order_reason, order_priority
        Of the order, "" without one.
    patient_class
        PV1-2 of the open visit: ``E`` emergency, ``I`` inpatient, ``O`` outpatient; "" where it is not known.
    studied_at
        When the study was made.
    quality
        Limits of this input, which the model's warnings name.
    study_description
        What the images call the study (DICOM (0008,1030)); says of some studies that they are for screening.
    withheld
        A sentence that says why the record is not used, "" where it is: then what it lacks is not what is missing.
    seen
        What the findings are of.
    """

    findings: tuple[Finding, ...]
    model: str
    modality: str = ""
    body_part: str = ""
    demographics: Demographics = Demographics()
    facts: tuple[StatedFact, ...] = ()
    observations: tuple[Observed, ...] = ()
    priors: tuple[PriorFinding, ...] = ()
    order_reason: str = ""
    order_priority: str = ""
    patient_class: str = ""
    studied_at: dt.datetime | None = None
    quality: tuple[str, ...] = ()
    study_description: str = ""
    withheld: str = ""
    seen: Seen = Seen.IMAGES


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that a statement rests on.

    Parameters
    ----------
    text
        For people, one short phrase: "warfarin (medication list)", "creatinine 180 umol/L, 2024-03-01".
    reference
        What leads back: a finding's label, ``document:start-end`` of a note, a filler number, a Study Instance UID.
    code
        What it is, coded, where it is.
    at
        When it was so, where that is known.
    """

    source: Source
    text: str
    reference: str = ""
    code: Code | None = None
    at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class ScoreInput:
    """One input of a score: its value as used, and where it comes from; ``assumed`` where nobody stated it."""

    name: str
    value: float | str
    unit: str = ""
    evidence: Evidence | None = None
    assumed: bool = False


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """How the score would change if an input that is missing or assumed were something else."""

    input: str
    low: float | str
    """The score's value (or category) with the input at its most favourable."""
    high: float | str
    """The same at its least favourable."""


@dataclass(frozen=True, slots=True)
class Score:
    """A published score or rule, computed for this case.

    Parameters
    ----------
    name
        Short and stable: ``brock``, ``fleischner-2017``, ``lung-rads-2022``, ``cha2ds2-vasc``, ``curb-65``...
    code
        What the value is, for OBX and SR.
    value, unit
        The number, None where it cannot be computed or the rule gives none; UCUM.
    category
        The rule's class ("4A", "low risk"), "" where there is none.
    statement
        One sentence for people: what it says and, where the publication gives it, what is to be done.
    missing
        Inputs that the case does not have, in the words of the publication; with any missing that are necessary,
        ``value`` is None and the statement says so.
    finding
        Index of the finding it is about, None if about the patient.
    citation
        The publication with its identifier.
    limits
        For whom it holds, where this case may be outside.
    """

    name: str
    title: str
    code: Code
    value: float | None
    unit: Code | None
    category: str
    statement: str
    inputs: tuple[ScoreInput, ...] = ()
    missing: tuple[str, ...] = ()
    sensitivity: tuple[Sensitivity, ...] = ()
    finding: int | None = None
    citation: str = ""
    limits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Link:
    """A piece of evidence set against a finding, with why (an edge of the knowledge graph) and how much it weighs."""

    finding: int
    relation: Relation
    evidence: Evidence
    weight: float
    """0 to 1, from the graph; links are ranked by it."""
    why: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two sources that cannot both be right, or that a reader should see side by side."""

    text: str
    evidence: tuple[Evidence, ...]
    finding: int | None = None
    change: bool = False
    """Both may be right, at their times: what a note says of long ago and what the images show now."""


@dataclass(frozen=True, slots=True)
class Triage:
    """How soon, and why; ``critical`` asks for an alert of its own (ACR, communication of critical results)."""

    priority: Priority
    reasons: tuple[str, ...] = ()
    critical: bool = False
    critical_findings: tuple[int, ...] = ()


@dataclass(frozen=True)
class Assessment:
    """What images and record say together.

    ``missing`` names what was not there and would have mattered ("no creatinine", "age not known"); ``follow_up``
    what the rules that apply recommend, each with its source in brackets.
    """

    links: tuple[Link, ...] = ()
    scores: tuple[Score, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    triage: Triage = Triage(Priority.ROUTINE)
    follow_up: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    summary: tuple[str, ...] = ()
    """A few sentences for a report, most important first."""
    versions: Mapping[str, Any] = field(default_factory=dict)
    """Version of the graph and of each score."""
