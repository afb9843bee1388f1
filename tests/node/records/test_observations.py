"""Lab values."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from node.records import observations, patients
from node.records.engine import Records
from node.records.observations import ObservedValue

AT = dt.datetime(2026, 1, 5, 8, tzinfo=dt.UTC)
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
