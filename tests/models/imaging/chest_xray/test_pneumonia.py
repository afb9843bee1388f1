from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from models.contracts import BatchModel, InputDeclined, Prediction, Volume, WeightsError
from models.imaging.chest_xray.pneumonia import PneumoniaModel, PneumoniaNetwork, make_finding
from models.training.chest_xray_pneumonia.card import make_card
from tests.models.imaging.chest_xray.chests import chest, radiograph
from tests.models.phantoms import blob

CPU = torch.device("cpu")
WIDE = {"arrangement": 1e6, "distance": 1e6, "residual": 1e6}
METRICS = {"calibration": {"slope": 1.2, "intercept": 0.1}, "threshold": 0.5, "scope_limits": WIDE}
SIZES = {"train": 1, "validation": 1, "held_out": 1}


def model(**changes: Any) -> PneumoniaModel:
    torch.manual_seed(0)
    metrics: Mapping[str, Any] = {**METRICS, **changes}
    return PneumoniaModel(PneumoniaNetwork(3), make_card(SIZES, 0, dict(metrics)), CPU)


def test_the_answer_is_a_finding_with_probability_range_and_map() -> None:
    source = radiograph(chest(300)[:, :200].copy())

    found = model().predict(source)

    [finding] = found.findings
    [measured] = finding.measurements
    assert finding.confidence == measured.value == found.scores["probability"]
    assert finding.present == (measured.value >= 0.5)
    assert measured.lower is not None
    assert measured.upper is not None
    assert measured.lower <= measured.value <= measured.upper
    assert found.scores["spread"] == pytest.approx(measured.upper - measured.lower)
    [shown] = found.maps
    assert shown.array.shape == (1, 300, 200)
    assert float(shown.array.max()) == pytest.approx(1, abs=0.15)
    assert not shown.array[0, :40].any()


@pytest.mark.parametrize(
    ("probability", "present", "said"), [(0.7, True, "at or above"), (0.6, True, "at or above"), (0.59, False, "below")]
)
def test_the_operating_point_decides(probability: float, present: bool, said: str) -> None:
    finding = make_finding(probability, (0.1, 0.9), 0.6, 5)

    assert finding.present is present
    assert f"{said} the operating point of 0.60" in finding.text


def test_several_at_once_get_the_answers_of_one_at_a_time() -> None:
    one = model()
    sources = [radiograph(chest(200 + 10 * i, patch=bool(i % 2), seed=i)) for i in range(4)]
    assert isinstance(one, BatchModel)

    together, alone = one.predict_many(sources), [one.predict(source) for source in sources]

    for a, b in zip(together, alone, strict=True):
        assert a.scores == pytest.approx(b.scores, rel=1e-4)
        assert a.maps[0].array == pytest.approx(b.maps[0].array, abs=1e-3)
    assert one.predict_many([]) == []


def test_a_mirrored_radiograph_gets_the_same_answer_and_the_mirrored_map() -> None:
    array = chest(seed=5, patch=True)

    straight, mirrored = (model().predict(radiograph(a)) for a in (array, array[:, ::-1].copy()))

    assert mirrored.scores["probability"] == pytest.approx(straight.scores["probability"], abs=1e-5)
    assert np.allclose(mirrored.maps[0].array, straight.maps[0].array[:, :, ::-1], atol=1e-3)


def test_the_window_of_the_picture_does_not_matter() -> None:
    first, second = (model().predict(radiograph(a)).scores for a in (chest(), 0.1 + 0.6 * chest()))

    assert first["probability"] == pytest.approx(second["probability"], abs=1e-4)


def said(found: Prediction) -> str:
    return " ".join(found.warnings)


def test_the_age_is_looked_at() -> None:
    assert "not known" in said(model().predict(radiograph(age=None)))
    assert "not of the age" in said(model().predict(radiograph(age=9)))
    assert "not of the age" in said(model().predict(radiograph(age=0.5)))
    assert not model().predict(radiograph(age=5.9)).warnings
    with pytest.raises(InputDeclined, match="adult"):
        model().check(radiograph(age=18))


def test_what_is_no_frontal_chest_radiograph_is_declined() -> None:
    source = radiograph()

    for wrong, why in (
        (replace(source, modality="MG"), "modality"),
        (replace(source, view="LL"), "view"),
        (replace(source, attributes={"BodyPartExamined": "HAND"}), "body part"),
        (replace(source, array=chest(20)), "pixels"),
        (replace(source, array=np.full((100, 100), 0.5, dtype=np.float32)), "same value"),
        (replace(source, array=(0.5 + np.eye(200) * 1e-3).astype(np.float32)), "no contrast"),
    ):
        with pytest.raises(InputDeclined, match=why):
            model().check(wrong)
    with pytest.raises(InputDeclined, match="volume"):
        model().check(Volume(blob((8, 8, 8)).array, blob((8, 8, 8)).geometry, "CR"))


def test_what_is_out_of_scope_is_declined_with_the_reason() -> None:
    strict = model(scope_limits={**WIDE, "residual": 1e-6})

    with pytest.raises(InputDeclined, match="structures"):
        strict.predict(radiograph())


@pytest.mark.parametrize(
    "changes",
    [
        {"calibration": {}},
        {"calibration": {"slope": -1, "intercept": 0}},
        {"threshold": 1.5},
        {"threshold": None},
        {"scope_limits": {}},
    ],
)
def test_a_card_that_lacks_what_the_model_needs_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(WeightsError):
        model(**changes)
