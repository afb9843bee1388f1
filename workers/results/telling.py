"""An assessment in words: the same sentences in the structured report, the message and the PDF."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from models.contracts import Finding, Prediction
from models.facts import Quantity
from models.fusion.contracts import Conflict, Evidence, Link, Relation, Score, ScoreInput, Sensitivity, Source
from models.fusion.wording import ordinal
from workers.results.wording import name_of, number, unit

MAX_LINKS = 40
"""Most links of an assessment that a report lists: the ranking puts what weighs most first."""
MAX_SCORES = 40
"""Most scores; each nodule has some."""
MAX_SENTENCES = 40
"""Most sentences of one kind (summary, conflicts, follow-up, what was missing)."""

SOURCES: Mapping[Source, str] = {
    Source.IMAGE: "image",
    Source.NOTE: "note",
    Source.LAB: "laboratory",
    Source.DEMOGRAPHICS: "patient",
    Source.PRIOR: "earlier study",
    Source.ORDER: "order",
}

RELATIONS: Mapping[Relation, str] = {
    Relation.SUPPORTS: "supports",
    Relation.CONTRADICTS: "contradicts",
    Relation.EXPLAINS: "is another explanation of",
    Relation.RAISES_RISK: "makes more dangerous",
}


def evidence(item: Evidence) -> str:
    """Say where it comes from, what it is, when it was so, and what leads back to it."""
    when = f"{item.at:%Y-%m-%d}" if item.at is not None else ""
    back = ", ".join(filter(None, (when, item.reference)))
    return f"{SOURCES[item.source]}: {item.text}" + (f" [{back}]" if back else "")


def link(prediction: Prediction, item: Link) -> str:
    """Say what a piece of evidence means for which finding, and why."""
    finding = subject(prediction, item.finding)
    return f"{evidence(item.evidence)} {RELATIONS[item.relation]} {finding} (weight {item.weight:.2g}): {item.why}"


def subject(prediction: Prediction, index: int | None) -> str:
    """Name the finding that a statement is about, "the patient" where it is about none."""
    findings: Sequence[Finding] = prediction.findings
    if index is None or not 0 <= index < len(findings):
        return "the patient"
    return name_of(prediction, findings[index])


def score(prediction: Prediction, item: Score) -> str:
    """Say a score's title, whom it is about, and what it says."""
    about = "" if item.finding is None else f", {subject(prediction, item.finding)}"
    return f"{item.title}{about}: {item.statement}"


def result(item: Score) -> str:
    """Say a score's number with its unit, its class where it has no number, or that it could not be computed."""
    if item.value is None:
        return item.category or "not computed"
    if item.unit is not None and item.unit.value == "{percentile}":
        return f"{ordinal(item.value)} percentile"
    return f"{figure(item.value)} {unit(item.unit) if item.unit else ''}".strip()


def details(item: Score) -> Iterator[tuple[str, str]]:
    """Give what a score rests on: a name of the kind of detail, and the detail."""
    for given in item.inputs:
        yield "input", given_input(given)
    for name in item.missing:
        yield "missing", name
    for swing in item.sensitivity:
        yield "sensitivity", sensitivity(swing)
    for limit in item.limits:
        yield "limit", limit
    if item.citation:
        yield "source", item.citation


def figure(value: float) -> str:
    """Write a number as people do: a whole one without decimals, any other with three digits."""
    return f"{value:.0f}" if math.isfinite(value) and value == round(value) and abs(value) < 1e6 else number(value)


def given_input(item: ScoreInput) -> str:
    """Say an input's value, and where it comes from."""
    value = figure(item.value) if isinstance(item.value, int | float) else item.value
    measure = "" if item.unit in ("", "1") else f" {item.unit}"
    origin = (
        " (assumed, nobody stated it)" if item.assumed else f" ({evidence(item.evidence)})" if item.evidence else ""
    )
    return f"{item.name} {value}{measure}{origin}"


def sensitivity(item: Sensitivity) -> str:
    """Say how far an input that is missing could move the result."""
    low, high = (figure(end) if isinstance(end, int | float) else end for end in (item.low, item.high))
    return f"{item.input}: between {low} and {high}"


def conflict(item: Conflict) -> str:
    """Say what contradicts what, with both sides."""
    sides = "; ".join(map(evidence, item.evidence))
    return f"{item.text} ({sides})" if sides else item.text


def quantity(item: Quantity) -> str:
    """Say a number of a note: comparator, value or range, unit."""
    measure = "" if item.unit in ("", "1") else f" {item.unit}"
    upper = f" to {figure(item.upper)}" if item.upper is not None else ""
    return f"{item.comparator}{figure(item.value)}{upper}{measure}"
