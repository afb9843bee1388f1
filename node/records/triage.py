"""How urgent a study is by what was found in it: the most urgent of its jobs' assessments, its order and its rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.decide.priority import most_urgent, rank
from node.records import timeline
from node.records.schema import Event, Job, Study
from node.records.states import JobState

MAX_REASONS = 40
"""Most reasons that are kept of a study."""

NO_DESTINATION = "A critical finding was reported, and no destination takes alerts: no message tells anybody."


def update(session: Session, study: Study) -> None:
    """Put a study's triage together from its jobs in force, and its priority with it.

    The priority is raised to what the assessments ask for. It goes back when they ask for less, and never below what
    the order and the rules say. The reason on the timeline names no finding and no fact of a note; the study's page
    shows these.
    """
    session.flush()
    rows = session.scalars(select(Job).where(Job.study_fk == study.id, Job.state != JobState.SUPERSEDED))
    found = [(job, triage) for job in rows if (triage := job.assessment.get("triage"))]
    study.triage = {
        "priority": most_urgent(*(str(triage.get("priority", "")) for _, triage in found)),
        "reasons": list(dict.fromkeys(_reasons(found)))[:MAX_REASONS],
        "critical": any(bool(triage.get("critical")) for _, triage in found),
    }
    asked = session.scalars(select(Job.priority).where(Job.study_fk == study.id, Job.state != JobState.SUPERSEDED))
    base = most_urgent(study.order.priority if study.order is not None else None, *asked)
    after = most_urgent(base, study.triage["priority"])
    if after == study.priority:
        return
    text = _why(study.triage, base) if rank(after) < rank(study.priority) else "the assessment does not ask for more"
    timeline.add(session, "study.priority", f"Priority {study.priority} becomes {after}: {text}.", study=study)
    study.priority = after


def nobody_alerted(session: Session, study: Study) -> None:
    """Say once that a critical finding goes to nobody."""
    said = select(Event.id).where(Event.study_fk == study.id, Event.kind == "alert.no_destination").limit(1)
    if session.scalar(said) is None:
        timeline.add(session, "alert.no_destination", NO_DESTINATION, study=study, level="error")


def _reasons(found: list[tuple[Job, Mapping[str, Any]]]) -> Iterator[str]:
    for _, triage in found:
        yield from map(str, triage.get("reasons") or ())


def _why(triage: Mapping[str, Any], base: str) -> str:
    if rank(triage["priority"]) >= rank(base):
        return "order and rules say so"
    return "a critical finding in the images" if triage["critical"] else "findings and record together ask for it"
