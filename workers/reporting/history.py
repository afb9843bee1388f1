"""Earlier and later studies of a person that were read by the same model: what is history for which report."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session, joinedload

from models.fusion.contracts import PriorFinding
from node.records import identity, jobs, patients
from node.records.schema import Job, Study
from node.records.states import JobState
from workers import dates, predictions

MAX_PRIORS = 20
"""Most jobs on earlier studies whose findings are looked at, newest first."""
MAX_RELATED = 200
"""Most jobs of a person that are considered for it."""


def priors(session: Session, job: Job) -> Iterator[PriorFinding]:
    """Give what the same model found in earlier studies of the person, newest first."""
    for row in earlier_jobs(session, job):
        for data in row.findings:
            found = predictions.finding_from(data)
            yield PriorFinding(found, row.model, row.study.uid, dates.studied_by_record(row.study))


def earlier_jobs(session: Session, job: Job) -> list[Job]:
    """Return the jobs of the same model on earlier studies of the person, newest first.

    Without those whose patient is in question: they may be somebody else's.
    """
    study = job.study
    if not study.study_date:
        return []
    earlier = or_(
        Study.study_date < study.study_date,
        (Study.study_date == study.study_date) & (Study.study_time < study.study_time),
    )
    query = _related(session, job).where(earlier, Study.study_date != "")
    rows = session.scalars(query.order_by(Study.study_date.desc(), Study.study_time.desc(), Job.id).limit(MAX_RELATED))
    found = [row for row in rows.unique() if not identity.in_question(session, row.study)]
    return found[:MAX_PRIORS]


def later_studies(session: Session, job: Job) -> list[Study]:
    """Return the studies of the person for which this job's findings are history."""
    study = job.study
    if not study.study_date:
        return []
    later = or_(
        Study.study_date > study.study_date,
        (Study.study_date == study.study_date) & (Study.study_time > study.study_time),
    )
    rows = session.scalars(_related(session, job).where(later).order_by(Study.id).limit(MAX_RELATED)).unique()
    return list({row.study_fk: row.study for row in rows}.values())


def _related(session: Session, job: Job) -> Select[Job]:
    """Select the person's other jobs of the model that have findings; one whose report is looked at again has them."""
    people = patients.same_person(session, job.study.patient)
    return (
        select(Job)
        .join(Job.study)
        .where(
            Study.patient_fk.in_(people),
            Study.id != job.study_fk,
            jobs.of_model(job.model),
            Job.shadow.is_(False),
            Job.state.in_((JobState.DONE, JobState.INFERRED)),
        )
        .options(joinedload(Job.study))
    )
