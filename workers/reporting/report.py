"""From a prediction to delivered objects: gather what the record knows, build, keep, queue the deliveries.

A report is made again when what it says beside the images changed: the order, the notes' facts, the assessment of
images and record. The same images and the same context make the same UIDs, so that a second run finds its work done.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.fusion import serial
from node import __version__
from node.records import jobs, results, triage
from node.records.schema import Job, Result
from node.records.states import JobState
from workers import predictions
from workers.context import Context
from workers.reporting import assessing, gather, history, sources
from workers.reporting.assessing import Seen
from workers.reporting.building import Bench, Made
from workers.reporting.plan import Plan, make_plan
from workers.results.common import ResultInput, sr_uid
from workers.results.messages import alert
from workers.results.messages.oru import Letter

ROUNDS = 5
"""How often a report is begun anew because a note came while it was built."""


def make(context: Context, job_id: str) -> None:
    """Build the results of a job that is INFERRED, and finish it."""
    for _ in range(ROUNDS):
        with context.records.read() as session:
            job = session.get(Job, job_id)
            if job is None or job.state is not JobState.INFERRED:
                return
            plan = make_plan(context.settings.destinations, job.destinations)
            seen = assessing.look(context, session, job)
            alerts = _alerts(session, job, seen, plan)
            made: list[Made] = []
            if alerts or not _is_made(session, job, seen, plan):
                made = list(_bench(context, session, job, seen, plan).build(alerts))
        if _finish(context, job_id, plan, seen, made):
            return
    context.log.warning("build.unsettled", job=job_id)  # stays INFERRED: the gateway asks again


def _bench(context: Context, session: Session, job: Job, seen: Seen, plan: Plan) -> Bench:
    person = None if seen.known.alone else gather.person_of(session, job.study)
    letter = Letter(person, job.study, context.settings.hl7)
    return Bench(context, session, job, plan, _gather(context, session, job, seen), letter)


def _gather(context: Context, session: Session, job: Job, seen: Seen) -> ResultInput:
    previous = results.newest(session, job, "sr")
    prediction, card = predictions.read(context.root / job.prediction)
    planes = predictions.read_planes(context.root / job.prediction)
    found = sources.find(context, session, job, card, prediction, planes)
    inp = ResultInput(
        sources=found.sources,
        prediction=prediction,
        card=card,
        input_digest=job.input_digest,
        context_digest=seen.digest,
        job_id=job.id,
        now=seen.known.made_at,
        software_version=__version__,
        note_facts=gather.reported(seen.known),
        order=gather.order_context(job.study.order),
        assessment=seen.assessment,
        institution=context.settings.node.institution,
        seen=found.seen,
    )
    if previous is not None and session.scalar(select(Result.id).where(Result.uid == sr_uid(inp))) is not None:
        inp = returned(inp, previous)
    return inp


def _alerts(session: Session, job: Job, seen: Seen, plan: Plan) -> list[alert.Due]:
    """Tell which alerts are to be sent: in each form that a destination wants, unless the newest one says the same."""
    findings = [predictions.finding_from(item) for item in job.findings]
    critical = alert.critical_findings(findings, seen.assessment.triage.critical_findings)
    found = []
    for addressing in plan.forms("alert"):
        newest = results.newest(session, job, "alert", addressing.key)
        found.append(alert.due(job.series.uid, job.model, critical, addressing, newest))
    return [item for item in found if item is not None]


def returned(inp: ResultInput, newest: Result) -> ResultInput:
    """Tell the report of a context that held before from the one that was made then.

    A note that was changed and changed back must not leave the report of the time between as the newest. The new one's
    UIDs come from the context and the report that it supersedes, so that a repetition finds it made.
    """
    if newest.uid == sr_uid(inp):
        return inp
    after = [
        replace(inp, context_digest=jobs.context_digest([inp.context_digest, uid]))
        for uid in (newest.predecessor, newest.uid)
    ]
    return after[0] if newest.uid == sr_uid(after[0]) else after[1]


def _is_made(session: Session, job: Job, seen: Seen, plan: Plan) -> bool:
    """Whether the newest report says this, and every kind and form that somebody is to get is there."""
    rows = session.execute(select(Result.kind, Result.profile).where(Result.job_fk == job.id)).all()
    return job.context_digest == seen.digest and plan.wanted() <= {(kind, profile) for kind, profile in rows}


def _finish(context: Context, job_id: str, plan: Plan, seen: Seen, made: list[Made]) -> bool:
    """Record objects and deliveries and end the job. False if something came meanwhile: build anew."""
    with context.records.write() as session:
        job = session.get_one(Job, job_id)
        if job.state is not JobState.INFERRED:
            return True
        if gather.fingerprint(job, gather.known_of(session, job)) != seen.fingerprint:
            return False
        first = not job.context_digest
        for item in made:
            results.add(session, job, _row(item), plan.receivers(item.kind, item.profile))
        jobs.finish(session, job, seen.digest, serial.to_json(seen.assessment), changed=bool(made))
        triage.update(session, job.study)
        if seen.assessment.triage.critical and not plan.forms("alert"):
            triage.nobody_alerted(session, job.study)
        if first:
            _tell_later_studies(session, job)
    return True


def _tell_later_studies(session: Session, job: Job) -> None:
    """Have reports looked at again for which this job's findings are history that was not known."""
    if job.findings:
        jobs.rebuild(session, history.later_studies(session, job), "an earlier study came")


def _row(item: Made) -> Result:
    return Result(
        kind=item.kind,
        profile=item.profile,
        uid=item.uid,
        sop_class=item.sop_class,
        path=item.path,
        sha256=item.sha256,
        predecessor=item.predecessor,
    )
