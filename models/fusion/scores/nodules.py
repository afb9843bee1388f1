"""A lung nodule as the scores see it: size, type, place and margin, with where each is known from.

Attributes come from the image finding's own sentence and label; where the image does not say, and only where the study
shows one nodule, from what a note says of a nodule. A note cannot be matched to one of several nodules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from models.contracts import Finding
from models.facts import Experiencer
from models.fusion import reading
from models.fusion.contracts import Case, Evidence

#: Least confidence of a nodule that counts among several.
SURE = 0.5

#: So much of a finding's text is read.
LONGEST_TEXT = 400


#: Words of a note, whether they are denied, and the evidence.
_Notes = tuple[tuple[str, bool, Evidence], ...]


class Density(StrEnum):
    """Type of a nodule by its density in CT."""

    SOLID = "solid"
    PART_SOLID = "part-solid"
    NON_SOLID = "non-solid"


@dataclass(frozen=True, slots=True)
class Attribute:
    """A property of a nodule; ``value`` is None where nobody says."""

    value: str | bool | None
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class Nodule:
    """One nodule of the study.

    Parameters
    ----------
    index
        Of its finding in the case.
    longest_mm, mean_mm
        Longest diameter; mean of long and short axis, which is the longest where no short one was measured.
    volume_mm3
        Measured volume.
    solid_mm
        Mean diameter of the solid component of a part-solid nodule.
    density, upper_lobe, spiculated, juxtapleural, benign, new
        ``density`` holds a :class:`Density`; ``benign`` says that it is calcified in a benign pattern, or fatty.
    """

    index: int
    finding: Finding
    longest_mm: float | None
    mean_mm: float | None
    volume_mm3: float | None
    solid_mm: float | None
    density: Attribute
    upper_lobe: Attribute
    spiculated: Attribute
    juxtapleural: bool
    benign: bool
    new: bool


@cache
def _words(name: str) -> re.Pattern[str]:
    """Patterns without nested repetition, so that matching is linear."""
    return re.compile(
        {
            "not spiculated": r"\b(?:no|not|without|non)[ -]spiculat|\bsmooth(?:ly)?\b",
            "spiculated": r"\bspiculat|毛刺",
            "part-solid": r"\bpart(?:ly|ially)?[ -]?solid\b|\bsemi[ -]?solid\b|\bsolid component\b"
            r"|\bmixed ground|部分实性|混合(?:性)?磨玻璃",
            "non-solid": r"\bnon[ -]?solid\b|\bground[ -]?glass\b|\bGGN\b|\bGGO\b|磨玻璃|非实性",
            "solid": r"(?<!-)(?<!sub )\bsolid\b|(?<!亚)实性",
            "upper": r"\bupper lobe\b|\b(?:RUL|LUL)\b|上叶",
            "other lobe": r"\b(?:lower|middle) lobe\b|\b(?:RLL|LLL|RML)\b|下叶|中叶",
            "juxtapleural": r"\b(?:juxta[ -]?pleural|peri[ -]?fissural)\b",
            "benign": r"\b(?:popcorn|central|complete|laminated|concentric|diffuse) calcifi|\bfat[ -]containing\b",
            "new": r"(?<!no )\bnew\b",
        }[name],
        re.IGNORECASE,
    )


def density_of(text: str) -> Density | None:
    """Type of the nodule that a text speaks of, None where it does not say."""
    for density in (Density.PART_SOLID, Density.NON_SOLID, Density.SOLID):
        if _words(density.value).search(text):
            return density
    return None


def spiculation_of(text: str) -> bool | None:
    """Whether a text calls a nodule spiculated, None where it does not say."""
    if _words("not spiculated").search(text):
        return False
    return True if _words("spiculated").search(text) else None


def upper_lobe_of(text: str) -> bool | None:
    """Whether a text places a nodule in an upper lobe, None where it does not say or names several lobes."""
    upper, other = _words("upper").search(text), _words("other lobe").search(text)
    return None if bool(upper) == bool(other) else bool(upper)


def counted(found: Iterable[Nodule]) -> int:
    """How many nodules there are; those that the model is not sure of do not count beside others, and one is there."""
    return max(1, sum(nodule.finding.confidence is None or nodule.finding.confidence >= SURE for nodule in found))


def nodules(case: Case) -> tuple[Nodule, ...]:
    """Every lung nodule among the image findings."""
    found = reading.findings_of(case, "lung nodule")
    notes = tuple(_note_texts(case)) if len(found) == 1 else ()
    return tuple(_nodule(index, finding, notes) for index, finding in found)


def _note_texts(case: Case) -> Iterator[tuple[str, bool, Evidence]]:
    """What notes say of a nodule: words, whether they are denied, and the evidence; newest first.

    Codes of this project's own carry attributes in their meaning ("Spiculated nodule").
    """
    facts = [
        item
        for item in case.facts
        if item.fact.code.scheme == "99OVERREAD" or (item.fact.code.scheme, item.fact.code.value) == ("I10C", "R91.1")
        if item.fact.assertion.experiencer is Experiencer.PATIENT
        and not (item.fact.assertion.uncertain or item.fact.assertion.hypothetical or item.fact.assertion.historical)
    ]
    for item in reading.newest_first(facts):
        text = f"{item.fact.code.meaning} {item.fact.surface}"
        if any(
            _words(name).search(text)
            for name in ("spiculated", "part-solid", "non-solid", "solid", "upper", "other lobe")
        ):
            yield text[:LONGEST_TEXT], item.fact.assertion.negated, reading.note_evidence(item)


def _nodule(index: int, finding: Finding, notes: _Notes) -> Nodule:
    text = f"{finding.label.replace('-', ' ')}. {finding.text}"[:LONGEST_TEXT]
    return Nodule(
        index=index,
        finding=finding,
        longest_mm=reading.longest_mm(finding),
        mean_mm=reading.mean_diameter_mm(finding),
        volume_mm3=reading.volume_mm3(finding),
        solid_mm=reading.measured_in(finding, "solid component", "mm"),
        density=_density(finding, text, notes),
        upper_lobe=_upper_lobe(finding, text, notes),
        spiculated=_spiculated(finding, text, notes),
        juxtapleural=bool(_words("juxtapleural").search(text)),
        benign=bool(_words("benign").search(text)),
        new=bool(_words("new").search(text)),
    )


def _density(finding: Finding, text: str, notes: _Notes) -> Attribute:
    seen = density_of(text)
    if seen is not None:
        return Attribute(seen, reading.image_evidence(finding, f"{seen} nodule"))
    return _said((None if denied else density_of(words), evidence) for words, denied, evidence in notes)


def _upper_lobe(finding: Finding, text: str, notes: _Notes) -> Attribute:
    seen = upper_lobe_of(text)
    if seen is not None:
        where = "in an upper lobe" if seen else "not in an upper lobe"
        return Attribute(seen, reading.image_evidence(finding, where))
    return _said((None if denied else upper_lobe_of(words), evidence) for words, denied, evidence in notes)


def _spiculated(finding: Finding, text: str, notes: _Notes) -> Attribute:
    seen = spiculation_of(text)
    if seen is not None:
        return Attribute(seen, reading.image_evidence(finding, "spiculated" if seen else "not spiculated"))
    return _said((_unless_denied(spiculation_of(words), denied), evidence) for words, denied, evidence in notes)


def _unless_denied(said: bool | None, denied: bool) -> bool | None:
    return said if said is None or not denied else False


def _said(answers: Iterable[tuple[str | bool | None, Evidence]]) -> Attribute:
    """What the newest note that says anything says; nothing where it says two things, as of two nodules."""
    given = [(value, evidence) for value, evidence in answers if value is not None]
    if not given:
        return Attribute(None)
    document = given[0][1].reference.rpartition(":")[0]
    same = {value for value, evidence in given if evidence.reference.rpartition(":")[0] == document}
    return Attribute(*given[0]) if len(same) == 1 else Attribute(None)
