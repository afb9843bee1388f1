"""ORM^O01, OMG^O19 and OMI^O23 become orders, change them, cancel them, and meet their studies."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from node.hl7 import inbound
from node.hl7.handlers import orders
from node.records import notes
from node.records.order_entry import OrderStatement
from node.records.orders import CANCELLED, match_study
from node.records.schema import Job, Note, Order, Series, Study
from node.records.states import JobState, StudyState
from node.settings import Hl7Section
from node.simulator import ris
from tests.node.hl7 import seed
from tests.node.hl7.conftest import Desk
from tests.node.hl7.stamped import sent

PID = "PID|1||4711^^^HOSP||Doe^Jane||19700102|F"
EARLIER, LATER = "20260101110000+0000", "20991231120000+0000"
PERSON = ris.Person(id="4711", name="Doe^Jane", birth_date="19700102", issuer="HOSP")


def stated(raw: bytes) -> tuple[OrderStatement, ...]:
    """Return the orders of a message as they are read."""
    said: tuple[OrderStatement, ...] = inbound.understand(raw, Hl7Section()).statement.orders
    return said


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
        ("ORC|NW|P1", "OBR|1|P1||X", "", ""),
    ],
)
def test_the_priority_is_found_where_versions_have_it(
    hl7: Callable[..., bytes], orc: str, obr: str, tq1: str, expected: str
) -> None:
    (said,) = stated(hl7("ORM^O01", PID, orc, *([tq1] if tq1 else []), obr))
    assert said.priority == expected


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
    assert desk.take(sent(raw, LATER)).code == "AA"
    row = only_order(desk)
    assert (row.status, row.priority, row.reason, row.procedure_code) == ("XO", "STAT", "new", "70551")


def test_a_cancellation_without_obr_finds_its_order(desk: Desk, hl7: Callable[..., bytes]) -> None:
    desk.take(ris.order(PERSON, accession="A1"))
    assert desk.take(sent(hl7("ORM^O01", PID, "ORC|CA|PA1^RIS"), LATER)).code == "AA"
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


def test_a_study_lets_go_of_an_order_that_is_cancelled_afterwards_as_if_it_had_never_had_it(desk: Desk) -> None:
    desk.take(ris.order(PERSON, accession="A1", priority="STAT"))
    with desk.session() as session:
        study = seed.study(session)
        assert match_study(session, study) is not None
    desk.take(ris.order(PERSON, accession="A1", control="CA"))
    with desk.session() as session:
        assert session.get_one(Study, study.id).order_fk is None
    assert len(desk.lines("order.cancelled")) == 2


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


def test_the_three_order_messages_have_their_handler() -> None:
    assert {inbound.HANDLERS[kind].take for kind in ("ORM^O01", "OMG^O19", "OMI^O23")} == {orders.take}


@pytest.mark.parametrize(
    ("kind", "answer"),
    [("OML^O21", ("AR", "200")), ("ORM^O02", ("AR", "201")), ("RDE^O11", ("AR", "200"))],
)
def test_orders_of_other_departments_are_not_supported(
    desk: Desk, hl7: Callable[..., bytes], kind: str, answer: tuple[str, str]
) -> None:
    ack = desk.take(hl7(kind, PID, "ORC|NW|P1", "OBR|1|P1||X"))
    assert (ack.code, ack.error_code) == answer


# ------------------------------------------------------------------------------------------------ status


@pytest.mark.parametrize(
    ("orc", "status", "active"),
    [
        ("ORC|XO|P1|F1", "XO", True),
        ("ORC|XX|P1|F1", "XX", True),
        ("ORC|CA|P1|F1", "CA", False),
        ("ORC|CR|P1|F1", "CR", False),
        ("ORC|OC|P1|F1", "OC", False),
        ("ORC|DC|P1|F1", "DC", False),
        ("ORC|DR|P1|F1", "DR", False),
        ("ORC|OD|P1|F1", "OD", False),
        ("ORC|RP|P1|F1", "RP", False),
        ("ORC|RU|P1|F1", "RU", False),
        ("ORC|HD|P1|F1", "HD", True),
        ("ORC|UC|P1|F1", "UC", True),
        ("ORC|SC|P1|F1||IP", "SC", True),
        ("ORC|SC|P1|F1||CM", "SC", True),
        ("ORC|SC|P1|F1||CA", "CA", False),
        ("ORC|SC|P1|F1||DC", "DC", False),
        ("ORC|SC|P1|F1||ER", "", True),
        ("ORC|SC|P1|F1", "", True),
        ("ORC|NA|P1|F1", "", True),
        ("ORC|UX|P1|F1", "", True),
        ("ORC|ca|P1|F1", "CA", False),
    ],
)
def test_the_order_control_code_says_whether_an_order_holds(
    hl7: Callable[..., bytes], orc: str, status: str, active: bool
) -> None:
    (said,) = stated(hl7("ORM^O01", PID, orc))
    assert said.status == status
    assert (status not in CANCELLED) is active


@pytest.mark.parametrize(
    ("orc", "status"), [("ORC|XO|P1|F1", "XO"), ("ORC|SC|P1|F1||DC", "DC"), ("ORC|NA|P1|F1", "NW")]
)
def test_an_order_has_the_status_that_was_stated_last(
    desk: Desk, hl7: Callable[..., bytes], orc: str, status: str
) -> None:
    desk.take(hl7("ORM^O01", PID, "ORC|NW|P1|F1", "OBR|1|P1|F1|X", control_id="1"))
    assert desk.take(sent(hl7("ORM^O01", PID, orc, control_id="2"), LATER)).code == "AA"
    assert only_order(desk).status == status
    with desk.session() as session:
        assert (match_study(session, seed.study(session, accession="F1")) is None) is (status in CANCELLED)


def test_a_request_to_cancel_that_cannot_be_granted_leaves_the_order(desk: Desk, hl7: Callable[..., bytes]) -> None:
    for number, orc in enumerate(("ORC|NW|P1", "ORC|CA|P1", "ORC|UC|P1"), 1):
        raw = hl7("ORM^O01", PID, orc, "OBR|1|P1||X", control_id=str(number))
        assert desk.take(sent(raw, f"2026010112000{number}+0000")).code == "AA"
    assert only_order(desk).status == "UC"


def test_an_order_that_replaces_another_is_the_one_that_is_used(desk: Desk, hl7: Callable[..., bytes]) -> None:
    ipc = "IPC|A1|RP1|1.2.3.4"
    desk.take(hl7("OMI^O23", PID, "ORC|NW|P1|F1", "OBR|1|P1|F1|X", ipc, control_id="1"))
    raw = hl7("OMI^O23", PID, "ORC|RP|P1|F1", "ORC|RO|P2|F2", "OBR|1|P2|F2|Y", ipc, control_id="2")
    assert desk.take(sent(raw, LATER)).code == "AA"
    assert {(row.placer_number, row.status) for row in desk.rows(Order)} == {("P1", "RP"), ("P2", "RO")}
    with desk.session() as session:
        order = match_study(session, seed.study(session))
        assert order is not None
        assert order.placer_number == "P2"


@pytest.mark.parametrize(("orc", "code"), [("ORC||P1", "101"), ("ORC|ZZ|P1", "103"), ("ORC|Doe Jane|P1", "103")])
def test_an_order_control_code_that_nobody_knows_is_refused(
    desk: Desk, hl7: Callable[..., bytes], orc: str, code: str
) -> None:
    ack = desk.take(hl7("ORM^O01", PID, orc, "OBR|1|P1||X"))
    assert (ack.code, ack.error_code, ack.location) == ("AE", code, "ORC^1^1")
    assert desk.rows(Order) == []


# ------------------------------------------------------------------------------------------------ old and new


def test_a_cancelled_order_is_not_revived_by_its_old_message(desk: Desk, hl7: Callable[..., bytes]) -> None:
    new = hl7("ORM^O01", PID, "ORC|NW|P1|F1", "OBR|1|P1|F1|X")
    desk.take(sent(new, EARLIER, "1"))
    desk.take(sent(hl7("ORM^O01", PID, "ORC|CA|P1|F1"), LATER, "2"))
    desk.take(sent(new, EARLIER, "3"))
    assert only_order(desk).status == "CA"
    assert "known from newer messages" in desk.lines("message.processed")[-1].text


def test_an_old_message_fills_what_no_newer_one_says(desk: Desk, hl7: Callable[..., bytes]) -> None:
    desk.take(sent(hl7("ORM^O01", PID, "ORC|XO|P1|F1", "OBR|1|P1|F1|Y^New^L"), LATER, "2"))
    old = "OBR|1|P1|F1|X^Old^L|S" + "|" * 26 + "^headache"
    desk.take(sent(hl7("ORM^O01", PID, "ORC|NW|P1|F1", old), EARLIER, "1"))
    row = only_order(desk)
    assert (row.status, row.procedure_code, row.priority, row.reason) == ("XO", "Y", "STAT", "headache")


def test_a_cancellation_that_comes_first_holds(desk: Desk, hl7: Callable[..., bytes]) -> None:
    desk.take(sent(hl7("ORM^O01", PID, "ORC|CA|P1|F1"), LATER, "2"))
    desk.take(sent(hl7("ORM^O01", PID, "ORC|NW|P1|F1", "OBR|1|P1|F1|X|S"), EARLIER, "1"))
    row = only_order(desk)
    assert (row.status, row.priority, row.procedure_code) == ("CA", "STAT", "X")


def test_a_cancellation_keeps_the_accession_number(desk: Desk, hl7: Callable[..., bytes]) -> None:
    desk.take(sent(hl7("ORM^O01", PID, "ORC|NW|P1|F1", "OBR|1|P1|F1|X" + "|" * 14 + "A1"), EARLIER, "1"))
    desk.take(sent(hl7("ORM^O01", PID, "ORC|CA|P1|F1"), LATER, "2"))
    assert only_order(desk).accession_number == "A1"


def test_a_number_that_is_assigned_later_joins_what_is_known_apart(desk: Desk, hl7: Callable[..., bytes]) -> None:
    desk.take(sent(hl7("ORM^O01", PID, "ORC|NW|P1", "OBR|1|P1||X|S"), EARLIER, "1"))
    desk.take(hl7("ORM^O01", PID, "ORC|SN||F1^RIS", "OBR|1||F1^RIS|Y", control_id="2"))
    assert len(desk.rows(Order)) == 2
    assert desk.take(sent(hl7("ORM^O01", PID, "ORC|NA|P1^OE|F1^RIS", control_id="3"), LATER)).code == "AA"
    row = only_order(desk)
    assert (row.placer_number, row.filler_number, row.accession_number) == ("P1^OE", "F1^RIS", "F1")
    assert (row.priority, row.procedure_code) == ("STAT", "Y")


def test_a_study_stays_with_the_order_that_two_rows_become(desk: Desk, hl7: Callable[..., bytes]) -> None:
    desk.take(hl7("ORM^O01", PID, "ORC|NW|P1", "OBR|1|P1||X|S", control_id="1"))
    desk.take(hl7("ORM^O01", PID, "ORC|SN||F1", "OBR|1||F1|Y", control_id="2"))
    with desk.session() as session:
        assert match_study(session, seed.study(session, accession="F1")) is not None
    desk.take(sent(hl7("ORM^O01", PID, "ORC|NA|P1|F1", control_id="3"), LATER))
    (study,) = desk.rows(Study)
    assert study.order_fk == only_order(desk).id


def test_numbers_that_become_those_of_another_patients_order_are_refused(desk: Desk, hl7: Callable[..., bytes]) -> None:
    desk.take(hl7("ORM^O01", PID, "ORC|NW|P1|F1", "OBR|1|P1|F1|X", control_id="1"))
    other = PID.replace("4711", "4712")
    desk.take(hl7("ORM^O01", other, "ORC|NW|P1", "OBR|1|P1||X", control_id="2"))
    ack = desk.take(sent(hl7("ORM^O01", other, "ORC|NA|P1|F1", control_id="3"), LATER))
    assert (ack.code, ack.error_code) == ("AE", "205")
    assert [(row.placer_number, row.filler_number) for row in desk.rows(Order)] == [("P1", "F1"), ("P1", "")]


# ------------------------------------------------------------------------------------------------ what is an order


def test_the_specimen_and_the_ordering_provider_are_kept_for_the_result(desk: Desk, hl7: Callable[..., bytes]) -> None:
    orc, obr = "ORC|NW|P1|F1" + "|" * 9 + "77^Order^Olga", "OBR|1|P1|F1|X" + "|" * 11 + "SER^Serum"
    spm = "SPM|1|S1^L||BLD^Blood^HL70487"
    assert desk.take(hl7("OMG^O19", PID, orc, obr, spm, "SPM|2|S2^L||SER")).code == "AA"
    row = only_order(desk)
    assert row.context["SPM"] == [spm, "SPM|2|S2^L||SER"]
    assert row.context["OBR"]["15"] == "SER^Serum"
    assert row.context["ORC"]["12"] == "77^Order^Olga"
    desk.take(sent(hl7("OMG^O19", PID, "ORC|CA|P1|F1", control_id="2"), LATER))
    assert only_order(desk).context["ORC"]["12"] == "77^Order^Olga"


def test_a_priority_before_several_procedures_is_that_of_all(desk: Desk, hl7: Callable[..., bytes]) -> None:
    raw = hl7("OMG^O19", PID, "ORC|NW|P1", "TQ1|1||||||||S", "OBR|1|P1|F1|X", "OBR|2|P1|F2|Y")
    assert desk.take(raw).code == "AA"
    assert [row.priority for row in desk.rows(Order)] == ["STAT", "STAT"]


@pytest.mark.parametrize(
    ("section", "ours"),
    [("LAB", 0), ("CH", 0), ("HM", 0), ("PHR", 0), ("RAD", 1), ("CT", 1), ("NMR", 1), ("RUS", 1), ("OTH", 1), ("", 1)],
)
def test_an_order_of_a_laboratory_or_a_pharmacy_is_none_of_ours(
    hl7: Callable[..., bytes], section: str, ours: int
) -> None:
    obr = "OBR|1|P1|F1|2160-0^Creatinine^LN" + "|" * 20 + section
    assert len(stated(hl7("OMG^O19", PID, "ORC|NW|P1|F1", obr))) == ours
    assert len(stated(hl7("OMI^O23", PID, "ORC|NW|P1|F1", obr, "IPC|A1|RP1|1.2.3"))) == 1


def test_a_cancelled_drug_is_no_imaging_order(desk: Desk, hl7: Callable[..., bytes]) -> None:
    assert desk.take(hl7("ORM^O01", PID, "ORC|CA|P1", "RXO|1|aspirin")).code == "AA"
    assert desk.rows(Order) == []


def test_earlier_results_beside_an_order_are_no_orders(desk: Desk, hl7: Callable[..., bytes]) -> None:
    raw = hl7(
        "OMG^O19", PID, "ORC|NW|P1|F1", "OBR|1|P1|F1|X",
        "PID|1||OLD^^^ELSEWHERE", "PV1|1|O", "OBR|1||F8|W", "OBX|1|NM|a||1",
        "ORC|PR||F9", "OBR|1||F9|Z",
    )  # fmt: skip
    assert desk.take(raw).code == "AA"
    assert only_order(desk).filler_number == "F1"


def test_orders_of_two_patients_in_one_message_are_refused(desk: Desk, hl7: Callable[..., bytes]) -> None:
    second = PID.replace("4711", "4712")
    raw = hl7("ORM^O01", PID, "ORC|NW|P1", "OBR|1|P1||X", second, "ORC|NW|P2", "OBR|1|P2||X")
    ack = desk.take(raw)
    assert (ack.code, ack.error_code, ack.location) == ("AE", "100", "PID^2")
    assert desk.rows(Order) == []


def test_a_message_of_endless_orders_is_refused_as_a_whole(
    desk: Desk, hl7: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.hl7.handlers.orders.ORDERS_MAX", 3)
    segments = [segment for n in range(4) for segment in (f"ORC|NW|P{n}", f"OBR|1|P{n}||X")]
    ack = desk.take(hl7("ORM^O01", PID, *segments))
    assert (ack.code, ack.error_code) == ("AE", "104")
    assert desk.rows(Order) == []


def test_fields_without_end_are_left_out_of_what_is_copied(desk: Desk, hl7: Callable[..., bytes]) -> None:
    obr = "OBR|1|P1|F1|X" + "|" * 9 + "r" * 9000 + "|" * 3 + "tel"
    assert desk.take(hl7("ORM^O01", PID, "ORC|NW|P1|F1", obr, "SPM|" + "s" * 3000)).code == "AA"
    row = only_order(desk)
    assert "13" not in row.context["OBR"]
    assert "SPM" not in row.context
    assert len(row.reason) == 4000


def test_a_late_order_takes_a_note_to_its_examination(desk: Desk, hl7: Callable[..., bytes]) -> None:
    txa = "TXA|1|CN|TX|20260101090000||||||||D1^EHR||P7^RIS"
    desk.take(hl7("MDM^T02", PID, txa, "OBX|1|TX|||text", control_id="1"))
    with desk.session() as session:
        seed.study(session, "1.2.3", accession="A1")
        seed.study(session, "1.2.4", accession="A2")
    (note,) = desk.rows(Note)
    assert note.accession_number == ""
    desk.take(hl7("ORM^O01", PID, "ORC|NW|P7^RIS", "OBR|1|P7^RIS||X" + "|" * 14 + "A2", control_id="2"))
    (note,) = desk.rows(Note)
    assert note.accession_number == "A2"
    with desk.session() as session:
        assert [study.uid for study in notes.studies_for_note(session, session.merge(note))] == ["1.2.4"]
