"""The shipped model on real cases that it was not trained on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models import catalog, geometry
from models.contracts import Geometry, Model, Volume
from models.training.framework.agreement import dice
from models.training.framework.data import LabelledVolume, find_cases, read_labelled
from models.training.framework.division import split_by_group
from models.training.hippocampus.data import SPLIT_SEED, subject_of
from tests.models.phantoms import rearranged, same_arrangement

pytestmark = pytest.mark.data

DATA_SET = "mr-hippocampus-msd"

#: Held-out cases that are segmented here, and the Dice that each part must reach in their mean.
CASES = 5
FLOOR = 0.85


@pytest.fixture(scope="module")
def model() -> Model:
    return catalog.load("hippocampus", "cpu")


@pytest.fixture(scope="module")
def held_out(real_data: Callable[[str], Path]) -> list[LabelledVolume]:
    split = json.loads((catalog.weights_folder("hippocampus") / "split.json").read_text(encoding="utf-8"))
    pairs = find_cases(real_data(DATA_SET))
    chosen = [case for case in split["held_out"] if case in pairs][:CASES]
    return [read_labelled(*pairs[case], case) for case in chosen]


def test_the_recorded_division_is_the_one_that_the_code_makes(real_data: Callable[[str], Path]) -> None:
    recorded = json.loads((catalog.weights_folder("hippocampus") / "split.json").read_text(encoding="utf-8"))

    assert split_by_group(find_cases(real_data(DATA_SET)), subject_of, SPLIT_SEED).as_dict() == recorded


def test_held_out_cases_reach_the_floor_in_both_parts_and_the_dice_of_the_report(
    model: Model, held_out: list[LabelledVolume]
) -> None:
    scores = []
    for item in held_out:
        labels = model.predict(item.volume).labels
        assert labels is not None
        scores.append([dice(labels == value, item.labels == value) for value in (1, 2)])

    assert np.mean(scores, axis=0).min() > FLOOR
    report = json.loads((catalog.weights_folder("hippocampus") / "report.json").read_text(encoding="utf-8"))
    for item, row in zip(held_out, scores, strict=True):
        shipped = [report["cases"][item.case][key]["dice"] for key in ("anterior", "posterior")]
        assert row == pytest.approx(shipped, abs=0.002), item.case


@pytest.mark.parametrize("spacing", [0.75, 1.35])
def test_a_case_on_a_finer_or_coarser_grid_is_drawn_on_that_grid(
    model: Model, held_out: list[LabelledVolume], spacing: float
) -> None:
    item = held_out[2]
    shape = geometry.resampled_shape(item.volume.geometry.shape, item.volume.geometry.spacing, spacing)
    affine = item.volume.geometry.affine.copy()
    affine[:3, :3] *= np.array(item.volume.geometry.shape) / np.array(shape)
    other = Volume(geometry.resample(item.volume.array, shape), Geometry(affine, shape), "MR")
    reference = geometry.resample((item.labels > 0).astype(np.float32), shape) >= 0.5

    prediction = model.predict(other)

    assert prediction.labels is not None
    assert dice(prediction.labels > 0, reference) > FLOOR
    assert any("resampled" in warning for warning in prediction.warnings)


def test_volumes_agree_with_the_drawn_voxels(model: Model, held_out: list[LabelledVolume]) -> None:
    prediction = model.predict(held_out[0].volume)

    assert prediction.labels is not None
    by_label = {finding.label: finding for finding in prediction.findings}
    assert list(by_label) == ["hippocampus", "hippocampus-anterior", "hippocampus-posterior"]
    for value, name in ((1, "hippocampus-anterior"), (2, "hippocampus-posterior")):
        measurement = by_label[name].measurements[0]
        assert measurement.value == pytest.approx(np.count_nonzero(prediction.labels == value) / 1000)
        assert measurement.lower is not None
        assert measurement.upper is not None
        assert measurement.lower < measurement.value < measurement.upper
        assert by_label[name].segment == value


def test_the_anterior_part_lies_before_the_posterior_part(model: Model, held_out: list[LabelledVolume]) -> None:
    item = held_out[0]
    labels = model.predict(item.volume).labels
    assert labels is not None

    affine = item.volume.geometry.affine
    anterior, posterior = (
        affine[:3, :3] @ np.argwhere(labels == value).mean(axis=0) + affine[:3, 3] for value in (1, 2)
    )

    assert anterior[1] < posterior[1]


@pytest.mark.parametrize(("axes", "flips"), [((2, 0, 1), (True, False, False)), ((1, 0, 2), (False, True, True))])
def test_any_arrangement_of_a_patient_gives_the_same_drawing(
    model: Model, held_out: list[LabelledVolume], axes: tuple[int, int, int], flips: tuple[bool, bool, bool]
) -> None:
    volume = held_out[1].volume
    straight = model.predict(volume).labels
    turned = model.predict(rearranged(volume, axes, flips)).labels

    assert straight is not None
    assert turned is not None
    assert dice(same_arrangement(turned, axes, flips) > 0, straight > 0) > 0.999


def test_the_side_is_not_guessed_for_positions_that_were_made_up(model: Model, held_out: list[LabelledVolume]) -> None:
    prediction = model.predict(held_out[0].volume)

    assert all(finding.side is None for finding in prediction.findings)
    assert any("side could not be told" in warning for warning in prediction.warnings)
