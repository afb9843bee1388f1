"""Which codes mean what to the scores: the tables beside them, read once.

A concept is a short name such as ``lung nodule`` or ``heart failure``; the tables say which codes of image findings,
measurements and note facts stand for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from models.contracts import Code

FINDINGS = "scores/findings.tsv"
CONCEPTS = "scores/concepts.tsv"

LASTING = "lasting"
STANDING = "standing"


class ConceptTableError(ValueError):
    """A table of concepts is malformed; the message names the file and line."""


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One code of a finding or measurement; where ``body_parts`` are given it counts only there."""

    kind: str
    concept: str
    code: Code
    body_parts: frozenset[str]


@dataclass(frozen=True, slots=True)
class FactPattern:
    """Codes of note facts that stand for a concept: one code, or with ``prefix`` all that begin so.

    ``time`` says when a fact counts: :data:`LASTING` of now or of the past; :data:`STANDING` of now, in a note of any
    age; "" of now, in a note of about the study's time.
    """

    scheme: str
    value: str
    prefix: bool
    time: str

    def matches(self, code: Code) -> bool:
        """Whether ``code`` is one of them."""
        if code.scheme != self.scheme:
            return False
        return code.value.startswith(self.value) if self.prefix else code.value == self.value


def _rows(name: str, columns: int) -> Iterator[tuple[int, list[str]]]:
    text = files("models.fusion").joinpath(name).read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.startswith("#"):
            cells = [cell.strip() for cell in line.split("\t")]
            if len(cells) > columns:
                raise ConceptTableError(f"{name}:{number}: {len(cells)} columns, expected at most {columns}")
            yield number, cells + [""] * (columns - len(cells))


@cache
def finding_rows() -> Mapping[tuple[str, str], tuple[FindingRow, ...]]:
    """Read the table of findings and measurements; keys are ``(scheme, code)``.

    Raises
    ------
    ConceptTableError
        If a row has an unknown kind or an empty cell.
    """
    found: dict[tuple[str, str], tuple[FindingRow, ...]] = {}
    for number, (kind, concept, scheme, value, meaning, parts) in _rows(FINDINGS, 6):
        if kind not in {"finding", "measurement"} or not (concept and scheme and value and meaning):
            raise ConceptTableError(f"{FINDINGS}:{number}: unknown kind, or an empty cell")
        row = FindingRow(
            kind, concept, Code(value, scheme, meaning), frozenset(part for part in parts.split("|") if part)
        )
        found[scheme, value] = (*found.get((scheme, value), ()), row)
    return found


@cache
def fact_patterns() -> Mapping[str, tuple[FactPattern, ...]]:
    """Read the table of note concepts; keys are concepts.

    Raises
    ------
    ConceptTableError
        If a row has an empty cell or an unknown time.
    """
    found: dict[str, tuple[FactPattern, ...]] = {}
    for number, (concept, scheme, value, time) in _rows(CONCEPTS, 4):
        if not (concept and scheme and value.rstrip("*")) or time not in {"", LASTING, STANDING}:
            raise ConceptTableError(f"{CONCEPTS}:{number}: an empty cell, or an unknown time")
        pattern = FactPattern(scheme, value.rstrip("*"), value.endswith("*"), time)
        found[concept] = (*found.get(concept, ()), pattern)
    return found
