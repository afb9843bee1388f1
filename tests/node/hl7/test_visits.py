"""Visits: admitted, moved, discharged, cancelled, admitted again, in any order."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable

import pytest

from node.records import visits
from node.records.schema import Job, Patient, Visit
from node.records.states import JobState, VisitState
from tests.node.hl7 import seed
from tests.node.hl7.conftest import Desk

Write = Callable[..., bytes]
PID = "PID|1||1^^^HOSP||Doe^Jane"


def pv1(
    number: str = "V1^^^HOSP", kind: str = "I", place: str = "W1^R2^B3", admitted: str = "", discharged: str = ""
) -> str:
    fields = [""] * 46
    fields[0], fields[1], fields[2], fields[3], fields[19] = "PV1", "1", kind, place, number
    fields[44], fields[45] = admitted, discharged
    return "|".join(fields).rstrip("|")


def only_visit(desk: Desk) -> Visit:
    (row,) = desk.rows(Visit)
    return row


@pytest.mark.parametrize(
    ("event", "state"),
    [
        ("A01", VisitState.OPEN),
        ("A02", VisitState.OPEN),
        ("A03", VisitState.CLOSED),
        ("A04", VisitState.OPEN),
        ("A05", VisitState.EXPECTED),
        ("A08", VisitState.EXPECTED),
        ("A11", VisitState.CANCELLED),
        ("A13", VisitState.OPEN),
    ],
)
def test_each_event_has_its_state(desk: Desk, hl7: Write, event: str, state: VisitState) -> None:
    assert desk.take(hl7(f"ADT^{event}", "EVN|X", PID, pv1())).code == "AA"
    row = only_visit(desk)
    assert (row.number, row.source, row.state) == ("V1^HOSP", "RIS|HOSP", state)
    assert (row.patient_class, row.location) == ("I", "W1^R2^B3")


@pytest.mark.parametrize("event", ["A28", "A31"])
def test_what_is_about_a_person_alone_makes_no_visit(desk: Desk, hl7: Write, event: str) -> None:
    assert desk.take(hl7(f"ADT^{event}", PID, pv1(kind="N"))).code == "AA"
    assert desk.rows(Visit) == []
    assert len(desk.rows(Patient)) == 1


@pytest.mark.parametrize("segments", [(), (pv1(""),), (pv1('""'),)])
def test_without_a_number_there_is_no_visit(desk: Desk, hl7: Write, segments: tuple[str, ...]) -> None:
    assert desk.take(hl7("ADT^A01", PID, *segments)).code == "AA"
    assert desk.rows(Visit) == []


def test_a_visit_has_the_times_that_are_stated(desk: Desk, hl7: Write) -> None:
    desk.take(hl7("ADT^A01", PID, pv1(admitted="202601010700+0000"), control_id="1", at="20260101080000+0000"))
    desk.take(hl7("ADT^A03", "EVN|A03|||||202601031000+0000", PID, pv1(), control_id="2", at="20260103110000+0000"))
    row = only_visit(desk)
    assert row.admitted_at == dt.datetime(2026, 1, 1, 7, tzinfo=dt.UTC)
    assert row.discharged_at == dt.datetime(2026, 1, 3, 10, tzinfo=dt.UTC)


def test_without_times_the_messages_own_count(desk: Desk, hl7: Write) -> None:
    desk.take(hl7("ADT^A04", PID, pv1(), control_id="1", at="20260101080000+0000"))
    desk.take(hl7("ADT^A03", PID, pv1(), control_id="2", at="20260103110000+0000"))
    row = only_visit(desk)
    assert row.admitted_at == dt.datetime(2026, 1, 1, 8, tzinfo=dt.UTC)
    assert row.discharged_at == dt.datetime(2026, 1, 3, 11, tzinfo=dt.UTC)


def test_a_cancelled_discharge_opens_the_visit_and_a_cancelled_admission_ends_it(desk: Desk, hl7: Write) -> None:
    for hour, event in enumerate(("A01", "A03", "A13"), 8):
        desk.take(hl7(f"ADT^{event}", PID, pv1(), control_id=event, at=f"20260101{hour:02}0000"))
    assert (only_visit(desk).state, only_visit(desk).discharged_at) == (VisitState.OPEN, None)
    desk.take(hl7("ADT^A11", PID, pv1(), control_id="A11", at="20260101120000"))
    assert only_visit(desk).state is VisitState.CANCELLED
    desk.take(hl7("ADT^A01", PID, pv1(), control_id="again", at="20260101130000"))
    assert only_visit(desk).state is VisitState.OPEN


def test_messages_in_any_order_give_the_same_visit(desk: Desk, hl7: Write) -> None:
    raws = [
        hl7("ADT^A05", PID, pv1("{}", "E", ""), control_id="1", at="20260101080000+0000"),
        hl7("ADT^A01", PID, pv1("{}", "I", "W1"), control_id="2", at="20260101090000+0000"),
        hl7("ADT^A02", PID, pv1("{}", "I", "W2"), control_id="3", at="20260101100000+0000"),
        hl7("ADT^A03", PID, pv1("{}", "", ""), control_id="4", at="20260101110000+0000"),
        hl7("ADT^A13", PID, pv1("{}", "", ""), control_id="5", at="20260101120000+0000"),
    ]
    for number, order in enumerate(itertools.islice(itertools.permutations(raws), 0, None, 5)):
        desk.arrive(*(raw.replace(b"{}", f"V{number}".encode()) for raw in order))
    desk.work()
    found = {
        (row.state, row.patient_class, row.location, row.admitted_at, row.discharged_at, row.stated_at)
        for row in desk.rows(Visit)
    }
    at = dt.datetime(2026, 1, 1, 9, tzinfo=dt.UTC)
    assert found == {(VisitState.OPEN, "I", "W2", at, None, dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC))}
    assert len(desk.rows(Visit)) == 24


def test_a_number_of_another_patients_visit_is_left_alone_and_said(desk: Desk, hl7: Write) -> None:
    desk.take(hl7("ADT^A01", PID, pv1(), control_id="1"))
    assert desk.take(hl7("ADT^A03", "PID|1||2^^^HOSP||Roe^Jane", pv1(), control_id="2")).code == "AA"
    assert only_visit(desk).state is VisitState.OPEN
    (line,) = desk.lines("visit.conflict")
    assert line.level == "warning"
    assert len(desk.rows(Patient)) == 2


def test_after_a_merge_what_was_said_of_the_visit_under_the_other_number_counts(desk: Desk, hl7: Write) -> None:
    other = "PID|1||2^^^HOSP||Doe^Jane"
    desk.take(hl7("ADT^A01", PID, pv1(), control_id="1", at="20260101080000+0000"))
    desk.take(hl7("ADT^A03", other, pv1(place="W9"), control_id="2", at="20260101110000+0000"))
    desk.take(hl7("ADT^A03", "PID|1||3^^^HOSP", pv1(), control_id="3", at="20260101120000+0000"))
    assert only_visit(desk).state is VisitState.OPEN
    desk.take(hl7("ADT^A40", other, "MRG|1^^^HOSP", control_id="4", at="20260101100000+0000"))
    row = only_visit(desk)
    assert (row.state, row.location, row.message_fk) == (VisitState.CLOSED, "W9", 2)
    assert row.discharged_at == dt.datetime(2026, 1, 1, 11, tzinfo=dt.UTC)
    assert len(desk.lines("visit.conflict")) == 2


def test_the_current_visit_is_the_open_one_that_began_last(desk: Desk, hl7: Write) -> None:
    for number, event, hour in (("V1", "A01", 8), ("V2", "A01", 9), ("V3", "A01", 10), ("V4", "A05", 11)):
        desk.take(hl7(f"ADT^{event}", PID, pv1(number), control_id=number, at=f"20260101{hour:02}0000"))
    desk.take(hl7("ADT^A03", PID, pv1("V3"), control_id="out", at="20260101120000"))
    with desk.session() as session:
        patient = session.get_one(Patient, 1)
        current = visits.current(session, patient)
        assert current is not None
        assert current.number == "V2"


def test_a_visit_number_too_long_to_keep_is_refused(desk: Desk, hl7: Write) -> None:
    ack = desk.take(hl7("ADT^A01", PID, pv1("9" * 251)))
    assert (ack.code, ack.error_code, ack.location) == ("AE", "104", "PV1^1^19")


def test_reports_are_looked_at_again_when_the_patient_leaves_the_emergency_department(desk: Desk, hl7: Write) -> None:
    desk.take(hl7("ADT^A04", "EVN|X", PID, pv1(kind="E")))
    with desk.session() as session:
        seed.done(session, patient_id="1", issuer="HOSP")
    desk.take(hl7("ADT^A08", "EVN|X", PID, pv1(kind="E", place="W2")))
    assert [job.state for job in desk.rows(Job)] == [JobState.DONE]
    desk.take(hl7("ADT^A01", "EVN|X", PID, pv1(kind="I")))
    assert [job.state for job in desk.rows(Job)] == [JobState.INFERRED]
    assert len(desk.lines("job.reopened")) == 1
