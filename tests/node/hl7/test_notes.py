"""MDM^T02 becomes a note to be analysed."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Callable

import pytest

from node.records import notes
from node.records.schema import Note, Study
from node.records.states import NoteState
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
