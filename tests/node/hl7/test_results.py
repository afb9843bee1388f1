"""ORU^R01: values become observations, text reports become notes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest

from node.hl7.outbound import Concept, OruObservation, OruPatient, OruReport, build_oru
from node.records import observations
from node.records.schema import Note, Observation, Patient
from node.simulator import ris
from tests.node.hl7.conftest import Desk

PID = "PID|1||4711^^^HOSP||Doe^Jane||19700102|F"
OBR = "OBR|1||L1^LAB|24323-8^Panel^LN|||20260105080000"
PERSON = ris.Person(id="4711", name="Doe^Jane", birth_date="19700102", issuer="HOSP")


def values(desk: Desk) -> list[Observation]:
    return desk.rows(Observation)


def test_labs_are_kept_with_all_that_makes_them_comparable(desk: Desk) -> None:
    assert desk.take(ris.labs(PERSON)).code == "AA"
    row = next(row for row in values(desk) if row.code == "2132-9")
    assert (row.scheme, row.name, row.value, row.number) == ("LN", "Vitamin B12", "310", 310.0)
    assert (row.unit, row.reference_range, row.flag, row.status) == ("pg/mL", "200-900", "N", "F")
    assert row.filler_number == "LAB1^LAB"
    assert row.observed_at is not None


@pytest.mark.parametrize(
    ("obx", "value", "number"),
    [
        ("OBX|1|NM|a^b^c||-1.50", "-1.50", -1.5),
        ("OBX|1|NM|a^b^c||nan", "nan", None),
        ("OBX|1|NM|a^b^c||about 5", "about 5", None),
        ("OBX|1|NM|a^b^c||1e400", "1e400", None),
        ("OBX|1|SN|a^b^c||^182", "182", 182.0),
        ("OBX|1|SN|a^b^c||<^5", "<5", None),
        ("OBX|1|SN|a^b^c||^1^:^128", "1:128", None),
        ("OBX|1|CWE|a^b^c||260373001^Detected^SCT", "Detected", None),
        ("OBX|1|ST|a^b^c||A\\T\\B", "A&B", None),
        ("OBX|1|DT|a^b^c||20260101", "20260101", None),
    ],
)
def test_values_of_all_types_are_read(
    desk: Desk, hl7: Callable[..., bytes], obx: str, value: str, number: float | None
) -> None:
    assert desk.take(hl7("ORU^R01", PID, OBR, obx)).code == "AA"
    (row,) = values(desk)
    assert row.value == value
    assert row.number == number


def test_times_come_from_obx_14_or_obr_7(desk: Desk, hl7: Callable[..., bytes]) -> None:
    desk.take(hl7("ORU^R01", PID, OBR, "OBX|1|NM|a||1", "OBX|2|NM|b||2|||||||||20260106093000+0200"))
    times = {row.code: row.observed_at for row in values(desk)}
    assert times == {
        "a": dt.datetime(2026, 1, 5, 8, tzinfo=dt.UTC),
        "b": dt.datetime(2026, 1, 6, 7, 30, tzinfo=dt.UTC),
    }


def test_a_corrected_value_takes_the_place_of_the_first(desk: Desk, hl7: Callable[..., bytes]) -> None:
    desk.take(hl7("ORU^R01", PID, OBR, "OBX|1|NM|a||1||||||P", control_id="1"))
    desk.take(hl7("ORU^R01", PID, OBR, "OBX|1|NM|a||2||||||C", control_id="2"))
    (row,) = values(desk)
    assert (row.number, row.status) == (2.0, "C")


def test_values_that_nothing_tells_apart_are_all_kept(desk: Desk, hl7: Callable[..., bytes]) -> None:
    raw = hl7("ORU^R01", PID, OBR, "OBX|1|NM|a||1", "OBX|2|NM|a||2", "OBX|3|NM|a|s|3")
    desk.take(raw)
    assert sorted(row.number or 0 for row in values(desk)) == [1.0, 2.0, 3.0]
    desk.take(raw.replace(b"|C1|", b"|C2|"))
    assert len(values(desk)) == 3


def test_the_same_key_of_two_patients_is_two_values(desk: Desk, hl7: Callable[..., bytes]) -> None:
    obr = "OBR|1|||PANEL|||20260105080000"
    desk.take(hl7("ORU^R01", PID, obr, "OBX|1|NM|a||1", control_id="1"))
    desk.take(hl7("ORU^R01", PID.replace("4711", "4712"), obr, "OBX|1|NM|a||2", control_id="2"))
    assert sorted((row.patient_fk, row.number) for row in values(desk)) == [(1, 1.0), (2, 2.0)]


def test_a_message_for_two_patients_keeps_them_apart(desk: Desk, hl7: Callable[..., bytes]) -> None:
    second = "PID|2||9999^^^HOSP||Roe^Richard"
    desk.take(hl7("ORU^R01", PID, OBR, "OBX|1|NM|a||1", second, OBR.replace("L1", "L2"), "OBX|1|NM|a||2"))
    people = {row.id: row.patient_id for row in desk.rows(Patient)}
    assert {(people[row.patient_fk], row.number) for row in values(desk)} == {("4711", 1.0), ("9999", 2.0)}


def test_a_text_report_becomes_a_note(desk: Desk, hl7: Callable[..., bytes]) -> None:
    obr = "OBR|1|P1^RIS|R1^RIS|24590-2^MR Brain^LN|||20260105080000" + "|" * 11 + "A1||||20260105090000|||F" + "|" * 7
    obr += "77&Reader&Rae"
    raw = hl7("ORU^R01", PID, obr, "OBX|1|TX|F^Findings||Hippocampal atrophy.", "OBX|2|TX|F^Findings||No bleed.")
    assert desk.take(raw).code == "AA"
    (note,) = desk.rows(Note)
    assert (note.text, note.document_number) == ("Hippocampal atrophy.\nNo bleed.", "R1^RIS")
    assert (note.accession_number, note.document_type, note.author) == ("A1", "MR Brain", "Reader, Rae")
    assert note.written_at == dt.datetime(2026, 1, 5, 9, tzinfo=dt.UTC)
    assert values(desk) == []


def test_groups_of_one_report_are_one_note(desk: Desk, hl7: Callable[..., bytes]) -> None:
    desk.take(hl7("ORU^R01", PID, OBR, "OBX|1|TX|a||one", OBR, "OBX|1|FT|b||two"))
    (note,) = desk.rows(Note)
    assert note.text == "one\ntwo"


def test_a_comment_among_numbers_is_a_value(desk: Desk, hl7: Callable[..., bytes]) -> None:
    desk.take(hl7("ORU^R01", PID, OBR, "OBX|1|NM|a||1", "OBX|2|TX|c||hemolyzed"))
    assert desk.rows(Note) == []
    assert {row.value for row in values(desk)} == {"1", "hemolyzed"}


@pytest.mark.parametrize(
    ("segments", "code"),
    [
        ((OBR, "OBX|1|NM|a||1"), "100"),
        ((PID, "OBX|1|NM|a||1"), "100"),
        ((PID, OBR, "OBX|1|NM|||1"), "101"),
    ],
)
def test_a_result_that_misses_what_it_needs_is_refused_as_a_whole(
    desk: Desk, hl7: Callable[..., bytes], segments: tuple[str, ...], code: str
) -> None:
    ack = desk.take(hl7("ORU^R01", *segments))
    assert (ack.code, ack.error_code) == ("AE", code)
    assert values(desk) == []


def test_the_nodes_own_result_that_comes_back_is_not_used(desk: Desk) -> None:
    report = OruReport(
        OruPatient("4711", "HOSP"), "1.2.3", dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "m", "1", "Not a medical device.",
        observations=(OruObservation(Concept("v", "SCT", "Volume"), "NM", 1.0),), sending_facility="WARD",
    )  # fmt: skip
    assert desk.take(build_oru(report, "X1", dt.datetime.now(dt.UTC))).code == "AA"
    assert values(desk) == []
    assert "came back" in desk.lines("message.processed")[0].text


def test_a_message_of_endless_values_is_refused_as_a_whole(
    desk: Desk, hl7: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.hl7.handlers.results.VALUES_MAX", 20)
    ack = desk.take(hl7("ORU^R01", PID, OBR, *(f"OBX|{n}|NM|c{n}||1" for n in range(21))))
    assert (ack.code, ack.error_code) == ("AE", "104")
    assert values(desk) == []


def test_the_newest_value_of_each_code_is_found(desk: Desk, hl7: Callable[..., bytes]) -> None:
    for day, value, status in (("03", "3", "F"), ("01", "1", "F"), ("04", "4", "X")):
        obr = OBR.replace("L1", f"L{day}").replace("20260105", f"202601{day}")
        desk.take(hl7("ORU^R01", PID, obr, f"OBX|1|NM|a||{value}||||||{status}", control_id=day))
    with desk.session() as session:
        patient = session.get_one(Patient, 1)
        assert [row.value for row in observations.for_patient(session, patient)] == ["1", "3", "4"]
        assert observations.latest(session, patient)["a"].value == "3"
