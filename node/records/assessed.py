"""The questions that the pages ask of assessments, alerts and doubts. Nothing here writes; what comes back is plain."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.records import identity, results
from node.records.schema import Delivery, Job, Result, Study
from node.records.states import DeliveryState, JobState


@dataclass(frozen=True, slots=True)
class Assessed:
    """What the newest report of a job says of images and record together, as plain data.

    ``assessment`` has the fields of ``models.fusion.contracts.Assessment`` by name (times as ISO 8601), and is empty
    where no report was made; ``findings`` are those that its indices mean.
    """

    job: str
    model: str
    model_version: str
    findings: Sequence[Mapping[str, Any]]
    assessment: Mapping[str, Any]


def assessments(session: Session, study_id: int) -> list[Assessed]:
    """Return the assessments of a study, one for each job in force that has findings."""
    query = (
        select(Job)
        .where(Job.study_fk == study_id, Job.state.in_((JobState.DONE, JobState.INFERRED)), Job.shadow.is_(False))
        .order_by(Job.created_at, Job.id)
    )
    return [
        Assessed(job.id, job.model, job.model_version, job.findings, job.assessment) for job in session.scalars(query)
    ]


@dataclass(frozen=True, slots=True)
class AlertRow:
    """An alert of a study and where it stands with one destination."""

    result: int
    control_id: str
    corrects: str
    made_at: dt.datetime
    destination: str
    state: DeliveryState
    status: str
    attempts: int
    accepted_at: dt.datetime | None


def alerts(session: Session, study_id: int) -> list[AlertRow]:
    """Return the alerts of a study, oldest first, one row for each destination."""
    query = (
        select(Result, Delivery)
        .join(Delivery, Delivery.result_fk == Result.id)
        .join(Job, Job.id == Result.job_fk)
        .where(Job.study_fk == study_id, Result.kind == results.ALERT)
        .order_by(Result.id, Delivery.id)
    )
    return [
        AlertRow(
            result=made.id,
            control_id=made.uid,
            corrects=made.predecessor,
            made_at=made.created_at,
            destination=sent.destination,
            state=sent.state,
            status=sent.status,
            attempts=sent.attempts,
            accepted_at=sent.accepted_at,
        )
        for made, sent in session.execute(query)
    ]


@dataclass(frozen=True, slots=True)
class Doubt:
    """Whether a study's patient is in question, and since when which attributes contradict the record."""

    attributes: Sequence[str]
    since: dt.datetime
    resolution: str
    in_question: bool


def doubt(session: Session, study: Study) -> Doubt | None:
    """Return the contradiction between a study's images and the record, resolved or not; None if there was none."""
    row = identity.of_study(session, study)
    if row is None:
        return None
    return Doubt(list(row.attributes), row.found_at, row.resolution, identity.in_question(session, study))


def prediction_of(session: Session, study_id: int, job_id: str) -> str:
    """Return where the prediction of a job of this study lies, "" where there is none."""
    found = session.scalars(select(Job.prediction).where(Job.id == job_id, Job.study_fk == study_id)).one_or_none()
    return found or ""
