"""Entering what messages say of documents: text that comes, is replaced, is withdrawn.

Messages come late, twice and in any order: what was stated later holds. The text and whether the note is in use are
stated apart, so both have a time (:attr:`~node.records.schema.Note.text_stated_at`, ``stated_at``).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.records.schema import Note, Patient, now
from node.records.states import NoteState, check


class Outcome(StrEnum):
    """What a statement did to a note."""

    NEW = "new"
    CHANGED = "changed"
    SAME = "same"  # nothing that matters is different
    OLDER = "older"  # what is there was stated later


@dataclass(frozen=True, slots=True)
class Document:
    """A note as its sender gave it.

    Parameters
    ----------
    accession_number
        Of the examination that it is about, "" where it names none in particular.
    about
        Order numbers and study UIDs that it names beside, as ``("placer", "7^RIS")``, ``("filler", "8")``,
        ``("study", "1.2.3")``: the order or study that they mean may come later.
    replaces
        Number of the document that it takes the place of.
    """

    number: str
    text: str
    type: str = ""
    accession_number: str = ""
    author: str = ""
    written_at: dt.datetime | None = None
    about: tuple[tuple[str, str], ...] = ()
    replaces: str = ""


def find(session: Session, source: str, document_number: str) -> Note | None:
    """Return the note that a sender gave this document number."""
    query = select(Note).filter_by(source=source[:500], document_number=document_number[:250])
    return session.scalars(query).first()


def store(
    session: Session,
    patient: Patient,
    source: str,
    document: Document,
    message: int | None = None,
    *,
    at: dt.datetime | None = None,
) -> tuple[Note, Outcome]:
    """Keep a note to be analysed; one with the same document number takes the newer text.

    Parameters
    ----------
    at
        When this was stated; a text that was stated later stays, and so does a withdrawal. Now by default.
    """
    at = at or now()
    note = find(session, source, document.number)
    outcome = Outcome.CHANGED if note is not None else Outcome.NEW
    if note is None:
        note = _new(session, patient, source, document.number, NoteState.QUEUED)
    elif note.text_stated_at is not None and at < note.text_stated_at:
        return note, Outcome.OLDER
    elif note.state is NoteState.ANALYSED and _same(note, document):
        outcome = Outcome.SAME
    later = note.stated_at is None or at >= note.stated_at
    note.text_stated_at = at
    note.stated_at = at if later else note.stated_at
    if outcome is not Outcome.SAME:
        _fill(note, patient, document, message)
        if note.state is NoteState.WITHDRAWN and not later:
            outcome = Outcome.OLDER
        else:
            _queue(note)
    session.flush()
    return note, outcome


def withdraw(
    session: Session,
    patient: Patient,
    source: str,
    number: str,
    reason: str,
    message: int | None = None,
    *,
    at: dt.datetime | None = None,
) -> tuple[Note, Outcome]:
    """Take a note out of use; it is kept. One that is not known is withdrawn before it comes.

    Parameters
    ----------
    reason
        One sentence without patient data.
    at
        When this was stated: a note that was stated to hold later stays in use. Now by default.
    """
    at = at or now()
    note = find(session, source, number)
    if note is None:
        note = _new(session, patient, source, number, NoteState.WITHDRAWN)
        note.message_fk = message
        outcome = Outcome.NEW
    elif note.stated_at is not None and at < note.stated_at:
        return note, Outcome.OLDER
    else:
        outcome = Outcome.SAME if note.state is NoteState.WITHDRAWN else Outcome.CHANGED
    if note.state is not NoteState.WITHDRAWN:
        check(note.state, NoteState.WITHDRAWN)
        note.state = NoteState.WITHDRAWN
    note.reason, note.stated_at = reason, at
    session.flush()
    return note, outcome


def restore(session: Session, note: Note, at: dt.datetime) -> Outcome:
    """Put a note into use again that was withdrawn: its sender says that it is available."""
    if note.stated_at is not None and at < note.stated_at:
        return Outcome.OLDER
    note.stated_at = at
    outcome = Outcome.SAME
    if note.state is NoteState.WITHDRAWN and note.text:
        _queue(note)
        outcome = Outcome.CHANGED
    elif note.state is NoteState.WITHDRAWN:  # its text did not come yet, and nothing keeps it out any more
        session.delete(note)
    session.flush()
    return outcome


def _new(session: Session, patient: Patient, source: str, number: str, state: NoteState) -> Note:
    note = Note(
        source=source[:500],
        document_number=number[:250],
        patient=patient,
        state=state,
        text="",
        document_type="",
        accession_number="",
        author="",
        about=[],
        replaces="",
        reason="",
    )
    session.add(note)
    return note


def _fill(note: Note, patient: Patient, document: Document, message: int | None) -> None:
    note.patient = patient
    note.text = document.text
    note.sections, note.facts = [], []
    note.document_type = document.type[:250]
    note.accession_number = document.accession_number[:64]
    note.about = [list(reference) for reference in document.about]
    note.replaces = document.replaces[:250]
    note.author = document.author[:250]
    note.written_at = document.written_at
    note.message_fk = message
    note.received_at = now()


def _queue(note: Note) -> None:
    if note.state is not NoteState.QUEUED:
        check(note.state, NoteState.QUEUED)
        note.state = NoteState.QUEUED
    note.sections, note.facts, note.reason = [], [], ""


def _same(note: Note, document: Document) -> bool:
    known = (note.text, note.document_type, note.author, note.written_at, note.replaces, note.accession_number)
    said = (
        document.text,
        document.type[:250],
        document.author[:250],
        document.written_at,
        document.replaces[:250],
        document.accession_number[:64],
    )
    return known == said
