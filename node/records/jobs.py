"""Jobs: one model on one series with one set of inputs, and the lease that tells a live worker from a lost one."""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session, joinedload

from node.decide.priority import most_urgent
from node.decide.rules import Wanted, base_name, pinned_version
from node.records import timeline
from node.records.schema import Job, Series, Study, now
from node.records.states import JobState, StudyState, check

NAMESPACE = uuid.UUID("6f7665c2-7265-5ead-9a00-6a6f62000000")
"""Job ids are UUIDv5 in this namespace: the same work asked for twice is the same row."""

REOPENED = "job.reopened"
"""Kind of the timeline's line that says that a report is looked at again."""

FRESH_DAYS = 30
"""How long a report is looked at again when laboratory values come: those of last year's study are no news for it."""

FINAL = frozenset({JobState.DONE, JobState.DECLINED, JobState.FAILED, JobState.SUPERSEDED})


def job_id(series_uid: str, model: str, input_digest: str) -> str:
    """Return the id of the job of a model on a series with these inputs."""
    return str(uuid.uuid5(NAMESPACE, "|".join((series_uid, model, input_digest))))


def ask(session: Session, study: Study, series: Series, wanted: Wanted, input_digest: str) -> Job | None:
    """Make the job that a rule wants. None if it exists; jobs on older inputs of the series are superseded."""
    key = job_id(series.uid, wanted.model, input_digest)
    there = session.get(Job, key)
    if there is not None:
        return _published(session, series, there, wanted) if there.shadow and not wanted.shadow else None
    _supersede(session, series, wanted, key)
    job = Job(
        id=key,
        study_fk=study.id,
        series_fk=series.id,
        model=wanted.model,
        rule=wanted.rule,
        input_digest=input_digest,
        destinations=list(wanted.destinations),
        priority=wanted.rule_priority,
        shadow=wanted.shadow,
    )
    session.add(job)
    how = "in shadow: nothing of it is published" if wanted.shadow else wanted.priority
    timeline.add(session, "job.queued", f"{wanted.model} queued by rule “{wanted.rule}” ({how}).", study=study)
    return job


def _published(session: Session, series: Series, job: Job, wanted: Wanted) -> Job:
    """Take a job out of the shadow: a rule wants it published now, and what it found is built if it is done."""
    _supersede(session, series, wanted, job.id)
    job.shadow = False
    job.rule, job.destinations, job.priority = wanted.rule, list(wanted.destinations), wanted.rule_priority
    text = f"{job.model}: out of the shadow by rule “{wanted.rule}”."
    timeline.add(session, "job.published", text, study=job.study_fk)
    if job.state is JobState.DONE:
        step(job, JobState.INFERRED, "published by a rule")
    return job


def ran(job: Job) -> str:
    """Return a job's model with the version that ran, or that its rule pins, said once."""
    return f"{base_name(job.model)} {job.model_version or pinned_version(job.model)}".rstrip()


def of_model(name: str) -> ColumnElement[bool]:
    """Select the jobs of a model, whatever version of it rules pin."""
    base = base_name(name)
    return or_(Job.model == base, Job.model.startswith(f"{base}@", autoescape=True))


def _supersede(session: Session, series: Series, wanted: Wanted, key: str) -> None:
    """Replace older jobs: of the same version in the shadow, of any version among those that are published."""
    same = Job.model == wanted.model if wanted.shadow else of_model(wanted.model)
    query = select(Job).where(Job.series_fk == series.id, same, Job.id != key, Job.shadow.is_(wanted.shadow))
    for old in session.scalars(query):
        if old.state is not JobState.SUPERSEDED:
            step(old, JobState.SUPERSEDED)
            text = f"{old.model}: superseded by newer images or another version."
            timeline.add(session, "job.superseded", text, study=old.study_fk)


def step(job: Job, state: JobState, reason: str = "") -> None:
    """Move a job; raises StateError if the table has no such step."""
    check(job.state, state)
    job.state = state
    job.reason = reason


