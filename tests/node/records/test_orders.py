"""Order numbers and what they mean."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import select

from node.records import order_entry, orders, patients
from node.records.engine import Records
from node.records.order_entry import OrderStatement
from node.records.schema import Order, Study
from node.records.states import StudyState


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1^A", "1^A", True),
        ("1^A", "1", True),
        ("1", "1^A", True),
        ("1^A", "1^B", False),
        ("1^A", "2^A", False),
        ("", "", False),
        ("", "1", False),
    ],
)
def test_numbers_are_compared_within_their_namespace(one: str, other: str, same: bool) -> None:
    assert orders.same_number(one, other) is same


def test_an_order_is_found_by_any_number_unless_another_one_differs(records: Records) -> None:
    with records.write() as session:
        patient = patients.find_or_create(session, "1", "H")
        row = Order(patient=patient, placer_number="P1^R", filler_number="F1", accession_number="A1")
        session.add(row)
        session.flush()
        assert orders.find(session, patient, placer="P1") is row
        assert orders.find(session, patient, filler="F1^X") is row
        assert orders.find(session, patient, accession="A1") is row
        assert orders.find(session, patient, placer="P2", accession="A1") is None
        assert orders.find(session, patient, placer="P1", filler="F2") is None
        assert orders.find(session, patient) is None
        assert orders.find(session, patients.find_or_create(session, "2", "H"), accession="A1") is None


def test_an_active_order_is_preferred_to_a_cancelled_one(records: Records) -> None:
    with records.write() as session:
        patient = patients.find_or_create(session, "1", "H")
        active = Order(patient=patient, placer_number="P1", accession_number="A1", status="NW", priority="ASAP")
        cancelled = Order(patient=patient, placer_number="P2", accession_number="A1", status="CA", priority="STAT")
        study = Study(uid="1.2", patient=patient, accession_number="A1", state=StudyState.RECEIVING)
        session.add_all([active, cancelled, study])
        session.flush()
        assert orders.match_study(session, study) is active
        assert study.priority == "ASAP"


def test_a_study_without_numbers_matches_nothing(records: Records) -> None:
    with records.write() as session:
        patient = patients.find_or_create(session, "1", "H")
        order = Order(patient=patient, placer_number="P1", accession_number="", study_uid="", priority="STAT")
        study = Study(uid="1.2", patient=patient, accession_number="", state=StudyState.RECEIVING)
        session.add_all([order, study])
        session.flush()
        assert orders.match_study(session, study) is None
        assert orders.studies_for_order(session, order) == []


FIRST, SECOND, THIRD = (dt.datetime(2026, 1, day, tzinfo=dt.UTC) for day in (1, 2, 3))


def test_each_field_is_that_of_its_newest_statement(records: Records) -> None:
    with records.write() as session:
        patient = patients.find_or_create(session, "1", "H")
        said = OrderStatement(placer_number="P1", priority="STAT", reason="fall", status="NW")
        entered = order_entry.enter(session, patient, said, SECOND)
        assert (entered.changed, entered.older) == (True, False)
        entered = order_entry.enter(session, patient, OrderStatement(placer_number="P1", status="CA"), THIRD)
        older = OrderStatement(placer_number="P1", status="NW", reason="old", procedure=("X", "L", "Head"))
        entered = order_entry.enter(session, patient, older, FIRST)
        row = entered.order
        assert (row.status, row.reason, row.priority, row.procedure_text) == ("CA", "fall", "STAT", "Head")
        assert (entered.changed, entered.older, row.stated_at) == (True, True, THIRD)
        assert not order_entry.enter(session, patient, older, FIRST).changed


def test_the_filler_number_stands_for_an_accession_number_until_one_is_stated(records: Records) -> None:
    with records.write() as session:
        patient = patients.find_or_create(session, "1", "H")
        row = order_entry.enter(session, patient, OrderStatement(placer_number="P1"), FIRST).order
        assert row.accession_number == ""
        order_entry.enter(session, patient, OrderStatement(placer_number="P1", filler_number="F1^R"), SECOND)
        assert row.accession_number == "F1"
        stated = OrderStatement(filler_number="F1", accession_number="A1")
        order_entry.enter(session, patient, stated, FIRST)
        order_entry.enter(session, patient, OrderStatement(filler_number="F1"), THIRD)
        assert (row.accession_number, row.filler_number) == ("A1", "F1^R")
        long = order_entry.enter(session, patient, OrderStatement(filler_number="9" * 65), FIRST).order
        assert long.accession_number == ""


def test_orders_that_cannot_be_the_same_are_not_joined(records: Records) -> None:
    with records.write() as session:
        patient = patients.find_or_create(session, "1", "H")
        for placer in ("P1^A", "P1^B"):
            order_entry.enter(session, patient, OrderStatement(placer_number=placer), FIRST)
        order_entry.enter(session, patient, OrderStatement(placer_number="P1", status="CA"), SECOND)
        assert sorted(row.status for row in session.scalars(select(Order))) == ["CA", "NW"]


def test_orders_from_before_statements_had_times_take_what_is_said_now(records: Records) -> None:
    with records.write() as session:
        patient = patients.find_or_create(session, "1", "H")
        row = Order(patient=patient, placer_number="P1", filler_number="F1", accession_number="A1", reason="old")
        session.add(row)
        session.flush()
        order_entry.enter(session, patient, OrderStatement(placer_number="P1", filler_number="F1", reason="new"), FIRST)
        assert (row.reason, row.accession_number) == ("new", "A1")


def test_of_two_orders_that_fit_the_one_stated_last_is_used(records: Records) -> None:
    with records.write() as session:
        patient = patients.find_or_create(session, "1", "H")
        late = OrderStatement(placer_number="P2", accession_number="A1")
        order_entry.enter(session, patient, late, SECOND)
        order_entry.enter(session, patient, OrderStatement(placer_number="P1", accession_number="A1"), FIRST)
        study = Study(uid="1.2", patient=patient, accession_number="A1", state=StudyState.RECEIVING)
        session.add(study)
        session.flush()
        order = orders.match_study(session, study)
        assert order is not None
        assert order.placer_number == "P2"
