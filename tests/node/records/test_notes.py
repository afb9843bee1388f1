"""Notes, their facts, and whose studies they belong to."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from node.errors import StateError
from node.records import notes, patients
from node.records.engine import Records
from node.records.notes import Document
from node.records.schema import Fact, Note, Study
from node.records.states import NoteState, StudyState


def fact(start: int, end: int, surface: str) -> dict[str, Any]:
    return {
        "kind": "problem",
        "code_value": "I10",
        "code_scheme": "I10C",
        "code_meaning": "Hypertension",
        "surface": surface,
        "start": start,
        "end": end,
        "section": "history",
        "experiencer": "patient",
        "negated": False,
        "uncertain": False,
        "historical": False,
        "hypothetical": False,
    }


def store(
    session: Session,
    number: str = "D1",
    text: str = "Hypertension.",
    *,
    patient_id: str = "1",
    issuer: str = "H",
    accession_number: str = "",
) -> Note:
    patient = patients.find_or_create(session, patient_id, issuer)
    return notes.store(session, patient, "EHR|H", Document(number, text, accession_number=accession_number))[0]


def study(session: Session, patient_id: str = "1", issuer: str = "", accession: str = "A1") -> Study:
    row = Study(
        uid=f"1.2.{accession}",
        patient=patients.find_or_create(session, patient_id, issuer),
        accession_number=accession,
        state=StudyState.RECEIVING,
    )
    session.add(row)
    session.flush()
    return row


def test_facts_are_kept_beside_their_note(records: Records) -> None:
    with records.write() as session:
        note = store(session)
        notes.save_analysis(session, note, [fact(0, 12, "Hypertension")], "en", [("history", 0, 13)])
    with records.read() as session:
        note = session.get_one(Note, note.id)
        assert (note.state, note.language, note.sections) == (NoteState.ANALYSED, "en", [["history", 0, 13]])
        assert [row.surface for row in note.facts] == ["Hypertension"]
        assert notes.queued(session) == []


def test_facts_replace_earlier_ones(records: Records) -> None:
    with records.write() as session:
        note = store(session)
        for _ in range(2):
            notes.save_analysis(session, note, [fact(0, 12, "Hypertension")], "en")
        assert len(session.scalars(select(Fact)).all()) == 1


def test_facts_of_another_text_are_refused(records: Records) -> None:
    with records.write() as session:
        note = store(session, text="No hypertension.")
        with pytest.raises(StateError):
            notes.save_analysis(session, note, [fact(0, 12, "Hypertension")], "en")
        assert note.state is NoteState.QUEUED


def test_a_note_that_cannot_be_analysed_says_why_and_waits_when_it_is_sent_again(records: Records) -> None:
    with records.write() as session:
        note = store(session)
        notes.fail_analysis(note, "no engine")
        assert (note.state, note.reason) == (NoteState.FAILED, "no engine")
        assert store(session) is note
        assert (note.state, note.reason) == (NoteState.QUEUED, "")


def test_a_study_gets_the_patients_notes_that_name_it_or_no_examination(records: Records) -> None:
    with records.write() as session:
        row = study(session)
        mine = store(session, "D1")
        named = store(session, "D2", accession_number="A1")
        other_examination = store(session, "D3", accession_number="A2")
        store(session, "D4", patient_id="2")
        assert notes.notes_for_study(session, row) == [mine, named]
        assert notes.studies_for_note(session, mine) == [row]
        assert notes.studies_for_note(session, other_examination) == []


def test_notes_of_another_authoritys_patient_are_not_mixed_in(records: Records) -> None:
    with records.write() as session:
        row = study(session, issuer="K")
        store(session, issuer="H")
        assert notes.notes_for_study(session, row) == []


def test_notes_that_wait_are_found_by_patient(records: Records) -> None:
    with records.write() as session:
        note, other = store(session, "D1"), store(session, "D2", patient_id="2")
        assert notes.queued_for_patient(session, note.patient_fk) == [note]
        assert notes.queued(session) == [note, other]
        assert notes.queued_for_patient(session, 999) == []
