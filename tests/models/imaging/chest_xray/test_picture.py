from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.imaging.chest_xray.picture import SIDE, area_weights, has_contrast, prepare, spread, standardised
from tests.models.imaging.chest_xray.chests import chest


def test_a_picture_of_the_training_set_s_size_is_taken_as_it_is() -> None:
    array = chest(SIDE)

    assert np.allclose(prepare(array).pixels, array)


def test_each_pixel_is_the_mean_of_its_part_of_the_radiograph() -> None:
    array = chest(SIDE * 10)

    assert np.allclose(prepare(array).pixels, array.reshape(SIDE, 10, SIDE, 10).mean((1, 3)), atol=1e-5)


@given(rows=st.integers(SIDE, 400), columns=st.integers(SIDE, 400), grey=st.floats(0, 1, width=32))
def test_an_even_picture_stays_even_whatever_its_size(rows: int, columns: int, grey: float) -> None:
    picture = prepare(np.full((rows, columns), grey, dtype=np.float32))

    assert np.allclose(picture.pixels, grey, atol=1e-5)
    assert picture.square.side == min(rows, columns)


@given(length=st.integers(1, 500), parts=st.integers(1, 60))
def test_all_pixels_weigh_the_same_in_all_parts_together(length: int, parts: int) -> None:
    weights = area_weights(length, parts)

    assert np.allclose(weights.sum(1), 1, atol=1e-4)
    assert np.allclose(weights.sum(0), parts / length, atol=1e-4)


def test_the_square_is_about_the_centre_of_the_longer_side() -> None:
    tall = np.concatenate([np.zeros((70, 280)), np.ones((280, 280)), np.zeros((70, 280))]).astype(np.float32)
    tall += np.random.default_rng(0).normal(0, 0.1, tall.shape).astype(np.float32)

    assert prepare(tall).pixels.mean() == pytest.approx(1, abs=0.01)
    assert prepare(tall.T.copy()).square.left == 70


def test_a_masked_border_is_cut_off() -> None:
    inner = chest(400)
    masked = np.zeros((560, 480), dtype=np.float32)
    masked[100:500, 40:440] = inner

    found = prepare(masked)

    assert (found.square.top, found.square.left, found.square.side) == (100, 40, 400)
    assert np.allclose(found.pixels, prepare(inner).pixels)


def test_a_side_that_is_mostly_blank_is_kept() -> None:
    half = chest(400)
    half[:200] = 0

    assert prepare(half).square.top == 0


def test_window_and_level_make_no_difference() -> None:
    array = prepare(chest()).pixels[None]

    assert np.allclose(standardised(array), standardised(0.2 + 0.5 * array), atol=1e-4)


def test_an_even_picture_has_nothing_to_see() -> None:
    assert has_contrast(prepare(chest()))
    assert not has_contrast(prepare(np.full((200, 200), 0.5, dtype=np.float32)))


def test_a_map_lies_on_the_radiograph_where_the_network_saw_it() -> None:
    picture = prepare(chest()[:, :200].copy())
    small = np.zeros((7, 7), dtype=np.float32)
    small[0, 6] = 1

    found = spread(small, picture)

    assert found.shape == (1, 280, 200)
    assert not found[0, :40].any()
    assert not found[0, 240:].any()
    _, row, column = np.unravel_index(found.argmax(), found.shape)
    assert (row, column) == pytest.approx((40 + 200 / 14, 200 * 13 / 14), abs=15)
    assert found.max() == pytest.approx(1, abs=0.01)
