"""A job's stored assessment as the pages show it: from plain JSON to rows with their evidence. Pure.

The keys are those of ``models.fusion.serial``; what is missing or of another type shows as nothing, never as an error.
Findings of the images and statements of the record stay apart: a finding is a heading, the record is what stands below.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from node.web import findings
from node.web.evidence import (
    MAX_ITEMS,
    EvidenceRow,
    Finder,
    Reference,
    evidence,
    items,
    mapping,
    maps,
    number,
    reference_of,
    texts,
)
from node.web.findings import FindingRow

RELATIONS: Mapping[str, str] = {
    "raises_risk": "makes it more urgent",
    "supports": "supports it",
    "contradicts": "speaks against it",
    "explains": "may explain it otherwise",
}
"""What a piece of evidence says of a finding, in the order in which the page has them."""


SEEN: Mapping[str, str] = {"Waveform: ": "waveform", "Values: ": "record", "Images: ": "image", "Image: ": "image"}
"""How the sentence on the findings begins, and the badge of these."""


@dataclass(frozen=True, slots=True)
class LinkRow:
    """Evidence set against a finding; ``weight`` is 0 to 1."""

    weight: float
    evidence: EvidenceRow
    why: str


@dataclass(frozen=True, slots=True)
class LinkGroup:
    """The evidence that says the same of a finding, weightiest first."""

    relation: str
    words: str
    links: Sequence[LinkRow]


@dataclass(frozen=True, slots=True)
class InputRow:
    """One input of a score as it was used."""

    name: str
    value: str
    assumed: bool
    evidence: EvidenceRow | None


@dataclass(frozen=True, slots=True)
class SpanRow:
    """How a score would change with one input; ``left`` and ``width`` place it (0 to 100), None if it is no number."""

    input: str
    low: str
    high: str
    left: float | None = None
    width: float | None = None


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """A score. ``mark`` is where its value stands on the scale of its spans, 0 to 100, None without one."""

    title: str
    value: str
    unit: str
    category: str
    statement: str
    inputs: Sequence[InputRow]
    missing: Sequence[str]
    spans: Sequence[SpanRow]
    mark: float | None
    low: str
    high: str
    citation: str
    limits: Sequence[str]


@dataclass(frozen=True, slots=True)
class ConflictRow:
    """What does not fit together, and both sides of it; ``change`` where it was so then and is otherwise now."""

    text: str
    sides: Sequence[EvidenceRow]
    change: bool = False


@dataclass(frozen=True, slots=True)
class FindingBlock:
    """A finding of the images with what the record says of it and the scores about it."""

    row: FindingRow
    critical: bool
    groups: Sequence[LinkGroup]
    scores: Sequence[ScoreRow]


@dataclass(frozen=True, slots=True)
class AssessmentView:
    """A whole assessment; ``seen`` is what its findings are of: "image", "waveform" or "record"."""

    job: str
    model: str
    model_version: str
    summary: Sequence[str]
    priority: str
    critical: bool
    reasons: Sequence[str]
    findings: Sequence[FindingBlock]
    scores: Sequence[ScoreRow]
    conflicts: Sequence[ConflictRow]
    follow_up: Sequence[str]
    missing: Sequence[str]
    versions: str
    seen: str = "image"


def view(
    job: str, model: str, model_version: str, found: Sequence[Any], assessment: Mapping[str, Any], find: Finder
) -> AssessmentView:
    """Return an assessment as the page shows it.

    Parameters
    ----------
    found
        The job's findings, which the assessment's indices mean.
    assessment
        As it is stored.
    find
        Says where a piece of evidence stands.
    """
    triage = mapping(assessment.get("triage"))
    critical = [item for item in items(triage.get("critical_findings")) if isinstance(item, int)]
    rows = findings.rows(found)
    blocks = [
        FindingBlock(
            row=row,
            critical=index in critical,
            groups=_groups(_of(assessment.get("links"), index), find),
            scores=_scores(_of(assessment.get("scores"), index), find),
        )
        for index, row in enumerate(rows)
    ]
    others = [item for item in maps(assessment.get("scores")) if not _is_index(item.get("finding"), len(rows))]
    return AssessmentView(
        job=job,
        model=model,
        model_version=model_version,
        summary=texts(assessment.get("summary")),
        priority=str(triage.get("priority") or ""),
        critical=bool(triage.get("critical")),
        reasons=texts(triage.get("reasons")),
        findings=blocks,
        scores=_scores(others, find),
        conflicts=[_conflict(item, find) for item in maps(assessment.get("conflicts"))],
        follow_up=texts(assessment.get("follow_up")),
        missing=texts(assessment.get("missing")),
        versions=_versions(mapping(assessment.get("versions"))),
        seen=_seen(texts(assessment.get("summary"))),
    )


def _seen(summary: Sequence[str]) -> str:
    """What the findings are of: the summary's sentence on them begins with it (``models.fusion.contracts.Seen``)."""
    return next((word for line in summary for start, word in SEEN.items() if line.startswith(start)), "image")


