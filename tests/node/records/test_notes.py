"""Notes, their facts, and whose studies they belong to."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from node.errors import StateError
from node.records import examinations, note_entry, notes, patients
from node.records.engine import Records
from node.records.note_entry import Document, Outcome
from node.records.schema import Fact, Note, Order, Study
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
    return note_entry.store(session, patient, "EHR|H", Document(number, text, accession_number=accession_number))[0]


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


def test_a_note_that_was_withdrawn_is_kept_and_used_for_nothing(records: Records) -> None:
    with records.write() as session:
        row, note = study(session), store(session)
        notes.save_analysis(session, note, [], "en")
        assert note_entry.withdraw(session, note.patient, "EHR|H", "D1", "its sender cancelled it") == (
            note,
            Outcome.CHANGED,
        )
        assert (note.state, note.text) == (NoteState.WITHDRAWN, "Hypertension.")
        assert notes.notes_for_study(session, row) == []
        assert notes.queued(session) == []
        with pytest.raises(StateError):
            notes.save_analysis(session, note, [], "en")


def test_what_was_stated_earlier_neither_replaces_nor_withdraws(records: Records) -> None:
    early, late = (dt.datetime(2026, 1, day, tzinfo=dt.UTC) for day in (1, 2))
    with records.write() as session:
        patient = patients.find_or_create(session, "1", "H")
        note, _ = note_entry.store(session, patient, "S", Document("D", "new"), at=late)
        assert note_entry.store(session, patient, "S", Document("D", "old"), at=early)[1] is Outcome.OLDER
        assert note_entry.withdraw(session, patient, "S", "D", "why", at=early)[1] is Outcome.OLDER
        assert (note.text, note.state) == ("new", NoteState.QUEUED)


def test_a_newer_text_of_a_note_that_was_withdrawn_later_is_kept_and_not_used(records: Records) -> None:
    first, second, third = (dt.datetime(2026, 1, day, tzinfo=dt.UTC) for day in (1, 2, 3))
    with records.write() as session:
        patient = patients.find_or_create(session, "1", "H")
        note, _ = note_entry.store(session, patient, "S", Document("D", "one"), at=first)
        note_entry.withdraw(session, patient, "S", "D", "why", at=third)
        assert note_entry.store(session, patient, "S", Document("D", "two"), at=second)[1] is Outcome.OLDER
        assert (note.text, note.state) == ("two", NoteState.WITHDRAWN)
        assert note_entry.restore(session, note, second) is Outcome.OLDER
        assert note_entry.restore(session, note, third) is Outcome.CHANGED
        assert note.state is NoteState.QUEUED


def test_a_note_that_is_available_before_it_comes_is_not_kept_out(records: Records) -> None:
    first, second, third = (dt.datetime(2026, 1, day, tzinfo=dt.UTC) for day in (1, 2, 3))
    with records.write() as session:
        patient = patients.find_or_create(session, "1", "H")
        note, _ = note_entry.withdraw(session, patient, "S", "D", "why", at=second)
        note_entry.restore(session, note, third)
        note, outcome = note_entry.store(session, patient, "S", Document("D", "text"), at=first)
        assert (note.state, outcome) == (NoteState.QUEUED, Outcome.NEW)


def test_a_note_names_an_order_of_its_patient_alone(records: Records) -> None:
    with records.write() as session:
        patient, other = (patients.find_or_create(session, number, "H") for number in "12")
        session.add(Order(patient=other, placer_number="P1", accession_number="A1"))
        session.flush()
        about = (("placer", "P1"), ("study", ""))
        assert examinations.meant(session, other, about) == "A1"
        assert examinations.meant(session, patient, about) == ""
        assert examinations.meant(session, patient, ()) == ""


def test_what_many_notes_are_about_is_found_with_a_few_statements(records: Records) -> None:
    asked: list[str] = []
    with records.write() as session:
        patient = patients.find_or_create(session, "1", "H")
        session.add_all(
            [
                Order(patient=patient, placer_number="P7^OE", filler_number="F7^LAB", accession_number="A7"),
                Order(patient=patient, placer_number="P8", filler_number="F8", accession_number=""),
                Study(uid="1.9", patient=patient, accession_number="A9"),
            ]
        )
        wanted = study(session, "1", "H", "A7")
        for number in range(60):
            about = (("placer", f"P{number}^OE"), ("filler", f"F{number}"), ("study", "1.9" if number == 9 else "1.0"))
            note_entry.store(session, patient, "LIS|H", Document(f"D{number}", "text", about=about))
        event.listen(records.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
        found = [note.document_number for note in notes.notes_for_study(session, wanted)]
        assert len(asked) <= 6
        assert found == [f"D{number}" for number in range(60) if number != 9]
        assert examinations.settle(session, patient) == 2
        settled = select(Note.document_number, Note.accession_number).where(Note.accession_number != "")
        assert sorted(tuple(row) for row in session.execute(settled)) == [("D7", "A7"), ("D9", "A9")]
