"""Long and short axis of drawn regions."""

from __future__ import annotations

import numpy as np
import pytest

from models.imaging.lung.diameters import diameters_of


def ellipse(a: float, b: float, degrees: float, spacing: float) -> np.ndarray:
    y, x = np.meshgrid(*(np.arange(-30, 30.1, spacing),) * 2, indexing="ij")
    turn = np.radians(degrees)
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    return np.asarray((u / a) ** 2 + (v / b) ** 2 <= 1)


@pytest.mark.parametrize("degrees", [0, 20, 45, 70, 90, 135])
def test_an_ellipse_has_its_axes_however_it_is_turned(degrees: float) -> None:
    found = diameters_of(ellipse(12, 7, degrees, 0.5), (0.5, 0.5))
    assert found.long_mm == pytest.approx(24, abs=0.8)
    assert found.short_mm == pytest.approx(14, abs=0.9)


def test_the_ends_of_the_axes_are_as_far_apart_as_the_axes_are_long() -> None:
    found = diameters_of(ellipse(12, 7, 33, 0.5), (0.5, 0.5))
    for ends, length in ((found.long_ends, found.long_mm), (found.short_ends, found.short_mm)):
        assert np.hypot(*(np.subtract(*ends) * 0.5)) == pytest.approx(length, abs=0.02)


def test_the_axes_are_at_right_angles() -> None:
    found = diameters_of(ellipse(12, 7, 57, 0.5), (0.5, 0.5))
    long, short = (np.subtract(*ends) for ends in (found.long_ends, found.short_ends))
    assert abs(long @ short) / np.linalg.norm(long) / np.linalg.norm(short) < 0.1


def test_pixels_that_are_not_square_are_measured_in_millimetres() -> None:
    mask = np.zeros((20, 20), bool)
    mask[5:15, 9:11] = True
    found = diameters_of(mask, (2.0, 0.5))
    assert found.long_mm == pytest.approx(19.2, abs=0.5)


def test_a_single_pixel_has_the_size_of_a_pixel() -> None:
    mask = np.zeros((5, 5), bool)
    mask[2, 2] = True
    found = diameters_of(mask, (0.8, 0.8))
    assert found.long_mm == found.short_mm == pytest.approx(0.8)


def test_a_small_slanting_region_has_a_width() -> None:
    mask = np.zeros((12, 12), bool)
    for number in range(6):
        mask[3 + number, 2 + number : 5 + number] = True
    found = diameters_of(mask, (0.7, 0.7))
    assert found.long_mm == pytest.approx(7.0, abs=0.8)
    assert 1.5 < found.short_mm < 3.0
