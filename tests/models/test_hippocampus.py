from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest
import torch

from models import catalog
from models.contracts import Geometry, InputDeclined, Model, Volume
from models.imaging.hippocampus import HippocampusModel, input_warnings, result_warnings
from models.imaging.preprocessing import prepare
from tests.models.phantoms import blob, grid, rearranged, same_arrangement


@pytest.fixture(scope="module")
def model() -> Model:
    return catalog.load("hippocampus", "cpu")


def test_a_crop_of_the_right_size_is_accepted(model: Model) -> None:
    model.check(blob())


def test_another_modality_is_declined(model: Model) -> None:
    with pytest.raises(InputDeclined, match="modality is CT"):
        model.check(replace(blob(), modality="CT"))


def test_coarse_voxels_are_declined(model: Model) -> None:
    with pytest.raises(InputDeclined, match=r"1\.80"):
        model.check(blob((20, 28, 20), spacing=1.8))


def test_fine_voxels_are_declined(model: Model) -> None:
    with pytest.raises(InputDeclined, match=r"0\.50"):
        model.check(blob((60, 80, 60), spacing=0.5))


def test_a_whole_brain_is_declined_with_a_reason_that_names_the_crop(model: Model) -> None:
    shape = (160, 200, 160)
    brain = Volume(np.ones(shape, dtype=np.float32), grid(shape), "MR")

    with pytest.raises(InputDeclined, match="crop"):
        model.check(brain)


def test_a_field_of_view_that_is_too_small_is_declined(model: Model) -> None:
    with pytest.raises(InputDeclined, match="at least 24 mm"):
        model.check(blob((30, 40, 20)))


def test_too_few_slices_are_declined(model: Model) -> None:
    with pytest.raises(InputDeclined, match="at least 16"):
        model.check(blob((8, 40, 30)))


def test_values_that_are_not_numbers_are_declined(model: Model) -> None:
    volume = blob()
    volume.array[3, 3, 3] = np.nan

    with pytest.raises(InputDeclined, match="not numbers"):
        model.check(volume)


def test_a_constant_image_is_declined(model: Model) -> None:
    volume = blob()

    with pytest.raises(InputDeclined, match="same value"):
        model.check(replace(volume, array=np.full_like(volume.array, 7)))


def test_a_tilted_stack_is_declined(model: Model) -> None:
    volume = blob()
    affine = volume.geometry.affine.copy()
    affine[1, 0] = 0.2

    with pytest.raises(InputDeclined, match="tilted"):
        model.check(replace(volume, geometry=Geometry(affine, volume.geometry.shape)))


def test_a_geometry_of_another_shape_is_declined(model: Model) -> None:
    with pytest.raises(InputDeclined, match="one stack"):
        model.check(replace(blob(), geometry=grid((5, 5, 5))))


def test_predicting_declines_what_checking_declines(model: Model) -> None:
    with pytest.raises(InputDeclined):
        model.predict(replace(blob(), modality="US"))


def test_preparing_gives_the_same_array_for_every_arrangement_of_the_same_volume() -> None:
    volume = blob((20, 24, 22))
    expected = prepare(volume, 1.0).array

    for axes, flips in product(permutations(range(3)), product((False, True), repeat=3)):
        other = rearranged(volume, (axes[0], axes[1], axes[2]), (flips[0], flips[1], flips[2]))
        assert np.array_equal(prepare(other, 1.0).array, expected)


@pytest.mark.parametrize(
    ("axes", "flips"), [((1, 2, 0), (True, False, True)), ((2, 0, 1), (False, True, False)), ((0, 1, 2), (True,) * 3)]
)
def test_an_arrangement_of_the_same_volume_gives_the_same_drawing(
    model: Model, axes: tuple[int, int, int], flips: tuple[bool, bool, bool]
) -> None:
    volume = blob()
    straight = model.predict(volume).labels
    turned = model.predict(rearranged(volume, axes, flips)).labels

    assert straight is not None
    assert turned is not None
    assert np.array_equal(same_arrangement(turned, axes, flips), straight)


def test_predicting_twice_gives_the_same_labels_on_the_grid_of_the_input(model: Model) -> None:
    volume = blob((40, 56, 38), spacing=0.85)

    first, second = model.predict(volume), model.predict(volume)

    assert first.labels is not None
    assert second.labels is not None
    assert first.labels.shape == volume.array.shape
    assert first.labels.dtype == np.uint8
    assert np.array_equal(first.labels, second.labels)
    assert any("resampled" in warning for warning in first.warnings)


def test_each_part_has_a_probability_map_on_the_grid_of_the_input_that_agrees_with_the_labels(model: Model) -> None:
    volume = blob((40, 56, 38), spacing=0.85)

    prediction = model.predict(volume)

    assert prediction.labels is not None
    assert prediction.labels.any()
    assert [item.segment for item in prediction.maps] == [spec.label for spec in prediction.segments]
    parts = np.stack([item.array for item in prediction.maps])
    assert parts.dtype == np.float32
    assert parts.shape == (2, *volume.array.shape)
    assert parts.min() >= 0
    assert parts.sum(axis=0).max() <= 1 + 1e-5
    likeliest = np.concatenate([1 - parts.sum(axis=0, keepdims=True), parts]).argmax(axis=0)
    assert (likeliest != prediction.labels).mean() < 1e-4
    assert {(item.quantity.value, item.unit.value) for item in prediction.maps} == {("110854", "1")}


def test_where_nothing_is_found_there_is_no_map(model: Model) -> None:
    class Nothing(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            logits = torch.zeros(1, 3, *image.shape[2:])
            logits[:, 0] = 9
            return logits

    prediction = HippocampusModel(Nothing(), model.card, torch.device("cpu")).predict(blob())

    assert prediction.labels is not None
    assert not prediction.labels.any()
    assert prediction.maps == ()


def test_a_turned_grid_is_warned_of() -> None:
    angle = np.radians(20)
    affine = grid((36, 50, 34)).affine.copy()
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    affine[:3, :3] = turn @ affine[:3, :3]
    volume = replace(blob(), geometry=Geometry(affine, (36, 50, 34)))

    assert any("20 degrees" in warning for warning in input_warnings(volume, resampled=False))
    assert input_warnings(blob(), resampled=False) == []


def test_a_drawing_that_reaches_the_edge_or_lacks_a_part_is_warned_of() -> None:
    labels = np.zeros((5, 5, 5), dtype=np.uint8)
    labels[2, 2, 0] = 1

    warnings = result_warnings(labels)

    assert any("edge" in warning for warning in warnings)
    assert any("posterior" in warning for warning in warnings)
