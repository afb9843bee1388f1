"""What the records know beside the images of a job: notes' facts, the order, and when the last of it was there."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from sqlalchemy.orm import Session

from models.contracts import Code
from models.facts import Experiencer, NoteAnalysis
from node.records import jobs
from node.records.notes import notes_for_study
from node.records.schema import Job, Note, Order
from node.records.states import NoteState
from workers.results.common import OrderContext, ReportedFact


def notes_of(session: Session, job: Job) -> list[Note]:
    """Return the analysed notes of a job's patient that concern its study."""
    return [note for note in notes_for_study(session, job.study) if note.state is NoteState.ANALYSED]


def digest_of(job: Job, notes: Iterable[Note]) -> str:
    """Digest of everything beside the images: another report is due when it changes."""
    order = job.study.order
    known: list[str] = []
    if order is not None:
        known = [order.accession_number, order.placer_number, order.filler_number, order.reason]
        known += [order.procedure_code or "", order.procedure_text or ""]
    stated = [
        "|".join((note.source, note.document_number, fact.code_value, f"{fact.start}-{fact.end}", *_how(fact)))
        for note in notes
        for fact in note.facts
    ]
    return jobs.context_digest([*known, *sorted(stated)])


def _how(fact: Any) -> list[str]:
    words = [word for word in ("negated", "uncertain", "historical", "hypothetical") if getattr(fact, word)]
    return [*words, fact.experiencer]


def made_at(job: Job, notes: Iterable[Note]) -> dt.datetime:
    """When the last thing that the report rests on was there: the same for every repetition, and so are the bytes."""
    order = job.study.order
    known = [job.started_at or job.created_at, *(note.received_at for note in notes)]
    return max([*known, order.updated_at] if order is not None else known)


def facts_of(note: Note) -> list[ReportedFact]:
    """Return a note's facts as reports show them."""
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


def order_context(order: Order | None) -> OrderContext | None:
    """Return what a report says of the order, or None where there is none."""
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
