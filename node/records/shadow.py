"""What ran in shadow, and how it agrees with what was published of the same series."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from node.decide.rules import base_name
from node.records.schema import Job
from node.records.states import JobState

MAX_JOBS = 5000
"""Most shadow runs that are looked at, the latest."""
MAX_DIFFERING = 20
"""Most studies that are named of those on which a shadow run and the published one differ, the latest."""
LATER = (JobState.DONE, JobState.INFERRED)


@dataclass(frozen=True, slots=True)
class ShadowRow:
    """One model's runs in shadow.

    Parameters
    ----------
    model, version
        As the rule names it, and the version that ran ("" before any did).
    states
        How many jobs are in which state.
    found
        How many of those done found something.
    compared, agree
        Series that a published version of the same model has read too, and on how many of these both found something or
        both nothing.
    differ
        Numbers of the latest studies with a series on which they do not.
    """

    model: str
    version: str
    states: Mapping[str, int]
    found: int
    compared: int
    agree: int
    differ: tuple[int, ...] = ()


def summary(session: Session) -> list[ShadowRow]:
    """Summarise the latest shadow runs by model and version."""
    query = select(Job).where(Job.shadow.is_(True), Job.state != JobState.SUPERSEDED)
    rows = session.scalars(query.order_by(Job.created_at.desc()).limit(MAX_JOBS)).all()
    published = _published(session, rows)
    groups: dict[tuple[str, str], list[Job]] = {}
    for job in rows:
        groups.setdefault((job.model, job.model_version), []).append(job)
    return [_row(model, version, group, published) for (model, version), group in sorted(groups.items())]


def _published(session: Session, rows: Iterable[Job]) -> dict[tuple[int, str], bool]:
    """Whether the published job of a series and model found something."""
    other = aliased(Job)
    keys = {job.series_fk for job in rows}
    query = select(other).where(other.series_fk.in_(keys), other.shadow.is_(False), other.state.in_(LATER))
    return {(job.series_fk, base_name(job.model)): found_something(job.findings) for job in session.scalars(query)}


def _row(model: str, version: str, group: list[Job], published: Mapping[tuple[int, str], bool]) -> ShadowRow:
    states: dict[str, int] = {}
    for job in group:
        states[job.state.value] = states.get(job.state.value, 0) + 1
    done = [job for job in group if job.state is JobState.DONE]
    key = base_name(model)
    compared = [job for job in done if (job.series_fk, key) in published]
    others = [job for job in compared if found_something(job.findings) != published[job.series_fk, key]]
    found = sum(found_something(job.findings) for job in done)
    differ = tuple(dict.fromkeys(job.study_fk for job in others))[:MAX_DIFFERING]
    return ShadowRow(model, version, states, found, len(compared), len(compared) - len(others), differ)


def found_something(findings: Iterable[Mapping[str, Any]]) -> bool:
    """Whether one of some findings is there, and not only looked for."""
    return any(item.get("present", True) for item in findings)
