"""Findings that were looked for and not found: named in the summary, and concluded from nowhere.

Everything else in this package counts what the images show. So a case is cut down to its present findings before it is
assessed, and what the assessment says by index is then put back on the whole list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from models.codes import PROBABILITY
from models.contracts import Finding
from models.fusion.contracts import Assessment, Case, Conflict, Link, Score
from models.fusion.wording import describe

#: Findings that one sentence names.
NAMED = 8

#: From this probability on what was not reported lies below an operating point that is high.
LIKELY = 0.5


def shown(case: Case) -> tuple[Case, tuple[int, ...]]:
    """Leave of a case what images showed.

    Returns
    -------
    Case
        Without the absent findings, and without those of earlier studies: that something was not there then is no
        history of it.
    tuple of int
        For each finding that is left its index in the case given.
    """
    kept = tuple(index for index, finding in enumerate(case.findings) if finding.present)
    priors = tuple(prior for prior in case.priors if prior.finding.present)
    return replace(case, findings=tuple(case.findings[index] for index in kept), priors=priors), kept


def put_back(made: Assessment, kept: Sequence[int]) -> Assessment:
    """Name the findings of an assessment by their indices in the whole case."""

    def at(index: int | None) -> int | None:
        return kept[index] if index is not None and 0 <= index < len(kept) else None

    def link(item: Link) -> Link:
        return replace(item, finding=kept[item.finding])

    def score(item: Score) -> Score:
        return replace(item, finding=at(item.finding))

    def conflict(item: Conflict) -> Conflict:
        return replace(item, finding=at(item.finding))

    critical = tuple(kept[index] for index in made.triage.critical_findings if 0 <= index < len(kept))
    return replace(
        made,
        links=tuple(link(item) for item in made.links if 0 <= item.finding < len(kept)),
        scores=tuple(map(score, made.scores)),
        conflicts=tuple(map(conflict, made.conflicts)),
        triage=replace(made.triage, critical_findings=critical),
    )


def sentence(findings: Sequence[Finding]) -> str:
    """Say what was looked for and not found; empty where there is nothing of the kind."""
    absent = [finding for finding in findings if not finding.present]
    likely = [
        f"{describe(finding)} (probability {_probability(finding):.2f})" for finding in absent if _likely(finding)
    ]
    below = f"Below the model's operating point, so not reported: {_named(likely)}" if likely else ""
    others = [describe(finding) for finding in absent if not _likely(finding)]
    return " ".join(filter(None, (below, f"Looked for in the input and not found: {_named(others)}" if others else "")))


def _likely(finding: Finding) -> bool:
    """Whether a model holds what it did not report for more likely than not: "not found" would hide that."""
    return LIKELY <= _probability(finding) <= 1


def _probability(finding: Finding) -> float:
    """Probability that a model gives with what it did not report; 0 where it gives none."""
    return next((item.value for item in finding.measurements if item.name == PROBABILITY), 0.0)


def _named(said: Sequence[str]) -> str:
    names = list(dict.fromkeys(said))
    more = f"; and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{'; '.join(names[:NAMED])}{more}."
