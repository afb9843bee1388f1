"""ORM^O01 and OMI^O23 become orders, change them, cancel them, and meet their studies."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from node.hl7 import inbound
from node.records.orders import match_study
from node.records.schema import Job, Order, Series, Study
from node.records.states import JobState, StudyState
from node.simulator import ris
from tests.node.hl7 import seed
from tests.node.hl7.conftest import Desk

PID = "PID|1||4711^^^HOSP||Doe^Jane||19700102|F"
PERSON = ris.Person(id="4711", name="Doe^Jane", birth_date="19700102", issuer="HOSP")


def only_order(desk: Desk) -> Order:
    (row,) = desk.rows(Order)
    return row


def test_an_orm_as_ihe_has_it_becomes_an_order(desk: Desk) -> None:
    raw = ris.order(PERSON, accession="A1", placer="P7", study_uid="1.2.840.1", priority="STAT", reason="memory loss")
    assert desk.take(raw).code == "AA"
    row = only_order(desk)
    assert (row.accession_number, row.placer_number, row.filler_number) == ("A1", "P7^RIS", "A1^RIS")
    assert (row.study_uid, row.priority, row.reason, row.status) == ("1.2.840.1", "STAT", "memory loss", "NW")
    assert (row.procedure_code, row.procedure_text, row.procedure_scheme) == ("24590-2", "MR Brain", "LN")
    assert row.context["OBR"]["4"] == "24590-2^MR Brain^LN"
    assert row.context["PV1"].startswith("PV1|1|O|RAD^^^HOSPITAL")


def test_an_omi_becomes_an_order(desk: Desk, hl7: Callable[..., bytes]) -> None:
    raw = hl7(
        "OMI^O23^OMI_O23",
        PID,
        "PV1|1|I",
        "ORC|NW|P1^RIS|F1^RIS",
        "TQ1|1||||||||A^ASAP^HL70485",
        "OBR|1|P1^RIS|F1^RIS|MRB^MR Brain^L",
        "IPC|ACC9^RIS|RP1|1.2.3.4|SPS1|MR",
    )
    assert desk.take(raw).code == "AA"
    row = only_order(desk)
    assert (row.accession_number, row.study_uid, row.priority) == ("ACC9", "1.2.3.4", "ASAP")


@pytest.mark.parametrize(
    ("orc", "obr", "tq1", "expected"),
    [
        ("ORC|NW|P1||||||", "OBR|1|P1||X|||||||||||||||||||||||^^^^^S", "", "STAT"),
        ("ORC|NW|P1|||||^^^^^A", "OBR|1|P1||X", "", "ASAP"),
        ("ORC|NW|P1", "OBR|1|P1||X", "TQ1|1||||||||S^Stat^HL70485", "STAT"),
        ("ORC|NW|P1", "OBR|1|P1||X|R", "", "ROUTINE"),
        ("ORC|NW|P1", "OBR|1|P1||X|S", "", "STAT"),
        ("ORC|NW|P1|||||^^^^^T", "OBR|1|P1||X", "", "ROUTINE"),
        ("ORC|NW|P1", "OBR|1|P1||X", "", "ROUTINE"),
    ],
)
def test_the_priority_is_found_where_versions_have_it(
    desk: Desk, hl7: Callable[..., bytes], orc: str, obr: str, tq1: str, expected: str
) -> None:
    assert desk.take(hl7("ORM^O01", PID, orc, *([tq1] if tq1 else []), obr)).code == "AA"
    assert only_order(desk).priority == expected


def test_the_filler_number_stands_for_a_missing_accession_number(desk: Desk, hl7: Callable[..., bytes]) -> None:
    desk.take(hl7("ORM^O01", PID, "ORC|NW|P1|F22^RIS", "OBR|1|P1|F22^RIS|X"))
    assert only_order(desk).accession_number == "F22"


def test_several_orders_of_one_message_are_several_orders(desk: Desk, hl7: Callable[..., bytes]) -> None:
    raw = hl7("ORM^O01", PID, "ORC|NW|P1|F1", "OBR|1|P1|F1|X", "ORC|NW|P2|F2", "OBR|1|P2|F2|Y", "OBR|2|P3|F3|Z")
    assert desk.take(raw).code == "AA"
    found = {(row.placer_number, row.procedure_code) for row in desk.rows(Order)}
    assert found == {("P1", "X"), ("P2", "Y"), ("P3", "Z")}


def test_a_change_updates_the_order_and_keeps_what_it_leaves_out(desk: Desk, hl7: Callable[..., bytes]) -> None:
    desk.take(ris.order(PERSON, accession="A1", priority="STAT", reason="first"))
    raw = hl7(
        "ORM^O01",
        PID,
        "ORC|XO|PA1^RIS|A1^RIS",
        "OBR|1|PA1^RIS|A1^RIS|70551^MRI brain^C4|||||||||||||||||||||||||||^new",
    )
    assert desk.take(raw).code == "AA"
    row = only_order(desk)
    assert (row.status, row.priority, row.reason, row.procedure_code) == ("XO", "STAT", "new", "70551")


def test_a_cancellation_without_obr_finds_its_order(desk: Desk, hl7: Callable[..., bytes]) -> None:
    desk.take(ris.order(PERSON, accession="A1"))
    assert desk.take(hl7("ORM^O01", PID, "ORC|CA|PA1^RIS")).code == "AA"
    assert only_order(desk).status == "CA"


def test_an_order_without_any_number_is_refused(desk: Desk, hl7: Callable[..., bytes]) -> None:
    ack = desk.take(hl7("ORM^O01", PID, "ORC|NW", "OBR|1|||X"))
    assert (ack.code, ack.error_code, ack.location) == ("AE", "101", "ORC^1^2")


def test_an_order_number_of_another_patient_is_refused(desk: Desk) -> None:
    desk.take(ris.order(PERSON, accession="A1"))
    ack = desk.take(ris.order(ris.Person(id="OTHER", issuer="HOSP"), accession="A1"))
    assert (ack.code, ack.error_code) == ("AE", "205")
    assert only_order(desk).status == "NW"


@pytest.mark.parametrize(
    ("orc", "obr"),
    [
        ("ORC|NW|" + "9" * 300, "OBR|1|||X"),
        ("ORC|NW|P1", "OBR|1|P1||X" + "|" * 14 + "9" * 65),
    ],
)
def test_a_number_too_long_to_keep_is_refused_instead_of_cut(
    desk: Desk, hl7: Callable[..., bytes], orc: str, obr: str
) -> None:
    ack = desk.take(hl7("ORM^O01", PID, orc, obr))
    assert (ack.code, ack.error_code) == ("AE", "104")


def test_what_orc_1_says_beyond_a_code_is_not_on_the_timeline(desk: Desk, hl7: Callable[..., bytes]) -> None:
    desk.take(hl7("ORM^O01", PID, "ORC|Doe Jane|P1", "OBR|1|P1||X"))
    assert all("Doe" not in line.text for line in desk.lines())


def test_an_order_of_drugs_is_accepted_and_none_of_ours(desk: Desk, hl7: Callable[..., bytes]) -> None:
    assert desk.take(hl7("ORM^O01", PID, "ORC|NW|P1", "RXO|1|aspirin")).code == "AA"
    assert desk.rows(Order) == []
    assert "no imaging order" in desk.lines("message.processed")[0].text


def test_a_study_finds_its_order_by_accession_number_and_patient(desk: Desk) -> None:
    desk.take(ris.order(PERSON, accession="A1", priority="STAT"))
    with desk.session() as session:
        study = seed.study(session)
        order = match_study(session, study)
        assert order is not None
        assert (study.order_fk, study.priority) == (order.id, "STAT")
        match_study(session, study)
    assert len(desk.lines("order.matched")) == 1


def test_a_study_finds_its_order_by_uid_where_the_accession_number_was_not_typed(desk: Desk) -> None:
    desk.take(ris.order(PERSON, accession="A1", study_uid="1.2.99"))
    with desk.session() as session:
        assert match_study(session, seed.study(session, "1.2.99", accession="")) is not None


def test_an_order_of_another_patient_is_never_taken_and_says_so(desk: Desk) -> None:
    desk.take(ris.order(PERSON, accession="A1", study_uid="1.2.3"))
    with desk.session() as session:
        study = seed.study(session, patient_id="OTHER", name="Roe^Richard")
        assert match_study(session, study) is None
        assert match_study(session, study) is None
        assert study.order_fk is None
    (line,) = desk.lines("order.mismatch")
    assert line.level == "warning"
    assert line.study_fk == 1


def test_an_order_of_another_authority_with_the_same_patient_number_is_not_taken(desk: Desk) -> None:
    desk.take(ris.order(PERSON, accession="A1"))
    with desk.session() as session:
        assert match_study(session, seed.study(session, issuer="ELSEWHERE")) is None


def test_a_cancelled_order_is_not_taken(desk: Desk) -> None:
    desk.take(ris.order(PERSON, accession="A1", control="CA"))
    with desk.session() as session:
        assert match_study(session, seed.study(session)) is None
    assert len(desk.lines("order.cancelled")) == 1


def test_an_order_that_comes_after_its_study_is_matched_at_once(desk: Desk) -> None:
    with desk.session() as session:
        seed.study(session)
    desk.take(ris.order(PERSON, accession="A1", priority="STAT"))
    (study,) = desk.rows(Study)
    assert (study.order_fk, study.priority) == (only_order(desk).id, "STAT")
    (line,) = desk.lines("order.matched")
    assert line.study_fk == study.id


def test_a_late_order_of_another_patient_is_a_warning_on_the_study(desk: Desk) -> None:
    with desk.session() as session:
        seed.study(session, patient_id="OTHER", name="Roe^Richard")
    desk.take(ris.order(PERSON, accession="A1"))
    (study,) = desk.rows(Study)
    assert study.order_fk is None
    assert len(desk.lines("order.mismatch")) == 1


def test_a_late_order_only_makes_a_judged_study_more_urgent(desk: Desk) -> None:
    with desk.session() as session:
        row = seed.study(session, state=StudyState.DONE)
        row.priority = "ASAP"
    desk.take(ris.order(PERSON, accession="A1", priority="ROUTINE"))
    (study,) = desk.rows(Study)
    assert study.order_fk is not None
    assert study.priority == "ASAP"


def test_an_order_cancelled_after_its_study_came_is_a_warning_on_the_study(desk: Desk) -> None:
    with desk.session() as session:
        seed.study(session)
    desk.take(ris.order(PERSON, accession="A1"))
    desk.take(ris.order(PERSON, accession="A1", control="CA"))
    lines = desk.lines("order.cancelled")
    assert lines
    assert {line.study_fk for line in lines} == {1}


def test_a_report_that_is_done_is_looked_at_again_when_its_order_comes(desk: Desk) -> None:
    with desk.session() as session:
        study = seed.study(session, state=StudyState.DONE)
        series = Series(uid="1.2.3.1", study=study)
        session.add(series)
        session.flush()
        session.add(
            Job(
                id="j",
                study_fk=study.id,
                series_fk=series.id,
                model="m",
                rule="r",
                input_digest="d",
                state=JobState.DONE,
            )
        )
    desk.take(ris.order(PERSON, accession="A1"))
    (job,) = desk.rows(Job)
    assert job.state is JobState.INFERRED
    desk.take(ris.order(PERSON, accession="A1"))  # the same content under another control id changes nothing
    assert len(desk.lines("job.reopened")) == 1


def test_every_handler_is_in_the_table() -> None:
    assert sorted(inbound.HANDLERS) == [
        "ADT^A01",
        "ADT^A04",
        "ADT^A08",
        "MDM^T02",
        "OMI^O23",
        "ORM^O01",
        "ORU^R01",
    ]
