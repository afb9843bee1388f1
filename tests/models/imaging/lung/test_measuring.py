"""Candidates and sizes of lesions that are known."""

from __future__ import annotations

import numpy as np
import pytest

from models.imaging.lung.candidates import find_candidates
from models.imaging.lung.measuring import Density, measure
from tests.models.imaging.lung.conftest import GROUND_GLASS, PART_SOLID, SOLID, Chest

NAMES = {SOLID: Density.SOLID, GROUND_GLASS: Density.NON_SOLID, PART_SOLID: Density.PART_SOLID}


def test_every_lesion_is_a_candidate(chest: Chest) -> None:
    places = chest.working.to_patient([c.index for c in find_candidates(chest.working, chest.lungs.both)])
    for item in chest.truth.nodules:
        assert np.linalg.norm(places - item.lesion.centre, axis=1).min() < item.long_mm / 2


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_lesion_is_measured_as_it_is(chest: Chest, number: int) -> None:
    truth = chest.truth.nodules[number]
    at = np.array(truth.lesion.centre) + 1.0
    found = measure(chest.volume, chest.working, chest.lungs.both, at, truth.lesion.diameter)
    assert found is not None
    assert found.density is NAMES[truth.lesion]
    assert found.size.long_mm == pytest.approx(truth.long_mm, abs=2.5)
    assert found.size.short_mm == pytest.approx(truth.short_mm, abs=2.5)
    assert found.size.volume_ml == pytest.approx(truth.volume_ml, rel=0.3)
    assert found.smallest.volume_ml < found.size.volume_ml < found.largest.volume_ml
    assert np.linalg.norm(np.subtract(found.centre, truth.lesion.centre)) < 2.0


def test_the_solid_component_of_a_part_solid_lesion_is_measured(chest: Chest) -> None:
    truth = chest.truth.nodules[2]
    at = np.array(truth.lesion.centre)
    found = measure(chest.volume, chest.working, chest.lungs.both, at, truth.lesion.diameter)
    assert found is not None
    assert found.solid_mm == pytest.approx(truth.solid_mm, abs=2.0)


def test_the_axes_lie_on_one_slice_of_the_image(chest: Chest) -> None:
    truth = chest.truth.nodules[0]
    found = measure(chest.volume, chest.working, chest.lungs.both, np.array(truth.lesion.centre), 12.0)
    assert found is not None
    heights = {round(point[2], 6) for point in (*found.long_ends, *found.short_ends)}
    assert len(heights) == 1
    index = (heights.pop() - chest.volume.geometry.affine[2, 3]) / 2.5
    assert index == pytest.approx(round(index), abs=1e-6)


def test_plain_lung_is_not_measured(chest: Chest) -> None:
    lung = np.argwhere(chest.truth.lung > 0.99)
    values = chest.volume.array[tuple(lung.T)]
    darkest = lung[int(values.argmin())]
    at = (chest.volume.geometry.affine @ [*darkest, 1])[:3]
    window = measure(chest.volume, chest.working, chest.lungs.both, at, 5.0)
    assert window is None or window.size.long_mm < 12
