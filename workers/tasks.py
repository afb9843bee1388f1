"""The tasks: infer a job, build its results, analyse a note. Each may run twice; the second time changes nothing.

A task's message carries an id. What is to be done, and whether it is still to be done, stands in the records.
"""

from __future__ import annotations

from models.notes import engines
from node.broker import BUILD, Task
from node.errors import BrokerUnavailable
from node.records import jobs, timeline
from node.records.notes import fail_analysis, queued_for_patient, save_analysis, studies_for_note
from node.records.schema import Job, Note, Study
from node.records.states import JobState, NoteState
from workers.context import Context
from workers.reporting import gather, report
from workers.running import inference
from workers.running.inference import Claimed, reason_of


def infer(context: Context, job_id: str) -> None:
    """Claim, read, check, predict, keep; then have the results built."""
    inference.infer(context, job_id, _then)


def _then(context: Context, claimed: Claimed) -> None:
    """Build the results here if this worker builds and nothing else waits for it; else ask for it."""
    job = claimed.job
    if context.builds and not context.finisher.behind:
        build(context, job.id)
        return
    try:
        context.broker.send(Task(BUILD, job.id, job.attempts, claimed.urgency))
    except BrokerUnavailable as exc:  # the gateway asks again from the records
        context.log.warning("broker.unavailable", error=exc)


def build(context: Context, job_id: str) -> None:
    """Merge findings with the record, build the result objects, queue their deliveries; one job at a time."""
    with context.reporting:
        _build(context, job_id)


def _build(context: Context, job_id: str) -> None:
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
        _build_failed(context, job, reason_of(exc))


def _build_failed(context: Context, job: Job, why: str) -> None:
    reason = f"the results could not be built: {why}"
    context.log.error("build.failed", job=job.id, model=job.model, reason=reason)
    with context.records.write() as session:
        again = session.get_one(Job, job.id)
        if again.state is JobState.INFERRED:
            jobs.fail(session, again, reason)


def analyse(context: Context, note_id: str) -> None:
    """Find the facts of a note; reports that it concerns are looked at again."""
    with context.reporting:
        _analyse(context, note_id)


def _analyse(context: Context, note_id: str) -> None:
    with context.records.read() as session:
        note = session.get(Note, int(note_id))
        if note is None or note.state is not NoteState.QUEUED:
            return
        text = note.text
    wanted = context.settings.notes
    try:
        analysis = engines.load(wanted.engine, wanted.model).analyze(text)
    except Exception as exc:  # a report without this note is better than none
        _note_failed(context, note.id, text, reason_of(exc))
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