def references(assessment: Mapping[str, Any]) -> Iterator[Reference]:
    """Yield all evidence that an assessment rests on: of links, of the inputs of scores, of conflicts."""
    for link in maps(assessment.get("links")):
        yield reference_of(mapping(link.get("evidence")))
    for score in maps(assessment.get("scores")):
        for item in maps(score.get("inputs")):
            if isinstance(item.get("evidence"), Mapping):
                yield reference_of(item["evidence"])
    for conflict in maps(assessment.get("conflicts")):
        yield from map(reference_of, maps(conflict.get("evidence")))


def _groups(links: Sequence[Mapping[str, Any]], find: Finder) -> list[LinkGroup]:
    groups = []
    for relation, words in RELATIONS.items():
        rows = [_link(item, find) for item in links if item.get("relation") == relation]
        if rows:
            groups.append(LinkGroup(relation, words, sorted(rows, key=lambda row: -row.weight)))
    return groups


def _link(item: Mapping[str, Any], find: Finder) -> LinkRow:
    weight = number(item.get("weight")) or 0.0
    return LinkRow(min(1.0, max(0.0, weight)), evidence(item.get("evidence"), find), str(item.get("why") or ""))


def _scores(items: Iterable[Mapping[str, Any]], find: Finder) -> list[ScoreRow]:
    return [_score(item, find) for item in items]


def _score(item: Mapping[str, Any], find: Finder) -> ScoreRow:
    value = number(item.get("value"))
    spans, mark, low, high = _spans(maps(item.get("sensitivity")), value)
    code = mapping(item.get("unit"))
    unit = "points" if str(code.get("value")).strip("{}") in ("score", "points") else findings.unit(code)
    shown = "" if value is None else _rounded(value)
    if value is not None and str(code.get("value")) == "{percentile}":
        shown, unit = _ordinal(value), "percentile"
    return ScoreRow(
        title=str(item.get("title") or item.get("name") or "Score"),
        value=shown,
        unit=unit,
        category=str(item.get("category") or ""),
        statement=str(item.get("statement") or ""),
        inputs=[_input(one, find) for one in maps(item.get("inputs"))],
        missing=texts(item.get("missing")),
        spans=spans,
        mark=mark,
        low=low,
        high=high,
        citation=str(item.get("citation") or ""),
        limits=texts(item.get("limits")),
    )


def _ordinal(value: float) -> str:
    """Write a percentile as people do: "2nd"; there is no 0th and no 100th."""
    place = min(99, max(1, round(value)))
    return f"{place}{'th' if 10 < place < 20 else {1: 'st', 2: 'nd', 3: 'rd'}.get(place % 10, 'th')}"


def _input(item: Mapping[str, Any], find: Finder) -> InputRow:
    value, unit = item.get("value"), str(item.get("unit") or "")
    shown = _plain(value)
    given = item.get("evidence")
    return InputRow(
        name=str(item.get("name") or ""),
        value=f"{shown} {findings.unit({'value': unit})}".strip(),
        assumed=bool(item.get("assumed")),
        evidence=evidence(given, find) if isinstance(given, Mapping) else None,
    )


def _spans(items: Sequence[Mapping[str, Any]], value: float | None) -> tuple[list[SpanRow], float | None, str, str]:
    """Return the rows of a range plot, where the value stands on it, and what the ends of its scale are."""
    ends = [end for item in items for key in ("low", "high") if (end := number(item.get(key))) is not None]
    if not ends or value is None or max(*ends, value) <= min(*ends, value):
        return [_words(item) for item in items], None, "", ""
    low, high = min(*ends, value), max(*ends, value)
    rows = [_span(item, low, high) for item in items]
    return rows, _along(value, low, high), _rounded(low), _rounded(high)


def _span(item: Mapping[str, Any], low: float, high: float) -> SpanRow:
    first, last = number(item.get("low")), number(item.get("high"))
    if first is None or last is None:
        return _words(item)
    left, right = sorted((_along(first, low, high), _along(last, low, high)))
    return SpanRow(str(item.get("input") or ""), _rounded(first), _rounded(last), left, right - left)


def _words(item: Mapping[str, Any]) -> SpanRow:
    return SpanRow(str(item.get("input") or ""), _plain(item.get("low")), _plain(item.get("high")))


def _rounded(value: float) -> str:
    """Return about three significant digits, without zeros that nobody measured."""
    shown = findings.number(value)
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def _along(value: float, low: float, high: float) -> float:
    return round(100.0 * (value - low) / (high - low), 1)


def _conflict(item: Mapping[str, Any], find: Finder) -> ConflictRow:
    sides = [evidence(one, find) for one in maps(item.get("evidence"))]
    return ConflictRow(str(item.get("text") or ""), sides, item.get("change") is True)


def _versions(given: Mapping[str, Any]) -> str:
    parts = [f"{key} {value}" for key, value in given.items() if isinstance(value, str | int | float)]
    return ", ".join(parts)


def _of(items: Any, finding: int) -> list[Mapping[str, Any]]:
    return [
        item for item in maps(items) if item.get("finding") == finding and _is_index(item.get("finding"), MAX_ITEMS)
    ]


def _is_index(value: Any, count: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < count


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        shown = number(value)
        return "—" if shown is None else f"{shown:g}"
    return str(value) if value not in (None, "") else "—"