def claim(session: Session, key: str, worker: str, lease_seconds: float) -> Job | None:
    """Take a queued job. None if somebody has it or it is finished: the message is then an echo."""
    job = session.get(Job, key)
    if job is None or job.state is not JobState.QUEUED:
        return None
    step(job, JobState.RUNNING)
    job.attempts += 1
    job.worker = worker
    job.started_at = now()
    job.lease_until = now() + dt.timedelta(seconds=lease_seconds)
    timeline.add(session, "job.running", f"{job.model}: started (attempt {job.attempts}).", study=job.study_fk)
    return job


def renew(session: Session, key: str, worker: str, lease_seconds: float) -> bool:
    """Prolong a lease. False if the job is no longer this worker's: it must throw its work away."""
    job = session.get(Job, key)
    if job is None or job.state is not JobState.RUNNING or job.worker != worker:
        return False
    job.lease_until = now() + dt.timedelta(seconds=lease_seconds)
    return True


def held(session: Session, key: str, worker: str) -> Job | None:
    """Return the job if ``worker`` still holds it."""
    job = session.get(Job, key)
    return job if job is not None and job.state is JobState.RUNNING and job.worker == worker else None


def infer_done(
    session: Session, job: Job, *, version: str, prediction: str, findings: list[Any], warnings: list[str]
) -> None:
    """Record a prediction that is on disk."""
    step(job, JobState.INFERRED)
    job.model_version = version
    job.prediction = prediction
    job.findings = findings
    job.warnings = list(warnings)
    job.lease_until = None
    if not job.shadow:
        found = sum(bool(item.get("present", True)) for item in findings)
        counted = "1 finding" if found == 1 else f"{found} findings"
        timeline.add(session, "job.inferred", f"{ran(job)}: {counted}.", study=job.study_fk)
        return
    step(job, JobState.DONE)
    job.finished_at = now()
    text = f"{ran(job)}: ran in shadow; its findings are recorded and not published."
    timeline.add(session, "job.shadowed", text, study=job.study_fk)


def decline(session: Session, job: Job, reason: str) -> None:
    """Record that the model refuses the input: a result with a reason, not a failure."""
    step(job, JobState.DECLINED, reason)
    job.lease_until = None
    job.finished_at = now()
    timeline.add(session, "job.declined", f"{job.model} declined: {reason}", study=job.study_fk, level="warning")
    settle(session, job.study_fk)


def fail(session: Session, job: Job, reason: str) -> None:
    """Record that a job failed for good; it can be asked for again by hand."""
    step(job, JobState.FAILED, reason)
    job.lease_until = None
    job.finished_at = now()
    timeline.add(session, "job.failed", f"{job.model} failed: {reason}", study=job.study_fk, level="error")
    settle(session, job.study_fk)


def retry_or_fail(session: Session, job: Job, reason: str, max_attempts: int) -> None:
    """Queue a running job again, or fail it when it was tried often enough."""
    if job.attempts >= max_attempts:
        fail(session, job, f"{reason} (tried {job.attempts} times)")
        return
    step(job, JobState.QUEUED, reason)
    job.lease_until = None
    timeline.add(session, "job.requeued", f"{job.model}: {reason}; queued again.", study=job.study_fk, level="warning")


def requeue_lost(session: Session, max_attempts: int) -> int:
    """Queue again every running job whose lease ran out; returns how many."""
    query = select(Job).where(Job.state == JobState.RUNNING, Job.lease_until < now())
    lost = session.scalars(query).all()
    for job in lost:
        retry_or_fail(session, job, "its worker was lost", max_attempts)
    return len(lost)


def waiting(session: Session) -> Sequence[Job]:
    """Return the jobs that wait for a worker: to infer (QUEUED) or to build (INFERRED)."""
    query = select(Job).where(Job.state.in_((JobState.QUEUED, JobState.INFERRED))).order_by(Job.shadow, Job.created_at)
    return session.scalars(query.options(joinedload(Job.study))).all()


def urgency(job: Job) -> str:
    """Return how urgent a job is in the queue: as its study is by now, and as its rule asks for; no shadow is."""
    if job.shadow:
        return "ROUTINE"
    return most_urgent(job.study.priority, job.priority)


