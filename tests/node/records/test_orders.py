"""Order numbers and what they mean."""

from __future__ import annotations

import pytest

from node.records import orders, patients
from node.records.engine import Records
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
