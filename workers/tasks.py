"""The tasks: infer a job, build its results, analyse a note. Each may run twice; the second time changes nothing.

A task's message carries an id. What is to be done, and whether it is still to be done, stands in the records.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy.orm import Session

from models.contracts import InputDeclined, ModelError, Prediction
from models.notes import engines
from models.outputs import check_output
from node.broker import BUILD, Task
from node.errors import BrokerUnavailable, OverreadError
from node.records import jobs, timeline
from node.records.notes import fail_analysis, queued_for_patient, save_analysis, studies_for_note
from node.records.schema import Job, Note, Study
from node.records.states import JobState, NoteState
from workers import gather, inputs, predictions, report
from workers.context import Context


def infer(context: Context, job_id: str) -> None:
    """Claim, load, check, predict, keep; then ask for the results to be built."""
    with context.records.write() as session:
        job = jobs.claim(session, job_id, context.name, context.settings.workers.lease_seconds)
        priority = jobs.urgency(job) if job is not None else ""
    if job is None:
        return
    path = f"predictions/{job_id}.{job.attempts}"
    began = time.perf_counter()
    try:
        with context.lease(job_id, context.name):
            prediction, planes = _predict(context, job)
            predictions.save(prediction, context.model(job.model).card, context.root / path, planes)
    except InputDeclined as exc:
        reason = str(exc)
        _if_held(context, job_id, lambda session, held: jobs.decline(session, held, reason))
    except Exception as exc:
        reason = _reason(exc)
        limit = context.settings.workers.max_attempts
        context.log.error("job.failed", job=job_id, model=job.model, attempt=job.attempts, reason=reason)
        _if_held(context, job_id, lambda session, held: jobs.retry_or_fail(session, held, reason, limit))
    else:
        _if_held(context, job_id, lambda session, held: _inferred(context, session, held, prediction, path))
        _send(context, Task(BUILD, job_id, job.attempts, priority))
        context.log.info("job.inferred", job=job_id, model=job.model, seconds=round(time.perf_counter() - began, 3))


def build(context: Context, job_id: str) -> None:
    """Merge findings with the record, build the result objects, queue their deliveries."""
    with context.records.read() as session:
        job = session.get(Job, job_id)
        if job is None or job.state is not JobState.INFERRED:
            return
        patient = session.get_one(Study, job.study_fk).patient_fk
        waiting = [note.id for note in queued_for_patient(session, patient)]
    for note in waiting:  # a note that came first must not miss the report
        analyse(context, str(note))
    try:
        report.make(context, job_id)
    except FileNotFoundError:
        _build_failed(context, job, "a file of the series or the prediction is gone")
    except OSError as exc:  # a full or failing disk: the job stays INFERRED and is asked for again
        context.log.error("build.postponed", job=job_id, error=exc)
    except Exception as exc:
        _build_failed(context, job, _reason(exc))


def _build_failed(context: Context, job: Job, why: str) -> None:
    reason = f"the results could not be built: {why}"
    context.log.error("build.failed", job=job.id, model=job.model, reason=reason)
    with context.records.write() as session:
        again = session.get_one(Job, job.id)
        if again.state is JobState.INFERRED:
            jobs.fail(session, again, reason)


def analyse(context: Context, note_id: str) -> None:
    """Find the facts of a note; reports that it concerns are looked at again."""
    with context.records.read() as session:
        note = session.get(Note, int(note_id))
        if note is None or note.state is not NoteState.QUEUED:
            return
        text = note.text
    wanted = context.settings.notes
    try:
        analysis = engines.load(wanted.engine, wanted.model).analyze(text)
    except Exception as exc:  # a report without this note is better than none
        _note_failed(context, note.id, text, _reason(exc))
        return
    with context.records.write() as session:
        note = session.get_one(Note, int(note_id))
        if note.state is not NoteState.QUEUED or note.text != text:
            return  # replaced in between: the newer text is queued by itself
        save_analysis(session, note, gather.fact_rows(analysis), analysis.language, list(analysis.sections))
        note.engine = f"{analysis.engine} {analysis.version}"[:100]
        jobs.rebuild(session, studies_for_note(session, note), "a note came")


def _note_failed(context: Context, note_id: int, text: str, reason: str) -> None:
    context.log.error("note.failed", note=note_id, reason=reason)
    with context.records.write() as session:
        note = session.get_one(Note, note_id)
        if note.state is not NoteState.QUEUED or note.text != text:
            return
        fail_analysis(note, reason)
        line = f"A note could not be analysed: {reason}; reports are made without it"
        timeline.add(session, "note.failed", line, message=note.message_fk, level="error")
        for study in studies_for_note(session, note):
            timeline.add(session, "note.failed", line, study=study, level="error")


def _predict(context: Context, job: Job) -> tuple[Prediction, str]:
    """Give the prediction on the slices of the series, and the digest of where these lie."""
    with context.records.read() as session:
        paths = context.paths(session, job)
    model = context.model(job.model)
    loaded = inputs.read(paths, model.card.requirements)
    context.keep_headers(job.id, loaded.sources)
    model.check(loaded.source)
    prediction = model.predict(loaded.source)
    check_output(prediction)
    return loaded.bring_back(prediction), loaded.planes


def _inferred(context: Context, session: Session, job: Job, prediction: Prediction, path: str) -> None:
    findings = [predictions.to_json(finding) for finding in prediction.findings]
    version = context.model(job.model).card.version
    jobs.infer_done(
        session, job, version=version, prediction=path, findings=findings, warnings=list(prediction.warnings)
    )


def _if_held(context: Context, job_id: str, record: Callable[[Session, Job], None]) -> None:
    """Record an outcome, unless the lease was lost: then the job is somebody else's."""
    with context.records.write() as session:
        job = jobs.held(session, job_id, context.name)
        if job is not None:
            record(session, job)


def _send(context: Context, task: Task) -> None:
    try:
        context.broker.send(task)
    except BrokerUnavailable as exc:  # the gateway asks again from the records
        context.log.warning("broker.unavailable", error=exc)


def _reason(exc: Exception) -> str:
    """Foreign exception texts may quote the input: only the class is told."""
    return str(exc) if isinstance(exc, OverreadError | ModelError) else f"internal error ({type(exc).__name__})"