def rebuild(session: Session, studies: Iterable[Study], reason: str) -> int:
    """Ask for new reports on everything of some studies that is done; returns how many jobs will look again.

    The build finds out by itself whether the context changed: if not, it makes nothing.
    """
    done = [job for study in studies for job in study.jobs if job.state is JobState.DONE]
    for job in done:
        reopen(session, job, reason)
    return len(done)


def values_came(session: Session, people: Collection[int]) -> int:
    """Ask for another look at the recent reports of a person of whom laboratory values came; returns how many.

    Most values concern no report: the build finds that out, and then nothing of it stands on the timeline.
    """
    return rebuild_recent(session, people, "laboratory values came", quiet=True)


def rebuild_recent(session: Session, people: Collection[int], reason: str, *, quiet: bool = False) -> int:
    """Ask for another look at the recent reports of a person; returns how many.

    ``people`` are the person's rows (:func:`node.records.patients.same_person`). A report that waits to be looked at
    already is not asked for twice, so that fifty messages in a minute are a look or two. ``quiet`` leaves the timeline
    as it is.
    """
    query = (
        select(Job)
        .join(Job.study)
        .where(
            Study.patient_fk.in_(people),
            Study.first_instance_at >= now() - dt.timedelta(days=FRESH_DAYS),
            Job.state == JobState.DONE,
            Job.shadow.is_(False),
        )
    )
    done = session.scalars(query).all()
    for job in done:
        reopen(session, job, reason, quiet=quiet)
    return len(done)


def reopen(session: Session, job: Job, reason: str, *, quiet: bool = False) -> None:
    """Send a finished job back to the building of its results; ``quiet`` leaves the timeline as it is."""
    step(job, JobState.INFERRED, reason)
    study = session.get_one(Study, job.study_fk)
    if study.state in (StudyState.DONE, StudyState.FAILED):
        check(study.state, StudyState.ANALYSING)
        study.state = StudyState.ANALYSING
    if not quiet:
        timeline.add(session, REOPENED, f"{job.model}: report is looked at again: {reason}.", study=study)


def finish(session: Session, job: Job, digest: str, assessment: Mapping[str, Any], *, changed: bool = True) -> None:
    """Record that a job's results are built; ``changed`` says whether this brought anything."""
    job.context_digest = digest
    job.assessment = dict(assessment)
    step(job, JobState.DONE)
    job.finished_at = now()
    settle(session, job.study_fk, quiet=not changed)


def again_by_hand(session: Session, study: Study, wanted: Collection[str]) -> int:
    """Queue a study's failed and declined jobs again and have the rules asked anew; returns how many jobs were queued.

    A job whose model is not among ``wanted`` ends: the rule that asked for it was changed.
    """
    queued = 0
    for job in study.jobs:
        if job.state not in (JobState.FAILED, JobState.DECLINED):
            continue
        if job.model in wanted:
            step(job, JobState.QUEUED)
            job.attempts = 0
            queued += 1
        else:
            step(job, JobState.SUPERSEDED, "no rule asks for this model any more")
    if study.state is not StudyState.RECEIVING:
        check(study.state, StudyState.RECEIVING)
        study.state = StudyState.RECEIVING
    text = f"Run again by hand: {queued} jobs queued again, the rules are asked again."
    timeline.add(session, "study.retried", text, study=study)
    return queued


def settle(session: Session, study_fk: int, *, quiet: bool = False) -> None:
    """Finish the study when all of its jobs are finished; ``quiet`` leaves the timeline as it is if all went well."""
    session.flush()
    study = session.get_one(Study, study_fk)
    states = set(session.scalars(select(Job.state).where(Job.study_fk == study_fk, Job.shadow.is_(False))))
    if study.state is not StudyState.ANALYSING or not states <= FINAL:
        return
    after = StudyState.FAILED if JobState.FAILED in states else StudyState.DONE
    check(study.state, after)
    study.state = after
    if quiet and after is StudyState.DONE:
        return
    level: timeline.Level = "error" if after is StudyState.FAILED else "info"
    timeline.add(session, f"study.{after.value}", f"Analysis is {after.value}.", study=study, level=level)


def context_digest(parts: Sequence[str]) -> str:
    """Return the SHA-256 over everything beside the images that a report rests on."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
