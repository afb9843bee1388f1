"""What is trained on, which scans are in which part, and that a training learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.contracts import Geometry, Side, Volume
from models.imaging.lung.candidates import Candidate
from models.imaging.lung.grid import Working
from models.imaging.lung.network import PATCH
from models.imaging.lung.segmentation import Lungs
from models.training.framework.data import DataError
from models.training.lung_nodule import learning
from models.training.lung_nodule.data import RealThorax, Scan, half, hits, in_boxes, places, read_thorax
from models.training.lung_nodule.examples import MARGIN, Cubes, Examples, examples_of
from models.training.lung_nodule.lesions import Inserted, Lesion

AFFINE = np.array([[0, 0, 1.25, 0], [0, 1.25, 0, 0], [1.25, 0, 0, 0], [0, 0, 0, 1]])


def scan() -> Scan:
    array = np.full((40, 40, 40), -850, np.float32)
    array[8:14, 8:14, 8:14] = 20
    grid = Geometry(AFFINE, (40, 40, 40))
    lesions = tuple(Inserted(Lesion((c, c, c), 8.0), 8.0, 8.0, 0.27, 0.0) for c in (13.0, 38.0))
    candidates = (Candidate((10, 10, 10), 2.2, 90.0), Candidate((30, 10, 10), 1.4, 60.0))
    return Scan("x", Volume(array, grid, "CT"), lesions, Working(array, AFFINE), array < 0, candidates)


def test_no_scan_is_in_two_parts() -> None:
    division = learning.division()
    parts = (division.train, division.validation, division.held_out)
    assert len({name for part in parts for name in part}) == sum(len(part) for part in parts)
    assert not any(name.startswith("real-left") for name in division.train)
    assert not any(name.startswith("real-right") for name in division.held_out)
    assert len(learning.HELD_OUT_SEEDS) >= 30


def test_a_candidate_in_a_lesion_hits_it() -> None:
    assert list(hits(scan(), places(scan(), scan().candidates))) == [0, -1]


def test_a_lesion_without_a_candidate_is_shown_all_the_same() -> None:
    found = examples_of(scan(), 0)
    assert found.truth.sum() == 1 + 1 + 2  # the candidate, the first lesion once more, the second one twice
    assert found.cubes.shape[1:] == (2, *(PATCH + 2 * MARGIN,) * 3)
    everything = examples_of(scan(), 0, 0, everything=True)
    assert list(everything.truth) == [1, 0]


def blobs(count: int, seed: int, size: int) -> Examples:
    rng = np.random.default_rng(seed)
    cubes = rng.uniform(0, 0.1, (count, 2, size, size, size)).astype(np.float16)
    truth = np.arange(count) % 2
    middle = slice(size // 2 - 2, size // 2 + 3)
    cubes[truth == 1, :, middle, middle, middle] += 0.7
    return Examples(cubes, np.zeros((count, 2), np.float32), truth.astype(np.int64))


def test_an_augmented_cube_is_drawn_from_its_generator_alone() -> None:
    cubes = Cubes(blobs(2, 0, PATCH + 2 * MARGIN))
    first, second = (cubes.item(1, torch.Generator().manual_seed(5))["input"] for _ in range(2))
    assert torch.equal(first, second)
    assert first.shape == (2, PATCH, PATCH, PATCH)
    assert not torch.equal(first, cubes.item(1, torch.Generator().manual_seed(6))["input"])


def test_a_training_learns_blobs(tmp_path: Path) -> None:
    train, validation = blobs(32, 1, PATCH + 2 * MARGIN), blobs(8, 2, PATCH)
    fitted = learning.fit_network(
        train, validation, tmp_path, seed=0, epochs=3, device=torch.device("cpu"), progress=False
    )
    assert fitted.best["auc"] == 1.0


def lungs() -> Lungs:
    right, left = np.zeros((4, 4, 100), bool), np.zeros((4, 4, 100), bool)
    right[:, :, 10:40], left[:, :, 60:90] = True, True
    return Lungs(right, left)


def test_the_halves_of_the_real_thorax_share_no_voxel() -> None:
    array = np.broadcast_to(np.arange(100, dtype=np.float32), (4, 4, 100)).copy()
    first, right = half(Working(array, AFFINE), lungs(), Side.RIGHT)
    second, left = half(Working(array, AFFINE), lungs(), Side.LEFT)
    assert first.array.max() < second.array.min()
    assert right.sum() == left.sum() == 4 * 4 * 30
    assert np.allclose(second.to_patient([0, 0, 0]), [1.25 * second.array.min(), 0, 0])


def test_places_in_the_boxes_of_the_tumour_are_told() -> None:
    volume = Volume(np.zeros((40, 40, 40), np.float32), Geometry(AFFINE, (40, 40, 40)), "CT")
    real = RealThorax(volume, lungs(), volume.array, np.array([[5, 10, 10, 20, 20], [6, 10, 10, 20, 20]]))
    at = np.array([[1.25 * 15, 1.25 * 15, 1.25 * 5], [1.25 * 15, 1.25 * 25, 1.25 * 5], [0.0, 0.0, 0.0]])
    assert in_boxes(real, at).tolist() == [[True, False], [False, False], [False, False]]


def test_a_folder_without_the_thorax_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"workers\.export"):
        read_thorax(tmp_path)
