"""Reading the inputs of a score from a :class:`Case`: pure functions that give a value with its evidence, or nothing.

What nobody states is None, never "no": only a negated fact answers "no". Laboratory values and vital signs are read by
:mod:`models.fusion.reading_values`.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from models.contracts import Finding
from models.facts import Experiencer, FactKind
from models.fusion.contracts import Case, Evidence, Source, StatedFact
from models.fusion.reading_concepts import LASTING, FactPattern, fact_patterns, finding_rows
from models.fusion.units import convert

#: Ages beyond this are errors of a date.
OLDEST = 130.0

#: Document number of facts that the reason of the order states.
ORDER = "order"

#: So far from the study a note may be that says something of what comes and goes (pneumonia, confusion).
RECENT = dt.timedelta(days=7)

#: Anticoagulants by ingredient, as the lexicon's code meanings spell them.
ANTICOAGULANTS = frozenset(
    {
        "warfarin",
        "phenprocoumon",
        "acenocoumarol",
        "apixaban",
        "rivaroxaban",
        "dabigatran",
        "edoxaban",
        "heparin",
        "low molecular weight heparin",
        "enoxaparin",
        "dalteparin",
        "fondaparinux",
        "argatroban",
        "bivalirudin",
    }
)


@dataclass(frozen=True, slots=True)
class Reading:
    """A number of the case in the unit it was asked for, with where it comes from."""

    value: float
    unit: str
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Statement:
    """What the record says to a question: yes, no, or None where it says nothing."""

    answer: bool | None
    evidence: Evidence | None = None


def age(case: Case) -> float | None:
    """Age in years at the time of the study, None where it is not known or cannot be."""
    years = case.demographics.age
    return years if years is not None and math.isfinite(years) and 0 <= years <= OLDEST else None


def sex(case: Case) -> str:
    """``M``, ``F`` or "" where it is not known, or is neither."""
    return case.demographics.sex if case.demographics.sex in {"M", "F"} else ""


def demographics_evidence(text: str) -> Evidence:
    """Evidence of what the patient's demographics say."""
    return Evidence(Source.DEMOGRAPHICS, text)


# Image findings


def concept_of(case: Case, finding: Finding) -> str:
    """Name of the concept that a finding's code stands for, "" where the table has none."""
    for row in finding_rows().get((finding.code.scheme, finding.code.value), ()):
        if row.kind == "finding" and (not row.body_parts or case.body_part.strip().upper() in row.body_parts):
            return row.concept
    return ""


def findings_of(case: Case, concept: str) -> tuple[tuple[int, Finding], ...]:
    """Index and finding of every image finding of one concept, in the model's order."""
    return tuple((index, item) for index, item in enumerate(case.findings) if concept_of(case, item) == concept)


def measured_in(finding: Finding, concept: str, unit: str) -> float | None:
    """A finding's measurement in ``unit``; None where there is none that is a positive number."""
    for item in finding.measurements:
        rows = finding_rows().get((item.name.scheme, item.name.value), ())
        if any(row.kind == "measurement" and row.concept == concept for row in rows):
            value = convert(item.value, item.unit.value, unit)
            if value is not None and math.isfinite(value) and value > 0:
                return value
    return None


def longest_mm(finding: Finding) -> float | None:
    """Longest diameter in mm."""
    return measured_in(finding, "long axis", "mm") or measured_in(finding, "diameter", "mm")


def mean_diameter_mm(finding: Finding) -> float | None:
    """Mean of long and short axis in mm; the long axis or diameter alone where no short axis was measured."""
    long, short = longest_mm(finding), measured_in(finding, "short axis", "mm")
    return (long + short) / 2 if long is not None and short is not None else long


def volume_mm3(finding: Finding) -> float | None:
    """Volume in cubic millimetres."""
    return measured_in(finding, "volume", "mm3")


def image_evidence(finding: Finding, text: str) -> Evidence:
    """Evidence of what an image shows; the reference is the finding's label."""
    return Evidence(Source.IMAGE, text, finding.label, finding.code)


# Note facts


def note_evidence(stated: StatedFact) -> Evidence:
    """Evidence of what a note says; the reference is ``document:start-end``."""
    fact = stated.fact
    if stated.document == ORDER:
        return Evidence(Source.ORDER, f"{fact.surface[:80]} (reason of the order)", ORDER, fact.code, stated.written_at)
    where = stated.kind or "note"
    return Evidence(
        Source.NOTE,
        f"{fact.surface[:80]} ({where})",
        f"{stated.document}:{fact.start}-{fact.end}",
        fact.code,
        stated.written_at,
    )


def newest_first(facts: Iterable[StatedFact]) -> list[StatedFact]:
    """Facts by the time of their notes, newest first; the order is the same whatever order they come in."""
    return sorted(facts, key=_note_order, reverse=True)


def _note_order(item: StatedFact) -> tuple[dt.datetime, str, int, str]:
    return instant(item.written_at), item.document, -item.fact.start, item.fact.code.value


