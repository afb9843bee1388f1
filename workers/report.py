"""From a prediction to delivered objects: gather what the record knows, build, keep, queue the deliveries.

A report is made again when its context (notes, order) changed; the same images and the same context make the same UIDs,
so that a second run finds its work done.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

from pydicom import Dataset, dcmread
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.contracts import Code, Experiencer, NoteAnalysis
from node import __version__, durable
from node.records import jobs, results
from node.records.notes import notes_for_study
from node.records.schema import Job, Note, Order, Result, now
from node.records.states import JobState, NoteState
from workers import predictions
from workers.context import Context
from workers.results import build_all
from workers.results.common import OrderContext, Predecessor, ReportedFact, ResultInput, sr_uid
from workers.results.oru import build_oru, control_id

ROUNDS = 5
"""How often a report is begun anew because a note came while it was built."""


@dataclass(frozen=True, slots=True)
class Built:
    """One object, on disk."""

    kind: str
    uid: str
    sop_class: str
    path: str
    sha256: str


def make(context: Context, job_id: str) -> None:
    """Build the results of a job that is INFERRED, and finish it."""
    for _ in range(ROUNDS):
        with context.records.read() as session:
            job = session.get(Job, job_id)
            if job is None or job.state is not JobState.INFERRED:
                return
            notes = _notes(session, job)
            digest = _digest(job, notes)
            inp = _gather(context, session, job, notes, digest)
            known = set(session.scalars(select(Result.uid).where(Result.job_fk == job_id)))
            built = [] if sr_uid(inp) in known else list(_build(context, inp, job, known))
        if _finish(context, job_id, inp, digest, built):
            return
    context.log.warning("build.unsettled", job=job_id)  # stays INFERRED: the gateway asks again


def _gather(context: Context, session: Session, job: Job, notes: list[Note], digest: str) -> ResultInput:
    previous = results.newest(session, job, "sr")
    prediction, card = predictions.read(context.root / job.prediction)
    inp = ResultInput(
        sources=context.headers(session, job),
        prediction=prediction,
        card=card,
        input_digest=job.input_digest,
        context_digest=digest,
        job_id=job.id,
        now=_made_at(job, notes),
        software_version=__version__,
        note_facts=tuple(fact for note in notes for fact in _facts(note)),
        order=_order(job.study.order),
        institution=context.settings.node.institution,
    )
    if previous is None:
        return inp
    if session.scalar(select(Result.id).where(Result.uid == sr_uid(inp))) is not None:
        inp = returned(inp, previous)
    return inp if previous.uid == sr_uid(inp) else _superseding(context, inp, previous)


def _made_at(job: Job, notes: Iterable[Note]) -> dt.datetime:
    """When the last thing that the report rests on was there: the same for every repetition, and so are the bytes."""
    order = job.study.order
    known = [job.started_at or job.created_at, *(note.received_at for note in notes)]
    return max([*known, order.updated_at] if order is not None else known)


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


def _superseding(context: Context, inp: ResultInput, previous: Result) -> ResultInput:
    before = dcmread(context.root / previous.path, stop_before_pixels=True, specific_tags=["SeriesInstanceUID"])
    return replace(inp, predecessor=Predecessor(previous.sop_class, previous.uid, str(before.SeriesInstanceUID)))


def _notes(session: Session, job: Job) -> list[Note]:
    return [note for note in notes_for_study(session, job.study) if note.state is NoteState.ANALYSED]


def _digest(job: Job, notes: Iterable[Note]) -> str:
    """Digest of everything beside the images: another report is due when it changes."""
    order = job.study.order
    known = [] if order is None else [order.accession_number, order.placer_number, order.filler_number, order.reason]
    stated = [
        "|".join((note.source, note.document_number, fact.code_value, f"{fact.start}-{fact.end}", *_how(fact)))
        for note in notes
        for fact in note.facts
    ]
    return jobs.context_digest([*known, *sorted(stated)])


def _how(fact: Any) -> list[str]:
    words = [word for word in ("negated", "uncertain", "historical", "hypothetical") if getattr(fact, word)]
    return [*words, fact.experiencer]


def _facts(note: Note) -> list[ReportedFact]:
    return [
        ReportedFact(
            code=Code(fact.code_value, fact.code_scheme, fact.code_meaning),
            kind=fact.kind,
            negated=fact.negated,
            uncertain=fact.uncertain,
            historical=fact.historical,
            hypothetical=fact.hypothetical,
            experiencer=Experiencer(fact.experiencer),
            document_number=note.document_number,
            section=fact.section,
            written_at=note.written_at,
            start=fact.start,
            end=fact.end,
        )
        for fact in note.facts
    ]


def _order(order: Order | None) -> OrderContext | None:
    if order is None:
        return None
    procedure = None
    if order.procedure_code and order.procedure_scheme:
        procedure = Code(order.procedure_code, order.procedure_scheme, order.procedure_text or order.procedure_code)
    return OrderContext(
        accession_number=order.accession_number,
        placer_number=order.placer_number,
        filler_number=order.filler_number,
        procedure=procedure,
        procedure_text=order.procedure_text,
        reason=order.reason,
    )


def _build(context: Context, inp: ResultInput, job: Job, known: set[str]) -> Iterable[Built]:
    """Build what is not there yet: SEG once per prediction, SR and ORU once per context."""
    folder = f"results/{hashlib.sha256(job.study.uid.encode()).hexdigest()[:16]}"
    objects = build_all(inp)
    for kind, ds in objects.items():
        if str(ds.SOPInstanceUID) not in known:
            yield _keep_object(context, folder, kind, ds)
    message = build_oru(inp, objects, job.study, context.settings.hl7)
    yield _keep(context, folder, "oru", control_id(inp), "", ".hl7", message)


def _keep_object(context: Context, folder: str, kind: str, ds: Dataset) -> Built:
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return _keep(context, folder, kind, str(ds.SOPInstanceUID), str(ds.SOPClassUID), ".dcm", buffer.getvalue())


def _keep(context: Context, folder: str, kind: str, uid: str, sop_class: str, suffix: str, data: bytes) -> Built:
    """Write a file that is on the disk before the records say that it exists."""
    path = context.root / folder / f"{uid}{suffix}"
    durable.write(path, data)
    return Built(kind, uid, sop_class, f"{folder}/{path.name}", hashlib.sha256(data).hexdigest())


def _finish(context: Context, job_id: str, inp: ResultInput, digest: str, built: list[Built]) -> bool:
    """Record objects and deliveries and end the job. False if a note or order came meanwhile: build anew."""
    with context.records.write() as session:
        job = session.get_one(Job, job_id)
        if job.state is not JobState.INFERRED:
            return True
        if _digest(job, _notes(session, job)) != digest:
            return False
        for item in built:
            results.add(session, job, _row(item, inp), _destinations(context, job, item.kind))
        job.context_digest = digest
        jobs.step(job, JobState.DONE)
        job.finished_at = now()
        jobs.settle(session, job.study_fk)
    return True


def _row(item: Built, inp: ResultInput) -> Result:
    superseded = inp.predecessor.sop_instance_uid if inp.predecessor and item.kind == "sr" else ""
    return Result(
        kind=item.kind,
        uid=item.uid,
        sop_class=item.sop_class,
        path=item.path,
        sha256=item.sha256,
        predecessor=superseded,
    )


def _destinations(context: Context, job: Job, kind: str) -> list[str]:
    wanted = set(job.destinations)
    return [
        item.name
        for item in context.settings.destinations
        if kind in item.accepts and (not wanted or item.name in wanted)
    ]


def fact_rows(analysis: NoteAnalysis) -> list[dict[str, Any]]:
    """Return a note's facts as the records keep them."""
    return [
        {
            "kind": fact.kind.value,
            "code_value": fact.code.value,
            "code_scheme": fact.code.scheme,
            "code_meaning": fact.code.meaning,
            "surface": fact.surface,
            "start": fact.start,
            "end": fact.end,
            "section": fact.section,
            "negated": fact.assertion.negated,
            "uncertain": fact.assertion.uncertain,
            "historical": fact.assertion.historical,
            "hypothetical": fact.assertion.hypothetical,
            "experiencer": fact.assertion.experiencer.value,
        }
        for fact in analysis.facts
    ]
