"""From a case to its assessment: scores, links, conflicts, priority, what to do, what was missing, in a few sentences.

Findings of the images are merged with what notes, laboratory, history and order say; without any of these it works as
well, and says what would have mattered. Pure and deterministic: the same case and graph give the same assessment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from models.contracts import ModelError
from models.fusion import absent
from models.fusion.canonical import canonical, with_order
from models.fusion.conflicts import conflicts
from models.fusion.contracts import Assessment, Case, Score
from models.fusion.graph import Graph, load
from models.fusion.links import links
from models.fusion.missing import follow_up, missing
from models.fusion.scores import SCORES, VERSIONS
from models.fusion.summary import summary
from models.fusion.triage import SURE, sure, triage
from models.fusion.wording import confidence

#: Of the rules in this package, beside the graph's own; changes with what they decide.
VERSION = "4"

#: Scores that one case has at most: one a nodule is the most that is sensible.
MAX_SCORES = 60

#: What a score may raise on a case that nobody thought of; the assessment goes on without it and says so.
_ODD = (ArithmeticError, LookupError, TypeError, ValueError, ModelError)

Registry = Mapping[str, Callable[[Case], tuple[Score, ...]]]


def assess(case: Case, graph: Graph | None = None, registry: Registry = SCORES) -> Assessment:
    """Merge what is known of a study.

    Parameters
    ----------
    case
        Everything that is known.
    graph
        The knowledge graph; the shipped one if None.
    registry
        Scores by name.

    Returns
    -------
    Assessment
        Bounded in every part. A score that fails is named in ``missing``; nothing else of it is shown. Findings that
        were looked for and not found are named in the summary, and decide nothing.
    """
    known = graph if graph is not None else load()
    found, kept = absent.shown(case)
    made = _assess(canonical(found), known, registry, absent.sentence(case.findings))
    return made if len(kept) == len(case.findings) else absent.put_back(made, kept)


def _assess(case: Case, known: Graph, registry: Registry, not_found: str) -> Assessment:
    scores, failed = compute(case, registry)
    linked = links(case, known, scores)
    found = conflicts(case, known, scores)
    urgency = triage(case, known, scores, linked)
    lacking = (*failed, *missing(case, known, scores))
    return Assessment(
        links=linked,
        scores=scores,
        conflicts=found,
        triage=urgency,
        follow_up=follow_up(case, known, scores),
        missing=lacking,
        summary=summary(case, urgency, linked, scores, found, lacking, not_found),
        versions=versions(known, registry),
    )


def compute(case: Case, registry: Registry = SCORES) -> tuple[tuple[Score, ...], tuple[str, ...]]:
    """Compute the scores that apply; gives them, and a phrase for each that failed."""
    scores: list[Score] = []
    failed: list[str] = []
    case = with_order(case)
    for name, score in registry.items():
        try:
            scores += (doubted(case, found) for found in score(case))
        except _ODD as exc:
            failed.append(f"{name}: could not be computed ({type(exc).__name__})")
    return tuple(scores[:MAX_SCORES]), tuple(failed)


def doubted(case: Case, score: Score) -> Score:
    """Say in a score about a finding that the model is not sure of that it is."""
    at = score.finding
    if at is None or not 0 <= at < len(case.findings) or sure(case.findings[at], SURE):
        return score
    return replace(
        score,
        statement=f"Only if the finding is real ({confidence(case.findings[at])}): {score.statement}",
        limits=(*score.limits, f"The model's confidence in the finding is below {SURE:g}."),
    )


def versions(graph: Graph, registry: Registry = SCORES) -> dict[str, Any]:
    """Versions of all that decided: rules, graph, scores."""
    return {
        "fusion": VERSION,
        "graph": graph.version,
        "scores": {name: VERSIONS.get(name, "") for name in sorted(registry)},
    }