def between(earlier: dt.datetime, later: dt.datetime) -> dt.timedelta:
    """Time from one to the other; times without a zone are taken as UTC."""
    return instant(later) - instant(earlier)


def instant(at: dt.datetime | None) -> dt.datetime:
    """Make times comparable: without a zone they are taken as UTC, unknown ones are the oldest."""
    if at is None:
        return dt.datetime.min.replace(tzinfo=dt.UTC)
    return at.replace(tzinfo=dt.UTC) if at.tzinfo is None else at


def facts_of(case: Case, concept: str) -> Iterator[tuple[StatedFact, FactPattern]]:
    """Every fact of a concept, whoever it is about and however it is stated."""
    patterns = fact_patterns().get(concept, ())
    for stated in case.facts:
        for pattern in patterns:
            if pattern.matches(stated.fact.code):
                yield stated, pattern
                break


def stated(case: Case, concept: str) -> Statement:
    """What the notes say of the patient and a concept.

    Yes where any note says so; else no where any note denies it. What is suspected, feared or planned answers nothing.
    What lasts may be of the past and in a note of any age; what comes and goes must be present in a note of about the
    study's time (:data:`RECENT`). A note that says yes outweighs one that denies it; that conflict is shown elsewhere.
    """
    affirmed: list[StatedFact] = []
    denied: list[StatedFact] = []
    for item, pattern in facts_of(case, concept):
        how = item.fact.assertion
        if how.experiencer is not Experiencer.PATIENT or how.uncertain or how.hypothetical:
            continue
        if not pattern.time and not _now(case, item):
            continue
        if how.negated and item.fact.kind is FactKind.MEDICATION:
            continue  # that one drug is not taken does not deny the state that others bring about
        if how.negated:
            denied.append(item)
        elif not how.historical or pattern.time == LASTING:
            affirmed.append(item)
    return _verdict(affirmed, denied)


def stated_of_family(case: Case, concept: str) -> Statement:
    """What the notes say of the patient's family and a concept."""
    family = [
        item
        for item, _ in facts_of(case, concept)
        if item.fact.assertion.experiencer is Experiencer.FAMILY
        and not (item.fact.assertion.uncertain or item.fact.assertion.hypothetical)
    ]
    return _verdict(
        [item for item in family if not item.fact.assertion.negated],
        [item for item in family if item.fact.assertion.negated],
    )


def _verdict(affirmed: list[StatedFact], denied: list[StatedFact]) -> Statement:
    if affirmed:
        return Statement(True, note_evidence(newest_first(affirmed)[0]))
    if denied:
        return Statement(False, note_evidence(newest_first(denied)[0]))
    return Statement(None)


@cache
def _duration() -> re.Pattern[str]:
    return re.compile(r"-P(\d{1,4})([YMWD])")


@cache
def _date() -> re.Pattern[str]:
    return re.compile(r"(\d{4})-(\d{2})-(\d{2})")


def time_of(item: StatedFact) -> dt.datetime | None:
    """When a fact was so: the day or the time ago that the note gives for it, else when the note was written.

    A month or a year alone is too vague to date a measurement, and gives None.
    """
    when = item.fact.when
    if not when:
        return item.written_at
    if day := _date().fullmatch(when):
        try:
            return dt.datetime(int(day[1]), int(day[2]), int(day[3]), 12, tzinfo=dt.UTC)
        except ValueError:
            return None
    ago = _duration().fullmatch(when)
    if ago is None or item.written_at is None:
        return None
    days = int(ago[1]) * {"Y": 365, "M": 30, "W": 7, "D": 1}[ago[2]]
    try:
        return item.written_at - dt.timedelta(days=days)
    except OverflowError:
        return None


def _now(case: Case, item: StatedFact) -> bool:
    """Whether a fact is of about the time of the study; true where either time is not known."""
    at = time_of(item)
    if case.studied_at is None or (at is None and not item.fact.when):
        return True
    return at is not None and -RECENT <= between(case.studied_at, at) <= RECENT


def anticoagulant(case: Case) -> Statement:
    """Whether the notes say that the patient takes an anticoagulant: by ingredient, or as long-term use (Z79.01)."""
    taken = [
        item
        for item in case.facts
        if item.fact.kind is FactKind.MEDICATION
        and item.fact.code.meaning.casefold() in ANTICOAGULANTS
        and item.fact.assertion.present
    ]
    # "No warfarin" does not say that no other one is taken, so that only the general term denies.
    return _verdict(taken, []) if taken else stated(case, "long-term anticoagulants")


def pack_years(case: Case) -> Reading | None:
    """Pack-years of the newest note that gives them; of a range the lower end."""
    for item in newest_first(stated for stated, _ in facts_of(case, "smoking")):
        quantity = item.fact.quantity
        if (
            quantity is None
            or item.fact.assertion.negated
            or item.fact.assertion.experiencer is not Experiencer.PATIENT
        ):
            continue
        value = convert(quantity.value, quantity.unit, "{pack}.a")
        if value is not None and 0 <= value <= 300:
            return Reading(value, "{pack}.a", note_evidence(item))
    return None
