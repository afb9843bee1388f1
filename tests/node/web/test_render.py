"""Drawing alone: windows, sizes, contours, letters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.web import render, source
from node.web.render import Window, contour, drawn_size, overlay, to_display
from node.web.source import towards
from tests.node.web.objects import mr_slice
from tests.node.web.test_slices import picture

GREY = np.array([[0, 250, 500, 750, 1000]], np.float32)


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (
            Window(500, 1001),
            [0, 64, 128, 191, 255],
        ),  # LINEAR takes 1 off the width, 0.5 off the centre
        (Window(500, 500, "LINEAR_EXACT"), [0, 0, 128, 255, 255]),
        (Window(500, 1000, "SIGMOID"), [30, 69, 128, 186, 225]),
        (None, [0, 64, 128, 192, 255]),
    ],
)
def test_windows_follow_the_standard(window: Window | None, expected: list[int]) -> None:
    assert np.abs(to_display(GREY, window).astype(int)[0] - expected).max() <= 2


def test_monochrome1_is_inverted_and_a_flat_or_broken_image_is_still_drawn() -> None:
    assert to_display(GREY, Window(500, 1001), inverted=True)[0, 0] == 255
    assert to_display(np.full((2, 2), 7, np.float32), None).max() == 0
    assert to_display(np.array([[np.nan, np.inf, 1.0, 2.0]], np.float32), Window(1, 2)).dtype == np.uint8


@pytest.mark.parametrize("window", [Window(5000, 10000), Window(-9000, 2000)])
def test_a_window_that_shows_nearly_nothing_gives_way_to_the_grey_values(window: Window) -> None:
    assert (to_display(GREY, window) == to_display(GREY, None)).all()


@pytest.mark.parametrize(
    ("change", "window"),
    [
        ({"WindowCenter": [40, 80], "WindowWidth": [400, 80]}, Window(40.0, 400.0)),
        ({"WindowCenter": 40, "WindowWidth": 0}, None),
        ({"WindowCenter": None}, None),
        ({"WindowCenter": 1, "WindowWidth": 2, "VOILUTFunction": "SIGMOID"}, Window(1.0, 2.0, "SIGMOID")),
    ],
)
def test_the_first_window_that_makes_sense_is_used(change: dict[str, Any], window: Window | None) -> None:
    ds = mr_slice(np.zeros((2, 2), np.uint16), 1, study_uid="1.2", series_uid="1.3")
    for keyword, value in change.items():
        setattr(ds, keyword, value)
    assert source._window(ds) == window


@given(
    st.tuples(st.integers(1, 600), st.integers(1, 600)),
    st.tuples(st.floats(0.1, 5), st.floats(0.1, 5)),
)
def test_the_drawn_size_keeps_the_aspect_and_the_longer_side(
    shape: tuple[int, int], spacing: tuple[float, float]
) -> None:
    width, height = drawn_size(shape, spacing)
    assert max(width, height) == render.LONG_SIDE
    true = shape[1] * spacing[1] / (shape[0] * spacing[0])
    assert width == pytest.approx(min(1.0, true) * render.LONG_SIDE, abs=1)
    assert height == pytest.approx(min(1.0, 1 / true) * render.LONG_SIDE, abs=1)


def test_the_contour_is_the_border_inside_the_mask() -> None:
    mask = np.zeros((9, 9), bool)
    mask[2:7, 2:7] = True
    line = contour(mask, 1)
    assert line.sum() == 16
    assert not line[3:6, 3:6].any()
    assert contour(np.ones((3, 3), bool), 1).sum() == 8


def test_letters_name_the_sides_of_the_patient() -> None:
    directions = [[1.0, 0, 0], [-1.0, 0, 0], [0, 1.0, 0], [0, -1.0, 0], [0, 0, 1.0], [0.1, 0, -0.9]]
    assert "".join(towards(direction) for direction in directions) == "LRPAHF"
    assert towards([0.0, 0.0, 0.0]) == ""


def test_a_colour_image_is_drawn_in_its_colours() -> None:
    rgb = np.zeros((10, 10, 3), np.uint8)
    rgb[..., 0] = 200
    image = picture(overlay(rgb, [], (1.0, 1.0)))
    assert (image[100, 100] == [200, 0, 0]).all()
