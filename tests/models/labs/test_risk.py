from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import cards, runtime
from models.contracts import BatchModel, InputDeclined, Radiograph, Record, RecordValue, WeightsError
from models.labs.risk import RiskModel, interval, load
from tests.models.labs.generated import record

Trained = tuple[Path, Path, dict[str, Any]]


@pytest.fixture
def model(trained: Trained) -> RiskModel:
    return load(trained[1], "cpu")


def test_a_sick_patient_has_a_higher_risk_and_the_reasons_are_named(model: RiskModel) -> None:
    well, sick = model.predict(record(died=False)), model.predict(record(died=True))

    assert not well.findings[0].present
    assert sick.findings[0].present
    low, high = well.findings[0].confidence, sick.findings[0].confidence
    assert low is not None
    assert high is not None
    assert low < high
    strongest = sick.contributions[0]
    assert strongest.name.meaning in {"Creatinine", "Lactate", "Systolic blood pressure", "Glasgow coma score total"}
    assert strongest.weight > 0
    assert "raises the risk" in strongest.text


def test_the_probability_lies_in_its_interval_and_in_the_text(model: RiskModel) -> None:
    [finding] = model.predict(record(died=True)).findings

    [measurement] = finding.measurements
    assert measurement.lower is not None
    assert measurement.upper is not None
    assert 0 <= measurement.lower <= measurement.value <= measurement.upper <= 1
    assert f"{measurement.value:.0%}" in finding.text


def test_several_records_at_once_are_answered_as_one_at_a_time(model: RiskModel) -> None:
    records = [record(died=bool(number % 2), number=number) for number in range(5)]

    assert isinstance(model, BatchModel)
    together = [prediction.scores["probability"] for prediction in model.predict_many(records)]

    alone = [model.predict(item).scores["probability"] for item in records]
    assert together == pytest.approx(alone, abs=1e-5)
    assert model.predict_many([]) == []


def test_units_do_not_change_the_answer(model: RiskModel) -> None:
    plain = record(died=True)
    molar = {"2160-0": (88.4, "umol/L"), "3094-0": (0.357, "mmol/L")}
    values = tuple(
        replace(item, value=item.value * molar[item.code][0], unit=molar[item.code][1]) if item.code in molar else item
        for item in plain.values
    )

    other = model.predict(replace(plain, values=values))

    assert other.scores["probability"] == pytest.approx(model.predict(plain).scores["probability"], abs=0.005)


def test_a_record_without_values_is_declined(model: RiskModel) -> None:
    with pytest.raises(InputDeclined, match="needs at least 12"):
        model.check(Record((), 60.0, "F"))


def test_many_values_of_one_kind_are_declined(model: RiskModel) -> None:
    values = tuple(RecordValue("8867-4", 80.0 + hour, "/min", -float(hour)) for hour in range(30))

    with pytest.raises(InputDeclined, match="30 readable values of 1 kinds"):
        model.check(Record(values, 60.0, "F"))


def test_values_in_unknown_units_are_declined_with_their_number(model: RiskModel) -> None:
    values = tuple(replace(item, unit="furlong") for item in record().values)

    with pytest.raises(InputDeclined, match="unknown unit"):
        model.check(Record(values, 60.0, "F"))


def test_a_child_is_declined(model: RiskModel) -> None:
    with pytest.raises(InputDeclined, match="12 years old"):
        model.check(record(age=12.0))


def test_an_unknown_age_is_said(model: RiskModel) -> None:
    model.check(record(age=None))

    assert any("age is not known" in warning for warning in model.predict(record(age=None)).warnings)


def test_values_that_do_not_go_together_are_declined(model: RiskModel) -> None:
    wild = np.random.default_rng(0)
    values = tuple(
        replace(item, value=float(wild.choice([limits[0], limits[1]])))
        for item in record().values
        for limits in [{"8867-4": (20, 290), "2951-2": (95, 185), "8310-5": (26, 42)}.get(item.code)]
        if limits is not None
    ) + tuple(item for item in record().values if item.code not in {"8867-4", "2951-2", "8310-5"})

    with pytest.raises(InputDeclined, match="do not go together"):
        model.check(Record(values, 60.0, "F"))


def test_another_kind_of_source_is_declined(model: RiskModel) -> None:
    with pytest.raises(InputDeclined, match="reads a record"):
        model.check(Radiograph(np.zeros((10, 10), dtype=np.float32), "DX"))


def test_a_card_without_calibration_is_refused(trained: Trained, model: RiskModel) -> None:
    network = model._network
    card = replace(model.card, metrics={"slope": 1.0})

    with pytest.raises(WeightsError, match="intercept, threshold"):
        RiskModel(network, card, runtime.choose_device("cpu"))


def test_altered_weights_are_refused(trained: Trained, tmp_path: Path) -> None:
    for name in (cards.CARD_FILE, cards.WEIGHTS_FILE):
        data = (trained[1] / name).read_bytes()
        (tmp_path / name).write_bytes(data[:-1] + b"x" if name == cards.WEIGHTS_FILE else data)

    with pytest.raises(WeightsError, match="SHA-256"):
        load(tmp_path, "cpu")


def test_the_interval_is_wider_where_the_members_disagree() -> None:
    middle, low, high = interval(np.array([0.0, 0.1, -0.1]))
    _, wide_low, wide_high = interval(np.array([0.0, 1.0, -1.0]))

    assert middle == 0
    assert wide_low < low < 0 < high < wide_high
    assert interval(np.array([0.3])) == (0.3, 0.3, 0.3)
