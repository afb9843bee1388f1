"""ORU^R01: values become observations, text reports become notes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from sqlalchemy import event

from node.hl7 import inbound
from node.hl7.outbound import Concept, OruObservation, OruPatient, OruReport, build_oru
from node.records import notes, observations
from node.records.observations import ObservedValue
from node.records.schema import Job, Note, Observation, Patient, Study
from node.records.states import JobState, NoteState
from node.settings import Hl7Section
from node.simulator import ris
from tests.node.hl7 import seed
from tests.node.hl7.conftest import Desk
from tests.node.hl7.stamped import sent

PID = "PID|1||4711^^^HOSP||Doe^Jane||19700102|F"
OBR = "OBR|1||L1^LAB|24323-8^Panel^LN|||20260105080000"
LATER = "20991231120000+0000"
PERSON = ris.Person(id="4711", name="Doe^Jane", birth_date="19700102", issuer="HOSP")


def values(desk: Desk) -> list[Observation]:
    return desk.rows(Observation)


def stated(raw: bytes) -> tuple[ObservedValue, ...]:
    """Return the values that a message about one person states, as they are read."""
    (results,) = inbound.understand(raw, Hl7Section()).statement
    read: tuple[ObservedValue, ...] = results.values
    return read


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
        ("OBX|1|NM|a^b^c||60~120", "60\n120", None),
        ("OBX|1|NM|a^b^c||<5", "<5", None),
        ("OBX|1|SN|a^b^c||=^7", "=7", 7.0),
        ("OBX|1|SN|a^b^c||^1^-^3", "1-3", None),
        ("OBX|1|SN|a^b^c||^1~^2", "1\n2", None),
        ("OBX|1|CWE|a^b^c||260373001^Detected^SCT", "Detected", None),
        ("OBX|1|CWE|a^b^c||1^One^L~2^Two^L", "One\nTwo", None),
        ("OBX|1|CWE|a^b^c||^^^^^^^^said so", "said so", None),
        ("OBX|1|CE|a^b^c||^^^77^Other^L", "Other", None),
        ("OBX|1|TM|a^b^c||0830", "0830", None),
        ("OBX|1|TS|a^b^c||202601010830", "202601010830", None),
        ("OBX|1|FT|a^b^c||two\\.br\\lines", "two\nlines", None),
        ("OBX|1|ST|a^b^c||A\\T\\B", "A&B", None),
        ("OBX|1|DT|a^b^c||20260101", "20260101", None),
    ],
)
def test_values_of_all_types_are_read(hl7: Callable[..., bytes], obx: str, value: str, number: float | None) -> None:
    beside = "OBX|9|NM|beside||1"  # a number, so that the message is none of text alone
    first = stated(hl7("ORU^R01", PID, OBR, obx, beside))[0]
    assert (first.value, first.number) == (value, number)


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
    "code", ["&IMP^Impression", "24590-2&GDT^MR Brain^LN", "19005-8^Impression^LN", "X^Y^L^18748-4"]
)
def test_a_report_beside_measurements_is_a_note(desk: Desk, hl7: Callable[..., bytes], code: str) -> None:
    texts = [f"OBX|2|TX|{code}||No bleed.", "OBX|3|TX|c||motion"]
    assert desk.take(hl7("ORU^R01", PID, OBR, "OBX|1|NM|a||1", *texts)).code == "AA"
    assert [note.text for note in desk.rows(Note)] == ["No bleed."]
    assert {row.value for row in values(desk)} == {"1", "motion"}


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


@pytest.mark.parametrize(
    ("obx3", "expected"),
    [
        ("2160-0^Creatinine^LN", ("2160-0", "Creatinine", "LN")),
        ("CREA^Kreatinin^L^2160-0^Creatinine^LN", ("2160-0", "Creatinine", "LN")),
        ("2160-0^Creatinine^LN^CREA^Kreatinin^L", ("2160-0", "Creatinine", "LN")),
        ("CREA^Kreatinin^L^2160-0^^LN", ("2160-0", "Kreatinin", "LN")),
        ("CREA^Kreatinin^L", ("CREA", "Kreatinin", "L")),
        ("^Kreatinin^L^KREA^^99LAB", ("KREA", "Kreatinin", "99LAB")),
        ("^Kreatinin", ("Kreatinin", "Kreatinin", "")),
    ],
)
def test_loinc_is_found_in_either_half_of_the_code(
    hl7: Callable[..., bytes], obx3: str, expected: tuple[str, str, str]
) -> None:
    (value,) = stated(hl7("ORU^R01", PID, OBR, f"OBX|1|NM|{obx3}||1"))
    assert (value.code, value.name, value.scheme) == expected


@pytest.mark.parametrize(
    ("obx6", "unit"),
    [
        ("mg/dL", "mg/dL"),
        ("mg/dL^milligrams^UCUM", "mg/dL"),
        ("MG^mg per dl^L^mg/dL^^UCUM", "mg/dL"),
        ("mg/dL^^UCUM^MG^^L", "mg/dL"),
        ("^per field", "per field"),
    ],
)
def test_the_unit_is_that_of_ucum_where_it_is_named(hl7: Callable[..., bytes], obx6: str, unit: str) -> None:
    assert stated(hl7("ORU^R01", PID, OBR, f"OBX|1|NM|a||1|{obx6}"))[0].unit == unit


def test_all_flags_of_a_value_are_kept(hl7: Callable[..., bytes]) -> None:
    assert stated(hl7("ORU^R01", PID, OBR, "OBX|1|NM|a||1||0-5|H^High^HL70078~A"))[0].flag == "H~A"


@pytest.mark.parametrize("status", ["D", "W", "X"])
def test_a_value_that_is_withdrawn_counts_no_more(desk: Desk, hl7: Callable[..., bytes], status: str) -> None:
    desk.take(hl7("ORU^R01", PID, OBR, "OBX|1|NM|a||1||||||F", control_id="1"))
    raw = hl7("ORU^R01", PID, OBR, f"OBX|1|NM|a||||||||{status}", control_id="2")
    assert desk.take(sent(raw, LATER)).code == "AA"
    (row,) = values(desk)
    assert row.status == status
    with desk.session() as session:
        assert observations.latest(session, session.get_one(Patient, 1)) == {}


def test_a_withdrawal_that_comes_first_holds(desk: Desk, hl7: Callable[..., bytes]) -> None:
    desk.take(sent(hl7("ORU^R01", PID, OBR, "OBX|1|NM|a||||||||D"), LATER, "2"))
    desk.take(hl7("ORU^R01", PID, OBR, "OBX|1|NM|a||1||||||F", control_id="1"))
    assert [row.status for row in values(desk)] == ["D"]
    assert "known from newer messages: 1" in desk.lines("message.processed")[-1].text


def test_an_old_preliminary_value_does_not_replace_the_final_one(desk: Desk, hl7: Callable[..., bytes]) -> None:
    desk.take(sent(hl7("ORU^R01", PID, OBR, "OBX|1|NM|a||2||||||F"), LATER, "2"))
    desk.take(hl7("ORU^R01", PID, OBR, "OBX|1|NM|a||1||||||P", control_id="1"))
    (row,) = values(desk)
    assert (row.number, row.status) == (2.0, "F")


def test_a_preliminary_value_becomes_final_without_being_sent_again(desk: Desk, hl7: Callable[..., bytes]) -> None:
    desk.take(hl7("ORU^R01", PID, OBR, "OBX|1|NM|a||1|mg||||||P".replace("||||||P", "|||||P"), control_id="1"))
    desk.take(sent(hl7("ORU^R01", PID, OBR, "OBX|1|NM|a||||||||U", "OBX|2|NM|b||||||||U"), LATER, "2"))
    (row,) = values(desk)
    assert (row.number, row.status) == (1.0, "U")


def test_a_preliminary_value_gives_way_to_a_final_one_of_another_time(desk: Desk, hl7: Callable[..., bytes]) -> None:
    early, late = "20260105062700", "20260105083000"
    desk.take(hl7("ORU^R01", PID, OBR, f"OBX|1|NM|a||4.06||||||P|||{early}", control_id="1"))
    desk.take(sent(hl7("ORU^R01", PID, OBR, f"OBX|1|NM|a||4.08||||||F|||{late}"), LATER, "2"))
    with desk.session() as session:
        patient = session.get_one(Patient, 1)
        assert [row.number for row in observations.in_use(session, patient)] == [4.08]
        assert len(observations.for_patient(session, patient)) == 2


def test_a_pending_value_is_none(desk: Desk, hl7: Callable[..., bytes]) -> None:
    desk.take(hl7("ORU^R01", PID, OBR, "OBX|1|NM|a||||||||I", "OBX|2|NM|b||1"))
    assert [row.code for row in values(desk)] == ["b"]


@pytest.mark.parametrize(
    ("obx", "location"), [("OBX|1|NM|" + "c" * 300 + "||1", "OBX^1^3"), ("OBX|1|NM|a|" + "s" * 65 + "|1", "OBX^1^4")]
)
def test_what_identifies_a_value_is_not_cut(desk: Desk, hl7: Callable[..., bytes], obx: str, location: str) -> None:
    ack = desk.take(hl7("ORU^R01", PID, OBR, obx))
    assert (ack.code, ack.error_code, ack.location) == ("AE", "104", location)


@pytest.mark.parametrize("obr", [OBR, OBR + "|" * 18 + "X"], ids=["deleted texts", "a cancelled order"])
def test_a_text_report_that_is_withdrawn_is_kept_and_not_used(desk: Desk, hl7: Callable[..., bytes], obr: str) -> None:
    with desk.session() as session:
        seed.done(session)
    desk.take(hl7("ORU^R01", PID, OBR, "OBX|1|TX|a||Bleeding.", control_id="1"))
    with desk.session() as session:
        for note in notes.queued(session):
            notes.save_analysis(session, note, [])
    desk.take(sent(hl7("ORU^R01", PID, obr, "OBX|1|TX|a||Bleeding.||||||W"), LATER, "2"))
    (note,) = desk.rows(Note)
    assert (note.state, note.text) == (NoteState.WITHDRAWN, "Bleeding.")
    assert desk.rows(Job)[0].state is JobState.INFERRED


def test_a_corrected_text_report_takes_the_place_of_the_first(desk: Desk, hl7: Callable[..., bytes]) -> None:
    new = sent(hl7("ORU^R01", PID, OBR, "OBX|1|TX|a||Bleeding.||||||C"), LATER, "2")
    desk.take(new)
    desk.take(hl7("ORU^R01", PID, OBR, "OBX|1|TX|a||No bleeding.||||||F", control_id="1"))
    (note,) = desk.rows(Note)
    assert note.text == "Bleeding."


def test_reports_of_recent_studies_are_looked_at_again_when_values_come(desk: Desk, hl7: Callable[..., bytes]) -> None:
    with desk.session() as session:
        seed.done(session, "1.2.3")
        old = seed.done(session, "1.2.4", accession="A2")
        session.get_one(Study, old.study_fk).first_instance_at = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    raw = hl7("ORU^R01", PID, OBR, "OBX|1|NM|a||1")
    desk.take(raw)
    assert {job.id: job.state for job in desk.rows(Job)} == {
        "job-1.2.3": JobState.INFERRED,
        "job-1.2.4": JobState.DONE,
    }
    assert not desk.lines("job.reopened")  # most values matter to no report: only what changes one is told


def test_values_that_are_as_they_were_open_no_report(desk: Desk, hl7: Callable[..., bytes]) -> None:
    raw = hl7("ORU^R01", PID, OBR, "OBX|1|NM|a||1")
    desk.take(raw)
    with desk.session() as session:
        seed.done(session)
    desk.take(sent(raw, LATER, "2"))
    assert [job.state for job in desk.rows(Job)] == [JobState.DONE]


def test_a_value_of_a_person_under_an_unnamed_authority_is_the_same_value(
    desk: Desk, hl7: Callable[..., bytes]
) -> None:
    desk.take(hl7("ORU^R01", PID, OBR, "OBX|1|NM|a||1", control_id="1"))
    desk.take(sent(hl7("ORU^R01", "PID|1||4711", OBR, "OBX|1|NM|a||2"), LATER, "2"))
    assert [row.number for row in values(desk)] == [2.0]


def test_results_of_the_bedside_and_alerts_of_others_are_answered_by_the_book(
    desk: Desk, hl7: Callable[..., bytes]
) -> None:
    for trigger in ("R03", "R30", "R32", "R40"):
        ack = desk.take(hl7(f"ORU^{trigger}", PID, OBR, "OBX|1|NM|a||1", control_id=trigger))
        assert (ack.code, ack.error_code) == ("AR", "201")


def test_many_values_are_stored_with_a_handful_of_statements(desk: Desk, hl7: Callable[..., bytes]) -> None:
    statements: list[str] = []
    event.listen(desk.records.engine, "before_cursor_execute", lambda *args: statements.append(str(args[2])))
    desk.take(hl7("ORU^R01", PID, OBR, *(f"OBX|{n}|NM|c{n}||1" for n in range(50))))
    assert len(values(desk)) == 50
    assert sum("observations" in statement for statement in statements) <= 3
