"""A few sentences on an assessment, the most important first; each says whether images or the record are its source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from models.contracts import Finding
from models.fusion.contracts import Case, Conflict, Link, Priority, Relation, Score, Source, Triage
from models.fusion.scores import NOT_APPLICABLE
from models.fusion.triage import SURE, certain, sure
from models.fusion.wording import confidence, describe, shorten

MAX_SENTENCES = 10
MAX_SENTENCE = 400

#: Findings, pieces of evidence, scores and conflicts that one sentence or the summary names.
NAMED = 4

_SAYS = {
    Relation.RAISES_RISK: "What makes it more dangerous",
    Relation.SUPPORTS: "In support",
    Relation.CONTRADICTS: "Against it",
    Relation.EXPLAINS: "What may explain it",
}
_FROM = {
    Source.IMAGE: "images",
    Source.NOTE: "notes",
    Source.LAB: "laboratory",
    Source.DEMOGRAPHICS: "patient",
    Source.PRIOR: "earlier study",
    Source.ORDER: "order",
}


def summary(
    case: Case,
    triage: Triage,
    links: tuple[Link, ...],
    scores: tuple[Score, ...],
    conflicts: tuple[Conflict, ...],
    missing: tuple[str, ...],
    not_found: str = "",
) -> tuple[str, ...]:
    """Write the summary of an assessment; ``not_found`` is said after what the images show.

    Returns
    -------
    tuple of str
        At most :data:`MAX_SENTENCES` sentences of at most :data:`MAX_SENTENCE` characters.
    """
    said = [
        *_priority(triage),
        *((case.withheld,) if case.withheld else ()),
        *_images(case, not_found),
        *(f"{'Conflict or change' if found.change else 'Conflict'}: {found.text}" for found in _first(conflicts)),
        *_record(case, links),
        *_scores(case, scores),
        *_not_there(tuple(item for item in missing if item != case.withheld)),
    ]
    return tuple(_cut(sentence) for sentence in said)[:MAX_SENTENCES]


def _priority(triage: Triage) -> Iterator[str]:
    if triage.priority is not Priority.ROUTINE:
        critical = ", critical" if triage.critical else ""
        reason = f": {triage.reasons[0]}" if triage.reasons else "."
        yield f"Priority {triage.priority}{critical}{reason}"


def _images(case: Case, not_found: str) -> Iterator[str]:
    if case.findings or not not_found:
        yield _shown(case)
    if not_found:
        yield not_found


def _shown(case: Case) -> str:
    if not case.findings:
        return f"{case.seen.capitalize()}: no finding of this model."
    ordered = sorted(case.findings, key=lambda finding: not sure(finding, SURE))
    names = list(dict.fromkeys(_found(finding) for finding in ordered))
    more = f"; and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{case.seen.capitalize()}: {'; '.join(names[:NAMED])}{more}."


def _found(finding: Finding) -> str:
    if sure(finding, SURE):
        return describe(finding)
    return f"possible {describe(finding)} ({confidence(finding)})"


def _first(conflicts: tuple[Conflict, ...]) -> list[Conflict]:
    """The conflicts that are named here: those that cannot both be right before what may have changed."""
    return sorted(conflicts, key=lambda found: found.change)[:2]


def _record(case: Case, links: tuple[Link, ...]) -> Iterator[str]:
    """One sentence a relation, on the finding that has the most to be said of."""
    weights: dict[int, float] = {}
    for link in links:
        weights[link.finding] = weights.get(link.finding, 0.0) + link.weight
    if not weights:
        return
    about = min(weights, key=lambda index: (-weights[index], index))
    subject = f" ({describe(case.findings[about])})" if len(weights) > 1 and about < len(case.findings) else ""
    for relation, words in _SAYS.items():
        named = _named(link for link in links if link.finding == about and link.relation is relation)
        if named:
            yield f"{words}{subject}: {named}."


def _named(links: Iterable[Link]) -> str:
    by_source: dict[Source, list[str]] = {}
    for evidence in [*dict.fromkeys(link.evidence for link in links)][:NAMED]:
        by_source.setdefault(evidence.source, []).append(shorten(evidence.text))
    return "; ".join(f"{_FROM[source]}: {', '.join(texts)}" for source, texts in by_source.items())


def _scores(case: Case, scores: tuple[Score, ...]) -> Iterator[str]:
    """Scores that could be computed or classed, with what they say; beside findings only those about findings."""
    useful = [s for s in scores if s.category not in ("", NOT_APPLICABLE) or s.value is not None]
    about = certain(case, (s for s in useful if s.finding is not None)) if case.findings else useful
    for score in about[:3]:
        yield f"{score.title}: {score.statement}"


def _not_there(missing: tuple[str, ...]) -> Iterator[str]:
    if missing:
        yield f"Not available, and would have mattered: {'; '.join(missing[:NAMED])}."


def _cut(sentence: str) -> str:
    folded = " ".join(sentence.split())
    return folded if len(folded) <= MAX_SENTENCE else folded[: MAX_SENTENCE - 1] + "…"
