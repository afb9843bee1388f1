"""Lab values."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from node.records import observations, patients
from node.records.engine import Records
from node.records.observations import ObservedValue, Stored

AT = dt.datetime(2026, 1, 5, 8, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
VALUE = ObservedValue(source="LIS|H", filler_number="L1", code="2160-0", observed_at=AT, value="0.9", number=0.9)


def test_the_same_observation_takes_the_new_value(records: Records) -> None:
    with records.write() as session:
        patient = patients.find_or_create(session, "1", "H")
        first = observations.store(session, patient, VALUE)
        assert observations.store(session, patient, replace(VALUE, value="1.0")) is first
        timeless = observations.store(session, patient, replace(VALUE, observed_at=None))
        assert timeless is not first
        assert observations.store(session, patient, replace(VALUE, observed_at=None)) is timeless
        assert [row.value for row in observations.for_patient(session, patient)] == ["0.9", "1.0"]


def test_values_are_of_their_patient_alone(records: Records) -> None:
    with records.write() as session:
        one, other = patients.find_or_create(session, "1", "H"), patients.find_or_create(session, "2", "H")
        observations.store(session, one, VALUE)
        observations.store(session, other, replace(VALUE, value="2"))
        assert observations.latest(session, one)["2160-0"].value == "0.9"
        assert observations.latest(session, other)["2160-0"].value == "2"


def test_texts_without_end_are_cut_to_their_columns(records: Records) -> None:
    with records.write() as session:
        patient = patients.find_or_create(session, "1", "H")
        row = observations.store(session, patient, replace(VALUE, code="c" * 900, unit="u" * 900, flag="f" * 900))
        assert (len(row.code), len(row.unit), len(row.flag)) == (250, 64, 20)


def test_a_value_that_was_stated_earlier_changes_nothing(records: Records) -> None:
    with records.write() as session:
        patient = patients.find_or_create(session, "1", "H")
        new, old = replace(VALUE, value="2", status="F"), replace(VALUE, value="1", status="P")
        assert observations.store_all(session, patient, [new], AT + HOUR) == Stored(1, 0)
        assert observations.store_all(session, patient, [old], AT) == Stored(0, 1)
        assert observations.store_all(session, patient, [new], AT + 2 * HOUR) == Stored(0, 0)
        (row,) = observations.for_patient(session, patient)
        assert (row.value, row.stated_at) == ("2", AT + 2 * HOUR)


def test_values_that_are_withdrawn_or_superseded_are_not_in_use(records: Records) -> None:
    with records.write() as session:
        patient = patients.find_or_create(session, "1", "H")
        early = replace(VALUE, status="P", observed_at=AT - HOUR)
        observations.store_all(session, patient, [early, replace(VALUE, code="x", status="W")], AT)
        assert [row.status for row in observations.in_use(session, patient)] == ["P"]
        observations.store_all(session, patient, [replace(VALUE, status="F")], AT + HOUR)
        assert [row.status for row in observations.in_use(session, patient)] == ["F"]
        assert set(observations.latest(session, patient)) == {VALUE.code}


def test_a_preliminary_value_without_a_number_of_its_order_is_superseded_by_none(records: Records) -> None:
    with records.write() as session:
        patient = patients.find_or_create(session, "1", "H")
        value = replace(VALUE, filler_number="")
        observations.store_all(session, patient, [replace(value, status="P", observed_at=AT - HOUR)], AT)
        observations.store_all(session, patient, [replace(value, status="F")], AT + HOUR)
        assert len(observations.in_use(session, patient)) == 2


def test_more_filler_numbers_than_a_statement_takes_are_looked_up(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observations, "CHUNK", 3)
    values = [replace(VALUE, filler_number=f"L{n}", code=f"c{n}") for n in range(10)]
    with records.write() as session:
        patient = patients.find_or_create(session, "1", "H")
        assert observations.store_all(session, patient, values, AT).changed == 10
        assert observations.store_all(session, patient, values, AT + HOUR).changed == 0
        assert len(observations.for_patient(session, patient)) == 10
