"""What drift is watched by: numbers of the input and the answer, by scanner, and nothing of a patient."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import generate_latest
from pydicom.dataset import Dataset

from models.codes import PROBABILITY
from models.contracts import Channel, Finding, Prediction, Radiograph, Record, RecordValue, Waveform
from node.records import timeline
from node.records.schema import DriftSample, Job, ModelRegistration
from node.records.states import JobState
from node.settings import Rule
from node.web.drift import REFRESH_SECONDS, Drift
from node.web.metrics import registry
from tests.workers.running.desk import SHORT, Counting, Desk
from tests.workers.running.shelf import Shelf
from tests.workers.synthetic import CARD
from workers import tasks
from workers.running import drift


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
        "declined": 0,
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


def test_the_figures_are_kept_for_a_minute(desk: Desk) -> None:
    now = [0.0]
    kept = Drift(clock=lambda: now[0])
    tasks.infer(desk.context, desk.job(1, slices=5))
    with desk.context.records.read() as session:
        first = kept.families(session)
    tasks.infer(desk.context, desk.job(2, slices=5))
    with desk.context.records.read() as session:
        assert kept.families(session) is first
        now[0] = REFRESH_SECONDS
        assert kept.families(session) is not first


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


def test_a_declined_run_is_counted_for_its_scanner(desk: Desk) -> None:
    for number, slices in ((1, SHORT), (2, 5)):
        tasks.infer(desk.context, desk.job(number, slices=slices))
    with desk.context.records.read() as session:
        first, second = session.query(DriftSample).order_by(DriftSample.id)
    assert first.numbers == {"declined": 1.0}
    assert second.numbers["declined"] == 0.0
    assert (first.model, first.version, first.scanner) == (second.model, second.version, second.scanner)


def test_a_version_that_came_while_the_worker_runs_is_registered_and_told(desk: Desk) -> None:
    desk.context.register_models()
    tasks.infer(desk.context, desk.job(1, slices=5))
    shelf = desk.context.catalogue
    assert isinstance(shelf, Shelf)
    shelf.models["counting"] = Counting(replace(CARD, version="9.0"))
    for number in (2, 3):
        tasks.infer(desk.context, desk.job(number, slices=5))
    with desk.context.records.read() as session:
        assert session.get_one(ModelRegistration, "counting").version == "9.0"
        told = [event.text for event in timeline.of_node(session, 9) if event.kind == "model.version"]
    assert told == [f"counting 9.0 runs in place of {CARD.version}."]


def test_a_model_that_came_while_the_worker_runs_is_registered_when_it_runs(desk: Desk) -> None:
    desk.context.register_models()
    shelf = desk.context.catalogue
    assert isinstance(shelf, Shelf)
    shelf.models["later"] = Counting()
    tasks.infer(desk.context, desk.job(1, slices=5, model="later"))
    with desk.context.records.read() as session:
        assert session.get_one(ModelRegistration, "later").version == CARD.version
        assert [event.text for event in timeline.of_node(session, 1)] == [
            f"later {CARD.version} runs for the first time."
        ]


def test_a_pinned_older_version_is_registered_beside_the_newest_and_goes_with_its_rule(tmp_path: Path) -> None:
    older, newest = Counting(), Counting(replace(CARD, version="9.0"))
    found = Desk(tmp_path, counting=newest)
    found.context.catalogue = Pinned(older, newest)
    rule = Rule(name="r", run=("counting@1.0.0",), shadow=("counting@9.0", "counting@7"))
    names = []
    for rules in ((rule,), ()):
        found.context.settings = found.context.settings.model_copy(update={"rules": rules})
        found.context.register_models()
        with found.records.read() as session:
            names.append({row.name: row.version for row in session.query(ModelRegistration)})
    found.close()
    assert names == [{"counting": "9.0", "counting@1.0.0": "1.0.0"}, {"counting": "9.0"}]


class Pinned(Shelf):
    """Two versions of one model."""

    def __init__(self, older: Counting, newest: Counting) -> None:
        super().__init__(**{"counting": newest, "counting@1.0.0": older, "counting@9.0": newest})

    def names(self) -> tuple[str, ...]:
        return ("counting",)
