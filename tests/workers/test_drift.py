"""What drift is watched by: numbers of the input and the answer, by scanner, and nothing of a patient."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import generate_latest
from pydicom.dataset import Dataset

from models.codes import PROBABILITY
from models.contracts import Channel, Finding, Prediction, Radiograph, Record, RecordValue, Waveform
from node.records.schema import DriftSample, Job
from node.records.states import JobState
from node.web.metrics import registry
from tests.workers.desk import Counting, Desk
from workers import drift, tasks


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    found = Desk(tmp_path, counting=Counting())
    yield found
    found.close()


def test_a_scanner_is_named_by_make_and_model_and_its_serial_number_stays_inside() -> None:
    ds = Dataset()
    ds.Manufacturer, ds.ManufacturerModelName, ds.DeviceSerialNumber = "ACME\nCorp", "Öne", "SN-4711"
    name = drift.scanner_of([ds])
    assert name.startswith("ACME Corp ne ")
    assert "4711" not in name
    assert drift.scanner_of([Dataset()]) == drift.scanner_of([]) == "unknown"


def test_the_numbers_of_each_kind_of_source_are_named() -> None:
    prediction = Prediction((Finding("x", PROBABILITY, confidence=0.75), Finding("y", PROBABILITY, present=False)))
    image = drift.numbers_of(Radiograph(np.full((8, 4), 0.5, dtype=np.float32), "DX"), prediction)
    assert (image["input.mean"], image["input.rows"], image["input.columns"]) == (0.5, 8, 4)
    assert (image["findings"], image["score.highest_confidence"]) == (1, 0.75)
    wave = Waveform(np.array([[np.nan, 1, 3]], dtype=np.float32), 2.0, (Channel("I"),), "ECG")
    assert drift.numbers_of(wave, prediction)["input.mean"] == 2
    assert drift.numbers_of(wave, prediction)["input.seconds"] == 1.5
    record = Record((RecordValue("1-8", 1.0, "1", -1.0),), age_years=40.0)
    assert drift.numbers_of(record, Prediction((), scores={"risk": 0.25})) == {
        "input.values": 1,
        "input.age": 40,
        "score.risk": 0.25,
        "findings": 0,
    }


def test_every_run_leaves_its_numbers_and_the_metrics_page_shows_them(desk: Desk) -> None:
    for number in range(3):
        tasks.infer(desk.context, desk.job(number, slices=5))
    with desk.context.records.read() as session:
        rows = session.query(DriftSample).all()
    assert len(rows) == 3
    assert {row.numbers["input.slices"] for row in rows} == {5.0}
    page = generate_latest(registry(desk.context.records, ())).decode()
    assert 'overread_drift_mean{model="' in page
    assert 'number="input.slices"' in page


def test_a_run_in_shadow_is_measured_and_recorded_and_not_built(desk: Desk) -> None:
    name = desk.job(1)
    with desk.context.records.write() as session:
        session.get_one(Job, name).shadow = True
    tasks.infer(desk.context, name)
    assert desk.state(name) is JobState.DONE
    with desk.context.records.read() as session:
        job = session.get_one(Job, name)
        assert job.findings
        assert job.results == []
        assert session.query(DriftSample).count() == 1
