"""The generated thorax and the lesions in it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from models.training.lung_nodule.lesions import Kind, Lesion, insert, place, random_lesion
from models.training.lung_nodule.thorax import Scanner, thorax

AFFINE = np.array([[0, 0, 1.0, 0], [0, 1.0, 0, 0], [2.0, 0, 0, 0], [0, 0, 0, 1]])


def emptiness() -> np.ndarray:
    return np.full((30, 60, 60), -850, np.float32)


def test_a_thorax_is_the_same_for_the_same_seed() -> None:
    arguments = ((30, 42, 42), (8.0, 8.0, 8.0), 2, Scanner())
    (first, truth), (second, again) = thorax(3, *arguments), thorax(3, *arguments)
    assert np.array_equal(first.array, second.array)
    assert truth.nodules == again.nodules
    assert not np.array_equal(first.array, thorax(4, *arguments)[0].array)


def test_a_thorax_has_air_tissue_bone_and_two_litres_of_lung() -> None:
    volume, truth = thorax(5, (40, 60, 60), (6.0, 5.5, 5.5), 0, Scanner(noise_hu=5.0))
    assert volume.array.min() < -950
    assert volume.array.max() > 250
    litres = float((truth.lung > 0.5).sum()) * volume.geometry.voxel_ml / 1000
    assert 1.5 < litres < 7
    assert -900 < float(np.median(volume.array[truth.lung > 0.95])) < -780


def test_the_generator_needs_no_torch() -> None:
    code = "import sys, models.training.lung_nodule.thorax; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_an_inserted_ball_has_the_volume_that_it_says() -> None:
    array = emptiness()
    found = insert(array, AFFINE, np.ones_like(array), Lesion((30.0, 30.0, 30.0), 16.0, seed=4), psf_mm=0.3)
    assert found is not None
    raised = float((array + 850).sum()) / (30 + 850) * 2.0 / 1000
    assert raised == pytest.approx(found.volume_ml, rel=0.03)
    assert found.short_mm <= found.long_mm < 20


def test_a_lesion_stays_in_the_lung() -> None:
    array, lung = emptiness(), np.ones((30, 60, 60), np.float32)
    lung[:, :, 32:] = 0
    found = insert(array, AFFINE, lung, Lesion((30.0, 30.0, 30.0), 16.0, seed=4), psf_mm=0.3)
    assert found is not None
    assert array[:, :, 35:].max() < -845
    whole = insert(emptiness(), AFFINE, np.ones_like(lung), Lesion((30.0, 30.0, 30.0), 16.0, seed=4), psf_mm=0.3)
    assert whole is not None
    assert found.volume_ml < 0.85 * whole.volume_ml


def test_a_lesion_outside_the_lung_is_not_inserted() -> None:
    array = emptiness()
    assert insert(array, AFFINE, np.zeros_like(array), Lesion((30.0, 30.0, 30.0), 16.0)) is None
    assert insert(array, AFFINE, np.ones_like(array), Lesion((300.0, 30.0, 30.0), 16.0)) is None
    assert np.array_equal(array, emptiness())


def test_the_noise_of_the_image_stays_in_a_lesion() -> None:
    rng = np.random.default_rng(0)
    array = emptiness() + rng.normal(0, 40, (30, 60, 60)).astype(np.float32)
    insert(array, AFFINE, np.ones_like(array), Lesion((30.0, 30.0, 30.0), 24.0, seed=4))
    inside = array[12:18, 26:34, 26:34]
    assert abs(float(inside.mean()) - 30) < 15
    assert 25 < float(inside.std()) < 50


def test_spicules_add_to_the_image_but_not_to_the_size() -> None:
    plain = Lesion((30.0, 30.0, 30.0), 14.0, seed=9)
    smooth, rough = emptiness(), emptiness()
    without = insert(smooth, AFFINE, np.ones_like(smooth), plain)
    spiculated = insert(rough, AFFINE, np.ones_like(rough), replace(plain, spiculated=True))
    assert without is not None
    assert spiculated is not None
    assert rough.sum() > smooth.sum() + 1000
    assert spiculated.long_mm == pytest.approx(without.long_mm, abs=0.3)


def test_a_part_solid_lesion_has_a_solid_component() -> None:
    array = emptiness()
    lesion = Lesion((30.0, 30.0, 30.0), 20.0, Kind.PART_SOLID, hu=-600.0, core_hu=20.0, core=0.5, seed=2)
    found = insert(array, AFFINE, np.ones_like(array), lesion)
    assert found is not None
    assert found.solid_mm == pytest.approx(0.5 * (found.long_mm + found.short_mm) / 2, rel=0.15)
    assert array[15, 30, 30] == pytest.approx(20, abs=60)


def test_placed_lesions_do_not_touch() -> None:
    lung = np.ones((60, 80, 80), np.float32)
    found = place(np.random.default_rng(1), lung, AFFINE, 12, largest=20)
    assert len(found) > 4
    for number, first in enumerate(found):
        for second in found[:number]:
            apart = np.linalg.norm(np.subtract(first.centre, second.centre))
            assert apart > (first.diameter + second.diameter) / 2 + 8


def test_drawn_lesions_are_of_all_types_and_sizes() -> None:
    rng = np.random.default_rng(2)
    drawn = [random_lesion(rng, (0.0, 0.0, 0.0)) for _ in range(200)]
    assert {lesion.kind for lesion in drawn} == set(Kind)
    assert min(lesion.diameter for lesion in drawn) < 5
    assert max(lesion.diameter for lesion in drawn) > 25
