"""ADT says who a patient is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest

from node.records import identity
from node.records.schema import Patient, Study
from tests.node.hl7 import seed
from tests.node.hl7.conftest import Desk


def only_patient(desk: Desk) -> Patient:
    (row,) = desk.rows(Patient)
    return row


@pytest.mark.parametrize("event", ["A01", "A04", "A08"])
def test_demographics_are_taken_over(desk: Desk, hl7: Callable[..., bytes], event: str) -> None:
    pid = "PID|1||4711^^^HOSP&1.2.3&ISO^MR~99^^^SS||Doe^Jane^Q^Jr^Dr||19700102|F"
    assert desk.take(hl7(f"ADT^{event}", "EVN|A01", pid)).code == "AA"
    row = only_patient(desk)
    assert (row.patient_id, row.issuer, row.name) == ("4711", "HOSP", "Doe^Jane^Q^Dr^Jr")
    assert (row.birth_date, row.sex) == ("19700102", "F")


@pytest.mark.parametrize(
    ("pid", "attribute", "value"),
    [
        ("PID|1||1^^^&1.2.3&ISO||A^B", "issuer", "1.2.3"),
        ("PID|1||~^^^X~7^^^HOSP||A^B", "patient_id", "7"),
        ("PID|1||1||A^B||197001021530+0100", "birth_date", "19700102"),
        ("PID|1||1||A^B||1970", "birth_date", ""),
        ("PID|1||1||A^B||19701350", "birth_date", ""),
        ("PID|1||1||A^B|||f", "sex", "F"),
        ("PID|1||1||A^B|||U", "sex", ""),
        ("PID|1||1||A^B|||A", "sex", "O"),
        ("PID|1||1||Van\\T\\Co&van&Co^B", "name", "Van&Co^B"),
        (
            "PID|1||1||Yamada^Tarou^^^^^L^A~山田^太郎^^^^^L^I~やまだ^たろう^^^^^L^P",
            "name",
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
        ),
        ("PID|1||1||Evil=Name^^B", "name", "Evil Name^^B"),
    ],
)
def test_fields_of_all_habits_are_understood(
    desk: Desk, hl7: Callable[..., bytes], pid: str, attribute: str, value: str
) -> None:
    assert desk.take(hl7("ADT^A08", pid, charset="UNICODE UTF-8")).code == "AA"
    assert getattr(only_patient(desk), attribute) == value


def test_an_update_replaces_what_it_states_and_keeps_the_rest(desk: Desk, hl7: Callable[..., bytes]) -> None:
    desk.take(hl7("ADT^A01", "PID|1||1^^^H||Doe^Jane||19700102|F", control_id="1"))
    desk.take(hl7("ADT^A08", "PID|1||1^^^H||Roe^Jane", control_id="2"))
    row = only_patient(desk)
    assert (row.name, row.birth_date, row.sex) == ("Roe^Jane", "19700102", "F")


def test_a_disagreement_with_dicom_is_a_warning_without_values(desk: Desk, hl7: Callable[..., bytes]) -> None:
    with desk.session() as session:
        seed.study(session, name="Dough^Jane")
    desk.take(hl7("ADT^A08", "PID|1||4711^^^HOSP||Doe^Jane"))
    (line,) = desk.lines("patient.conflict")
    assert (line.level, line.study_fk) == ("warning", 1)
    assert "name" in line.text
    assert "Doe" not in line.text
    assert "Dough" not in line.text
    assert only_patient(desk).name == "Doe^Jane"


def test_a_name_keeps_its_ideographic_group_when_the_same_name_comes_without(
    desk: Desk, hl7: Callable[..., bytes]
) -> None:
    with desk.session() as session:
        seed.study(session, name="Yamada^Tarou=山田^太郎")
    desk.take(hl7("ADT^A08", "PID|1||4711||Yamada^Tarou"))
    assert only_patient(desk).name == "Yamada^Tarou=山田^太郎"
    assert desk.lines("patient.conflict") == []


def test_an_identifier_too_long_to_keep_is_refused_instead_of_cut(desk: Desk, hl7: Callable[..., bytes]) -> None:
    ack = desk.take(hl7("ADT^A01", f"PID|1||{'9' * 251}^^^H||Doe^Jane"))
    assert (ack.code, ack.error_code, ack.location) == ("AE", "104", "PID^1^3")


def test_another_way_to_spell_the_same_name_is_no_disagreement(desk: Desk, hl7: Callable[..., bytes]) -> None:
    with desk.session() as session:
        seed.study(session, name="DOE^JANE")
    desk.take(hl7("ADT^A08", "PID|1||4711||Doe^Jane^Q"))
    assert desk.lines("patient.conflict") == []


def test_a_registration_that_contradicts_the_images_puts_the_study_in_question(
    desk: Desk, hl7: Callable[..., bytes]
) -> None:
    with desk.session() as session:
        study = seed.study(session)
        identity.observe(session, study, {"name": "Doe^Jane", "birth_date": "19700102"})
    desk.take(hl7("ADT^A08", "PID|1||4711^^^HOSP||Doe^Jane||19710102"))
    with desk.session() as session:
        assert identity.in_question(session, session.get_one(Study, 1))
    (line,) = desk.lines("identity.question")
    assert (line.study_fk, line.message_fk, line.level) == (1, 1, "warning")
    assert "birth date" in line.text
    assert "197" not in line.text
    desk.take(hl7("ADT^A08", "PID|1||4711^^^HOSP||Doe^Jane||19700102", control_id="C2"))
    with desk.session() as session:
        assert not identity.in_question(session, session.get_one(Study, 1))


@pytest.mark.parametrize("event", ["A28", "A31"])
def test_persons_are_entered_and_updated(desk: Desk, hl7: Callable[..., bytes], event: str) -> None:
    assert desk.take(hl7(f"ADT^{event}", "EVN||202601011200", "PID|1||1^^^H||Doe^Jane||19700102|F")).code == "AA"
    row = only_patient(desk)
    assert (row.name, row.birth_date, row.sex) == ("Doe^Jane", "19700102", "F")


@pytest.mark.parametrize("order_first", [False, True])
def test_what_an_order_repeats_of_a_patient_replaces_nothing_that_a_registration_said(
    desk: Desk, hl7: Callable[..., bytes], order_first: bool
) -> None:
    right = hl7("ADT^A08", "PID|1||4711^^^HOSP||Doe^Jane||19700103|F", control_id="1", at="20260101100000+0000")
    stale = "PID|1||4711^^^HOSP||Doe^John||19700102", "ORC|NW|P1|F1", "OBR|1|P1|F1|X"
    later = hl7("ORM^O01", *stale, control_id="2", at="20260101110000+0000")
    for raw in (later, right) if order_first else (right, later):
        assert desk.take(raw).code == "AA"
    row = only_patient(desk)
    assert (row.name, row.birth_date, row.sex) == ("Doe^Jane", "19700103", "F")
    assert row.stated_at == dt.datetime(2026, 1, 1, 10, tzinfo=dt.UTC)
    warned = [line.text for line in desk.lines("patient.older")]
    kept = "A message that registers nobody states another name, birth date; the registration's is kept"
    assert warned == ([] if order_first else [kept])
