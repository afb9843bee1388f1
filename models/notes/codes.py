"""The concepts that the lexicon knows: kind, code and names in English and Chinese.

Codes carry DICOM's coding scheme designators (PS3.16 chapter 8): ``I10C`` is ICD-10-CM, ``SCT`` SNOMED CT, ``RXNORM``
RxNorm, and ``99OVERREAD`` is this project's own for what has no code that we are certain of.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from models.contracts import Code
from models.facts import FactKind
from models.notes.resources import LexiconError, read_rows

LEXICON = (
    "lexicon/neurology.tsv",
    "lexicon/chest_heart.tsv",
    "lexicon/general.tsv",
    "lexicon/symptoms.tsv",
    "lexicon/procedures.tsv",
    "lexicon/medications.tsv",
    "lexicon/risk_factors.tsv",
)
SCHEMES = frozenset({"I10C", "SCT", "RXNORM", "99OVERREAD"})
_KINDS = frozenset(FactKind)
_COLUMNS = 6


@dataclass(frozen=True, slots=True)
class Concept:
    """One row of the lexicon.

    ``names`` are the phrases it goes by, in both languages; a name that starts with ``=`` is matched with its case.
    """

    kind: FactKind
    code: Code
    names: tuple[str, ...]


@cache
def concepts() -> tuple[Concept, ...]:
    """Read the whole lexicon, in file order.

    Raises
    ------
    LexiconError
        If a row has an unknown kind or scheme, or no name.
    """
    return tuple(concept for name in LEXICON for concept in _read(name))


def _read(name: str) -> Iterator[Concept]:
    for number, (kind, scheme, value, meaning, english, chinese) in read_rows(name, _COLUMNS):
        names = tuple(term.strip() for term in f"{english}|{chinese}".split("|") if term.strip())
        if scheme not in SCHEMES or kind not in _KINDS or not (value and meaning and names):
            raise LexiconError(f"{name}:{number}: unknown kind or scheme, or an empty cell")
        yield Concept(FactKind(kind), Code(value, scheme, meaning), names)
