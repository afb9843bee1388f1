"""Lungs are found where there are two, and other images are declined."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import CTImageStorage

from models.contracts import Geometry, InputDeclined, InputRequirements, Volume
from models.imaging.lung.grid import resampled, to_native
from models.imaging.lung.segmentation import find_lungs
from tests.models.imaging.lung.conftest import Chest
from tests.models.phantoms import grid
from workers.reading.volume.load import read_series


def test_both_lungs_are_found_with_what_is_in_them(chest: Chest) -> None:
    native = to_native(chest.lungs.both.astype(np.float32), chest.volume) > 0.5
    true = chest.truth.lung > 0.5
    overlap = 2 * (native & true).sum() / (native.sum() + true.sum())
    assert overlap > 0.95


def test_lesions_lie_in_the_lungs(chest: Chest) -> None:
    native = to_native(chest.lungs.both.astype(np.float32), chest.volume) > 0.5
    for number in range(1, 4):
        assert native[chest.truth.labels == number].mean() > 0.95


def test_the_right_lung_lies_on_the_patients_right(chest: Chest) -> None:
    right, left = (
        chest.working.to_patient(np.argwhere(mask).mean(0))[0] for mask in (chest.lungs.right, chest.lungs.left)
    )
    assert right < -30 < 30 < left
    assert not (chest.lungs.right & chest.lungs.left).any()


def test_water_without_lungs_is_declined() -> None:
    array = np.full((60, 90, 90), -1000, np.float32)
    array[:, 15:75, 15:75] = 20
    with pytest.raises(InputDeclined, match="Two air-filled lungs"):
        find_lungs(resampled(Volume(array, grid((60, 90, 90), 4.0), "CT")))


def test_two_bottles_of_air_are_no_lungs() -> None:
    array = np.full((60, 90, 90), -1000, np.float32)
    array[:, 10:80, 10:80] = 20
    for column in (25, 62):
        array[10:50, 35:60, column - 10 : column + 10] = -1000
    with pytest.raises(InputDeclined, match="Two air-filled lungs"):
        find_lungs(resampled(Volume(array, grid((60, 90, 90), 4.0), "CT")))


def is_ct(path: Path) -> bool:
    return path.is_file() and dcmread(path, specific_tags=["SOPClassUID"]).get("SOPClassUID") == CTImageStorage


@pytest.mark.data
@pytest.mark.parametrize("folder", ["GE", "Philips/S21570/S2010"])
def test_a_head_and_a_phantom_are_declined(real_data: Callable[[str], Path], folder: str) -> None:
    files = [path for path in sorted((real_data("dicom-ct-head-qa") / folder).rglob("*")) if is_ct(path)]
    needs = InputRequirements(
        ("CT",), tilt="resample", uneven_spacing="resample", missing_slices="resample", scouts="leave_out"
    )
    volume = read_series(files, needs).volume
    with pytest.raises(InputDeclined, match="Two air-filled lungs"):
        find_lungs(resampled(volume))


@pytest.mark.data
def test_a_real_thorax_has_two_lungs(real_data: Callable[[str], Path]) -> None:
    files = sorted((real_data("dicom-ct-lung-petct-dx") / "Lung-PET-CT-Dx").rglob("*.dcm"))
    working = resampled(read_series(files).volume)
    lungs = find_lungs(working)
    right, left = (float(mask.sum()) * np.prod(working.spacing) / 1e6 for mask in (lungs.right, lungs.left))
    assert 2.5 < right < 4.0
    assert 1.8 < left < 3.0


def test_the_working_grid_keeps_every_place() -> None:
    affine = grid((40, 50, 60), 2.0).affine
    affine[2, 0], affine[0, 2] = 5.0, 0.7
    volume = Volume(np.zeros((40, 50, 60), np.float32), Geometry(affine, (40, 50, 60)), "CT")
    volume.array[20, 25, 30] = 1000
    working = resampled(volume)
    peak = working.to_patient(np.unravel_index(int(working.array.argmax()), working.array.shape))
    assert np.abs(peak - (affine @ [20, 25, 30, 1])[:3]).max() < 1.3
    assert all(abs(step - 1.25) < 0.05 for step in working.spacing)
