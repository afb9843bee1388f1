"""Clinical notes, the facts found in them, and the studies they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from node.errors import StateError
from node.records import examinations, patients
from node.records.schema import Fact, Note, Patient, Study
from node.records.states import NoteState, check


def save_analysis(
    session: Session,
    note: Note,
    facts: Sequence[Mapping[str, Any]],
    language: str = "",
    sections: Sequence[tuple[str, int, int]] = (),
) -> None:
    """Put the facts of a note beside it, in place of earlier ones.

    Parameters
    ----------
    facts
        One mapping a fact, keys as the columns of :class:`~node.records.schema.Fact`; ``start`` and ``end`` are offsets
        into ``note.text``.

    Raises
    ------
    StateError
        A fact does not stand where it says: the note was sent again with another text after this one was analysed.
    """
    for fact in facts:
        if note.text[fact["start"] : fact["end"]] != fact["surface"]:
            raise StateError("the facts are of another text than the note's")
    if note.state is not NoteState.ANALYSED:
        check(note.state, NoteState.ANALYSED)
    note.state = NoteState.ANALYSED
    note.reason = ""
    note.language = language
    note.sections = [list(section) for section in sections]
    note.facts = [Fact(**fact) for fact in facts]
    session.flush()


def fail_analysis(note: Note, reason: str) -> None:
    """Say that a note cannot be analysed; ``reason`` is a sentence without its text."""
    check(note.state, NoteState.FAILED)
    note.state = NoteState.FAILED
    note.reason = reason


def queued(session: Session, limit: int = 1000) -> Sequence[Note]:
    """Return the notes that wait for analysis, oldest first."""
    query = select(Note).where(Note.state == NoteState.QUEUED).order_by(Note.received_at, Note.id).limit(limit)
    return session.scalars(query).all()


def queued_for_patient(session: Session, patient_fk: int) -> Sequence[Note]:
    """Return the notes of one person that wait for analysis, oldest first."""
    patient = session.get(Patient, patient_fk)
    people = patients.same_person(session, patient) if patient else []
    query = select(Note).where(Note.state == NoteState.QUEUED, Note.patient_fk.in_(people))
    return session.scalars(query.order_by(Note.received_at, Note.id)).all()


def notes_for_study(session: Session, study: Study) -> Sequence[Note]:
    """Return the notes in use of a study's patient that belong to it or to no examination in particular, oldest first.

    A note whose order or study came after it belongs to that one, whether or not its row says so yet.
    """
    people = patients.same_person(session, study.patient)
    accession = or_(Note.accession_number == "", Note.accession_number == study.accession_number)
    query = select(Note).where(Note.patient_fk.in_(people), accession, Note.state != NoteState.WITHDRAWN)
    rows = session.scalars(query.order_by(Note.received_at, Note.id)).all()
    about = examinations.of_notes(session, study.patient, rows)
    return [note for note, accession in zip(rows, about, strict=True) if accession in ("", study.accession_number)]


def studies_for_note(session: Session, note: Note) -> Sequence[Study]:
    """Return the studies that :func:`notes_for_study` would give this note for."""
    people = patients.same_person(session, note.patient)
    query = select(Study).where(Study.patient_fk.in_(people)).order_by(Study.id)
    if accession := examinations.of_note(session, note):
        query = query.where(Study.accession_number == accession)
    return session.scalars(query).all()
