"""MDM^T01 to T11: notes to be analysed, replaced, withdrawn."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Callable

import pytest

from node.records import examinations, notes
from node.records.schema import Job, Note, Study
from node.records.states import JobState, NoteState
from node.simulator import ris
from tests.node.hl7 import seed
from tests.node.hl7.conftest import Desk

PID = "PID|1||4711^^^HOSP||Doe^Jane||19700102|F"
PERSON = ris.Person(id="4711", name="Doe^Jane", birth_date="19700102", issuer="HOSP")
TXA = "TXA|1|CN|TX|20260101090000||20260102101500|||3850^Author^Chris|||D1^EHR"


def only_note(desk: Desk) -> Note:
    (row,) = desk.rows(Note)
    return row


@pytest.mark.parametrize(
    ("text", "charset"),
    [
        (ris.NOTE_ENGLISH, "ASCII"),
        (ris.NOTE_ENGLISH, "UNICODE UTF-8"),
        (ris.NOTE_CHINESE, "UNICODE UTF-8"),
        (ris.NOTE_CHINESE, "GB 18030-2000"),
        ("主訴：物忘れ。\n家族歴：母が認知症。", "~ISO IR87"),
        ("Gedächtnisstörung seit Ärger & Co. | 50% ^ ~ \\", "8859/1"),
    ],
)
def test_a_note_is_kept_character_by_character(desk: Desk, text: str, charset: str) -> None:
    assert desk.take(ris.note(PERSON, document_number="D1", text=text, charset=charset)).code == "AA"
    note = only_note(desk)
    assert note.text == text
    assert (note.state, note.document_number, note.source) == (NoteState.QUEUED, "D1", "RIS|HOSPITAL")


def test_the_head_of_a_document_is_kept(desk: Desk, hl7: Callable[..., bytes]) -> None:
    assert desk.take(hl7("MDM^T02", PID, TXA, "OBX|1|TX|||text")).code == "AA"
    note = only_note(desk)
    assert (note.document_number, note.document_type, note.author) == ("D1^EHR", "CN", "Author, Chris")
    assert note.written_at == dt.datetime(2026, 1, 2, 10, 15, tzinfo=dt.UTC)


def test_repetitions_and_formatting_are_lines(desk: Desk, hl7: Callable[..., bytes]) -> None:
    raw = hl7(
        "MDM^T02", PID, TXA, r"OBX|1|FT|||one\.br\two~three", "OBX|2|ST|||four ^ five & six", r"OBX|3|TX|||se\T\ven"
    )
    desk.take(raw)
    assert only_note(desk).text == "one\ntwo\nthree\nfour ^ five & six\nse&ven"


@pytest.mark.parametrize("kind", ["TEXT^plain", "TX^", "text^PLAIN"])
def test_an_encapsulated_text_is_read(desk: Desk, hl7: Callable[..., bytes], kind: str) -> None:
    data = base64.b64encode("Zeile eins\r\nZeile zwei: Übelkeit".encode()).decode()
    desk.take(hl7("MDM^T02", PID, TXA, f"OBX|1|ED|||APP^{kind}^Base64^{data}", charset="UNICODE UTF-8"))
    assert only_note(desk).text == "Zeile eins\nZeile zwei: Übelkeit"


def test_an_encapsulated_text_in_another_set_than_the_messages_is_refused(
    desk: Desk, hl7: Callable[..., bytes]
) -> None:
    data = base64.b64encode("Übelkeit".encode("latin_1")).decode()
    ack = desk.take(hl7("MDM^T02", PID, TXA, f"OBX|1|ED|||APP^TEXT^plain^Base64^{data}"))
    assert (ack.code, ack.error_code, ack.location) == ("AE", "102", "OBX^1^5")


def test_broken_base64_is_refused(desk: Desk, hl7: Callable[..., bytes]) -> None:
    ack = desk.take(hl7("MDM^T02", PID, TXA, "OBX|1|ED|||APP^TEXT^plain^Base64^@@@"))
    assert (ack.code, ack.error_code) == ("AE", "102")


def test_a_document_without_text_is_accepted_and_no_note(desk: Desk, hl7: Callable[..., bytes]) -> None:
    assert desk.take(hl7("MDM^T02", PID, TXA, "OBX|1|ED|||APP^application^pdf^Base64^JVBERg==")).code == "AA"
    assert desk.rows(Note) == []
    assert "no plain text" in desk.lines("message.processed")[0].text


@pytest.mark.parametrize(
    ("segments", "code", "location"),
    [
        ((PID, "OBX|1|TX|||text"), "100", "TXA^1"),
        ((PID, "TXA|1|CN", "OBX|1|TX|||text"), "101", "TXA^1^12"),
        ((TXA, "OBX|1|TX|||text"), "100", "PID^1"),
    ],
)
def test_a_document_that_misses_what_it_needs_is_refused(
    desk: Desk, hl7: Callable[..., bytes], segments: tuple[str, ...], code: str, location: str
) -> None:
    ack = desk.take(hl7("MDM^T02", *segments))
    assert (ack.code, ack.error_code, ack.location) == ("AE", code, location)


def test_a_document_that_is_sent_again_takes_the_new_text_and_waits_again(desk: Desk) -> None:
    desk.take(ris.note(PERSON, document_number="D1", text="Memory loss."))
    with desk.session() as session:
        (note,) = notes.queued(session)
        fact = {
            "kind": "symptom",
            "code_value": "386807006",
            "code_scheme": "SCT",
            "code_meaning": "Memory impairment",
            "surface": "Memory loss",
            "start": 0,
            "end": 11,
            "section": "",
            "negated": False,
            "uncertain": False,
            "historical": False,
            "hypothetical": False,
            "experiencer": "patient",
        }
        notes.save_analysis(session, note, [fact], "en")
        assert notes.queued(session) == []
    desk.take(ris.note(PERSON, document_number="D1", text="No memory loss."))
    with desk.session() as session:
        (note,) = notes.queued(session)
        assert (note.text, note.facts) == ("No memory loss.", [])


def test_a_document_number_of_another_patients_note_is_refused(desk: Desk) -> None:
    desk.take(ris.note(PERSON, document_number="D1"))
    ack = desk.take(ris.note(ris.Person(id="OTHER", issuer="HOSP"), document_number="D1", text="another"))
    assert (ack.code, ack.error_code) == ("AE", "205")
    assert only_note(desk).text == ris.NOTE_ENGLISH


def test_a_note_names_its_examination_by_obr_18(desk: Desk) -> None:
    desk.take(ris.note(PERSON, document_number="D1", accession="A1"))
    assert only_note(desk).accession_number == "A1"


def test_a_note_finds_its_examination_by_the_order_that_txa_names(desk: Desk, hl7: Callable[..., bytes]) -> None:
    desk.take(ris.order(PERSON, accession="A1", placer="P7"))
    desk.take(hl7("MDM^T02", PID, TXA + "||P7^RIS|A1^RIS", "OBX|1|TX|||text"))
    assert only_note(desk).accession_number == "A1"


def test_a_note_finds_its_examination_by_the_study_that_an_obx_names(desk: Desk, hl7: Callable[..., bytes]) -> None:
    with desk.session() as session:
        seed.study(session, "1.2.840.77", accession="A9")
    uid = "OBX|1|ST|113014^DICOM Study^DCM||1.2.840.77||||||O"
    desk.take(hl7("MDM^T02", PID, TXA, uid, "OBX|2|TX|||text"))
    note = only_note(desk)
    assert (note.accession_number, note.text) == ("A9", "text")


def test_a_note_about_an_order_that_nobody_knows_belongs_to_the_patient(desk: Desk, hl7: Callable[..., bytes]) -> None:
    desk.take(hl7("MDM^T02", PID, TXA + "||LAB99^LIS|LAB98^LIS", "OBX|1|TX|||text"))
    assert only_note(desk).accession_number == ""
    with desk.session() as session:
        study = seed.study(session, accession="A1")
        assert len(notes.notes_for_study(session, study)) == 1


def test_a_note_says_so_on_the_studies_that_it_concerns(desk: Desk) -> None:
    with desk.session() as session:
        seed.study(session, "1.2.3", accession="A1")
        seed.study(session, "1.2.4", accession="A2")
        seed.study(session, "1.2.5", patient_id="OTHER", accession="A1", name="Roe^R")
    desk.take(ris.note(PERSON, document_number="D1", accession="A1"))
    assert [line.study_fk for line in desk.lines("note.received")] == [1]
    desk.take(ris.note(PERSON, document_number="D2"))
    assert [line.study_fk for line in desk.lines("note.received")] == [1, 1, 2]
    assert len(desk.rows(Study)) == 3


# ------------------------------------------------------------------------------------------------ events


def take(
    desk: Desk,
    event: str,
    *segments: str,
    at: str = "20260101",
    number: str = "D1^EHR",
    parent: str = "",
    availability: str = "",
) -> str:
    """Hand in an MDM message about a document; return the code of the answer."""
    txa = f"TXA|1|CN|TX|20260101090000||||||||{number}|{parent}||||||{availability}"
    msh = f"MSH|^~\\&|EHR|HOSP|OVERREAD||{at}120000+0000||MDM^{event}|{event}{at}|P|2.5.1"
    return desk.take("\r".join((msh, PID, txa, *segments, "")).encode()).code


def analysed(desk: Desk) -> None:
    with desk.session() as session:
        for note in notes.queued(session):
            notes.save_analysis(session, note, [])


@pytest.mark.parametrize("event", ["T01", "T03", "T05", "T07", "T09", "T11"])
def test_a_notification_without_content_keeps_nothing_to_analyse(desk: Desk, event: str) -> None:
    assert take(desk, event) == "AA"
    with desk.session() as session:
        assert notes.queued(session) == []


@pytest.mark.parametrize("event", ["T02", "T04", "T06", "T08", "T10"])
def test_an_event_with_content_becomes_a_note(desk: Desk, event: str) -> None:
    assert take(desk, event, "OBX|1|TX|||text") == "AA"
    assert (only_note(desk).text, only_note(desk).state) == ("text", NoteState.QUEUED)


@pytest.mark.parametrize("event", ["T09", "T10"])
def test_a_document_that_is_replaced_is_kept_and_not_used(desk: Desk, event: str) -> None:
    with desk.session() as session:
        study = seed.study(session)
    take(desk, "T02", "OBX|1|TX|||old")
    analysed(desk)
    take(desk, event, "OBX|1|TX|||new", number="D2^EHR", parent="D1^EHR", at="20260102")
    old, new = desk.rows(Note)
    assert (old.state, old.text, old.reason) == (NoteState.WITHDRAWN, "old", "another document replaces it")
    assert (new.state, new.text, new.replaces) == (NoteState.QUEUED, "new", "D1^EHR")
    assert [line.study_fk for line in desk.lines("note.withdrawn")] == [study.id]
    with desk.session() as session:
        assert [note.text for note in notes.notes_for_study(session, session.merge(study))] == ["new"]


def test_an_addendum_is_a_note_of_its_own_beside_its_parent(desk: Desk) -> None:
    take(desk, "T02", "OBX|1|TX|||first")
    take(desk, "T06", "OBX|1|TX|||addendum", number="D2^EHR", parent="D1^EHR", at="20260102")
    first, addendum = desk.rows(Note)
    assert (first.state, addendum.state) == (NoteState.QUEUED, NoteState.QUEUED)
    assert addendum.replaces == ""


@pytest.mark.parametrize(("event", "availability"), [("T11", ""), ("T03", "CA"), ("T03", "OB"), ("T04", "UN")])
def test_a_cancelled_document_is_not_used_and_its_reports_are_looked_at_again(
    desk: Desk, event: str, availability: str
) -> None:
    with desk.session() as session:
        seed.done(session)
    take(desk, "T02", "OBX|1|TX|||text")
    analysed(desk)
    assert take(desk, event, availability=availability, at="20260102") == "AA"
    assert (only_note(desk).state, only_note(desk).text) == (NoteState.WITHDRAWN, "text")
    (job,) = desk.rows(Job)
    assert (job.state, job.reason) == (JobState.INFERRED, "a note was withdrawn")


def test_a_cancelled_document_that_is_sent_again_waits_for_analysis(desk: Desk) -> None:
    take(desk, "T02", "OBX|1|TX|||text")
    take(desk, "T11", at="20260102")
    take(desk, "T02", "OBX|1|TX|||text", at="20260103")
    assert only_note(desk).state is NoteState.QUEUED


def test_a_document_that_becomes_available_waits_for_analysis(desk: Desk) -> None:
    take(desk, "T02", "OBX|1|TX|||text", availability="UN")
    assert only_note(desk).state is NoteState.WITHDRAWN
    take(desk, "T03", availability="AV", at="20260102")
    assert only_note(desk).state is NoteState.QUEUED


def test_an_edited_document_takes_the_new_text(desk: Desk) -> None:
    take(desk, "T02", "OBX|1|TX|||No bleeding.")
    analysed(desk)
    take(desk, "T08", "OBX|1|TX|||Bleeding.", at="20260102")
    assert (only_note(desk).text, only_note(desk).state) == ("Bleeding.", NoteState.QUEUED)


def test_an_older_text_does_not_take_the_place_of_a_newer_one(desk: Desk) -> None:
    take(desk, "T08", "OBX|1|TX|||new", at="20260102")
    assert take(desk, "T02", "OBX|1|TX|||old", at="20260101") == "AA"
    assert only_note(desk).text == "new"
    assert "known from a newer message" in desk.lines("message.processed")[-1].text


def test_a_cancellation_that_comes_before_its_document_holds(desk: Desk) -> None:
    take(desk, "T11", at="20260102")
    take(desk, "T02", "OBX|1|TX|||text", at="20260101")
    assert (only_note(desk).state, only_note(desk).text) == (NoteState.WITHDRAWN, "text")


def test_a_document_that_is_sent_again_unchanged_is_not_analysed_again(desk: Desk) -> None:
    take(desk, "T02", "OBX|1|TX|||text")
    analysed(desk)
    take(desk, "T04", "OBX|1|TX|||text", at="20260102")
    assert only_note(desk).state is NoteState.ANALYSED


def test_a_version_that_cannot_be_read_takes_the_earlier_one_out_of_use(desk: Desk) -> None:
    take(desk, "T02", "OBX|1|TX|||text")
    assert take(desk, "T08", "OBX|1|ED|||APP^application^pdf^Base64^JVBERg==", at="20260102") == "AA"
    assert only_note(desk).state is NoteState.WITHDRAWN


def test_a_document_of_another_patient_cannot_be_replaced(desk: Desk, hl7: Callable[..., bytes]) -> None:
    take(desk, "T02", "OBX|1|TX|||text")
    txa = "TXA|1|CN|TX|||||||||D2^EHR|D1^EHR"
    raw = hl7("MDM^T10", PID.replace("4711", "4712"), txa, "OBX|1|TX|||x", sender="EHR|HOSP")
    ack = desk.take(raw)
    assert (ack.code, ack.error_code, ack.location) == ("AE", "205", "TXA^1^13")
    assert only_note(desk).state is NoteState.QUEUED


def test_reports_that_a_note_is_not_about_any_more_are_looked_at_again(desk: Desk) -> None:
    with desk.session() as session:
        seed.done(session)
    take(desk, "T02", "OBX|1|TX|||text")
    analysed(desk)
    take(desk, "T08", "OBR|1|||X" + "|" * 14 + "OTHER", "OBX|1|TX|||text", at="20260102")
    (job,) = desk.rows(Job)
    assert (job.state, job.reason) == (JobState.INFERRED, "a note is not about it any more")


def test_a_note_that_names_a_study_belongs_to_it_when_the_study_comes(desk: Desk) -> None:
    take(desk, "T02", "OBX|1|ST|113014^DICOM Study^DCM||1.2.4||||||O", "OBX|2|TX|||text")
    with desk.session() as session:
        first = seed.study(session, "1.2.3", accession="A1")
        assert len(notes.notes_for_study(session, first)) == 1
        second = seed.study(session, "1.2.4", accession="A2")
        assert notes.notes_for_study(session, first) == []
        assert len(notes.notes_for_study(session, second)) == 1
        assert examinations.settle(session, first.patient) == 1
    assert only_note(desk).accession_number == "A2"
