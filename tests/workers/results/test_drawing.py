"""A key slice is drawn as it is: in true proportions, in the header's window, with outlines where the mask is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from pydicom.dataset import Dataset

from models.contracts import Finding, Prediction, Region, RegionKind
from tests.workers.synthetic import HIPPOCAMPUS, ORIENTATIONS, SEGMENTS, Phantom, multi_frame, result_input, write
from tests.workers.synthetic import single_frames as frames_of
from workers.reading.volume.load import read_series
from workers.results.common import KeySlice, ResultInput
from workers.results.display import Window
from workers.results.pictures.drawing import Frame, RGBArray, Slice, orientation, render, windowed
from workers.results.pictures.marks import UNSEGMENTED

RED, BLUE = SEGMENTS[0].rgb, SEGMENTS[1].rgb


def _input(
    tmp_path: Path,
    phantom: Phantom,
    change: Callable[[Dataset], None] | None = None,
    instances: list[Dataset] | None = None,
    **changes: object,
) -> ResultInput:
    loaded = read_series(write(tmp_path, instances or frames_of(phantom), change))
    keys = tuple(KeySlice(k, loaded.volume.array[k]) for k in range(phantom.shape[0]))
    return result_input(loaded.sources, phantom.shape, key_slices=keys, **changes)


def _drawn(inp: ResultInput, k: int) -> tuple[Frame, RGBArray]:
    drawn = Slice.of(inp, inp.key_slices[k])
    return Frame.of(drawn.geometry), render(inp, drawn)


def _coloured(picture: RGBArray, colour: tuple[int, int, int]) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = (picture == colour).all(axis=2)
    return found


def _bare(inp: ResultInput, *findings: Finding) -> ResultInput:
    return replace(inp, prediction=Prediction(findings))


@pytest.mark.parametrize(
    ("spacing", "expected"),
    [((2.0, 0.5, 2.0), (768, 230)), ((2.0, 2.0, 0.5), (160, 768)), ((2.0, 1.0, 1.0), (640, 768))],
)
def test_a_slice_has_the_proportions_of_the_patient_not_of_its_pixels(
    spacing: tuple[float, float, float], expected: tuple[int, int], tmp_path: Path
) -> None:
    inp = _input(tmp_path, Phantom(shape=(3, 12, 10), spacing=spacing))
    frame, picture = _drawn(_bare(inp), 1)
    assert picture.shape == (768, 768, 3)
    width, height = expected
    assert (frame.width, frame.height) == pytest.approx((width, height), abs=1)
    inside = np.zeros((768, 768), dtype=bool)
    inside[frame.top : frame.top + frame.height, frame.left : frame.left + frame.width] = True
    grey = picture[..., 0].astype(int)
    assert grey[inside].std() > 20
    # Beside the slice there is nothing but letters and the scale bar.
    assert (grey[~inside] > 0).mean() < 0.02


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_outlines_lie_on_the_border_of_the_mask_and_inside_of_it(name: str, tmp_path: Path) -> None:
    phantom = Phantom(cosines=ORIENTATIONS[name])
    inp = _input(tmp_path, phantom)
    labels = inp.prediction.labels
    assert labels is not None
    for k in range(phantom.shape[0]):
        frame, picture = _drawn(inp, k)
        for spec in SEGMENTS:
            y, x = np.nonzero(_coloured(picture, spec.rgb))
            if not (labels[k] == spec.label).any():
                assert y.size == 0
                continue
            row = np.floor((y - frame.top + 0.5) * phantom.shape[1] / frame.height).astype(int)
            column = np.floor((x - frame.left + 0.5) * phantom.shape[2] / frame.width).astype(int)
            assert (labels[k][row, column] == spec.label).all()
            padded = np.pad(labels[k] == spec.label, 1)
            inner = np.logical_and.reduce(
                [np.roll(padded, shift, (0, 1)) for shift in ((i, j) for i in (-1, 0, 1) for j in (-1, 0, 1))]
            )[1:-1, 1:-1]
            assert not inner[row, column].any()  # pixels all of whose neighbours are in the mask have no outline
            border = {(int(r), int(c)) for r, c in np.argwhere((labels[k] == spec.label) & ~inner)}
            letters = 3  # pixels that a letter, drawn above everything, may hide
            assert len(border - set(zip(row.tolist(), column.tolist(), strict=True))) <= letters


def test_a_label_that_no_segment_describes_is_not_drawn(tmp_path: Path) -> None:
    inp = _input(tmp_path, Phantom())
    inp = replace(inp, prediction=replace(inp.prediction, segments=SEGMENTS[1:]))
    drawn = Slice.of(inp, inp.key_slices[2])
    assert drawn.segments <= {2}
    assert not _coloured(render(inp, drawn), RED).any()


RAMP = np.array([[0, 25, 50, 75, 100]], dtype=np.float32)


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (Window(50, 50, "LINEAR_EXACT"), [0, 0, 128, 255, 255]),
        (Window(50.5, 51), [0, 0, 128, 255, 255]),  # PS3.3 C.11.2.1.2.1: half a value lower and one narrower
        (Window(50, 50, "SIGMOID"), [255 / (1 + np.exp(-4 * (v - 50) / 50)) for v in (0, 25, 50, 75, 100)]),
        (None, [0, 0, 0, 0, 0]),
    ],
)
def test_greys_are_those_of_the_window(window: Window | None, expected: list[float]) -> None:
    assert windowed(RAMP, window)[0].tolist() == pytest.approx(expected, abs=2)
    assert windowed(RAMP, window, inverted=True)[0].tolist() == pytest.approx([255 - v for v in expected], abs=2)


def test_values_that_are_no_numbers_are_black_or_white() -> None:
    values = np.array([[np.nan, -np.inf, np.inf, 50]], dtype=np.float32)
    assert windowed(values, Window(50, 50))[0].tolist() == pytest.approx([0, 0, 255, 128], abs=4)


@pytest.mark.parametrize(
    ("header", "used"),
    [
        ({"WindowCenter": -600, "WindowWidth": 900}, True),
        ({"WindowCenter": [-600, 900], "WindowWidth": [900, 1]}, True),
        ({"WindowCenter": 30000, "WindowWidth": 400}, False),  # in which all would be black
        ({"WindowCenter": -600, "WindowWidth": 0}, False),
        ({"WindowCenter": -600}, False),
        ({}, False),
    ],
)
def test_a_slice_is_shown_in_its_headers_window_if_that_shows_something(
    header: dict[str, object], used: bool, tmp_path: Path
) -> None:
    def windows(ds: Dataset) -> None:
        for keyword, value in header.items():
            setattr(ds, keyword, value)

    inp = _input(tmp_path, Phantom(), windows)
    drawn = Slice.of(inp, inp.key_slices[0])
    assert drawn.window is not None
    assert (drawn.window == Window(-600, 900)) == used
    values = inp.key_slices[0].array
    low, high = drawn.window.center - drawn.window.width / 2, drawn.window.center + drawn.window.width / 2
    assert ((values > low) & (values < high)).mean() > 0.5


def test_each_frame_of_an_enhanced_image_has_its_own_window(tmp_path: Path) -> None:
    phantom = Phantom(shape=(3, 12, 10))
    order = [2, 0, 1]
    image = multi_frame(phantom, order)
    for frame, k in enumerate(order):
        window = Dataset()
        window.WindowCenter, window.WindowWidth = 100.0 * k - 800, 1500
        image.PerFrameFunctionalGroupsSequence[frame].FrameVOILUTSequence = [window]
    inp = _input(tmp_path, phantom, instances=[image])
    windows = [Slice.of(inp, key).window for key in inp.key_slices]
    assert windows == [Window(-800, 1500), Window(-700, 1500), Window(-600, 1500)]


@pytest.mark.parametrize(
    ("direction", "letters"),
    [((1, 0, 0), "L"), ((0, -1, 0), "A"), ((0, 0, 1), "H"), ((0.8, 0, -0.6), "LF"), ((-0.99, 0.1, 0), "R")],
)
def test_letters_say_where_the_patient_is(direction: tuple[float, float, float], letters: str) -> None:
    assert orientation(np.array(direction)) == letters


def test_letters_are_left_out_where_the_patient_is_an_animal(tmp_path: Path) -> None:
    def quadruped(ds: Dataset) -> None:
        ds.AnatomicalOrientationType = "QUADRUPED"

    phantom = Phantom(shape=(3, 30, 4))  # narrow: the letters at its sides lie on black
    with_letters = _drawn(_bare(_input(tmp_path / "biped", phantom)), 1)[1]
    without = _drawn(_bare(_input(tmp_path / "animal", phantom, quadruped)), 1)[1]
    left = np.s_[334:434, :60]
    assert with_letters[left].any()
    assert not without[left].any()


def _at(phantom: Phantom, *index: float) -> tuple[float, float, float]:
    x, y, z = (phantom.affine @ [*index, 1.0])[:3]
    return float(x), float(y), float(z)


def _place(frame: Frame, phantom: Phantom, row: float, column: float) -> tuple[float, float]:
    y = frame.top + (row + 0.5) * frame.height / phantom.shape[1] - 0.5
    return y, frame.left + (column + 0.5) * frame.width / phantom.shape[2] - 0.5


@pytest.mark.parametrize("name", ["axial", "oblique", "axial, rotated in plane"])
def test_a_point_is_marked_on_its_slice_and_on_no_other(name: str, tmp_path: Path) -> None:
    phantom = Phantom(cosines=ORIENTATIONS[name])
    point = Finding("point", HIPPOCAMPUS, regions=(Region(RegionKind.POINT, (_at(phantom, 3, 8, 2),)),))
    inp = _bare(_input(tmp_path, phantom), point)
    for k in range(phantom.shape[0]):
        frame, picture = _drawn(inp, k)
        y, x = np.nonzero(_coloured(picture, UNSEGMENTED))
        assert bool(y.size) == (k == 3)
        if y.size:
            assert (y.mean(), x.mean()) == pytest.approx(_place(frame, phantom, 8, 2), abs=1.0)


def test_a_diameter_is_a_line_between_its_ends(tmp_path: Path) -> None:
    phantom = Phantom()
    ends = (_at(phantom, 2, 3, 1), _at(phantom, 2, 9, 8))
    line = Finding("diameter", HIPPOCAMPUS, regions=(Region(RegionKind.POLYLINE, ends),))
    frame, picture = _drawn(_bare(_input(tmp_path, phantom), line), 2)
    y, x = np.nonzero(_coloured(picture, UNSEGMENTED))
    top, bottom = _place(frame, phantom, 3, 1), _place(frame, phantom, 9, 8)
    assert (y.min(), x.min(), y.max(), x.max()) == pytest.approx((*top, *bottom), abs=2.0)
    straight = top[1] + (y - top[0]) * (bottom[1] - top[1]) / (bottom[0] - top[0])
    assert np.abs(x - straight).max() < 3


def test_a_slice_cuts_an_ellipsoid_where_its_surface_is(tmp_path: Path) -> None:
    phantom = Phantom(shape=(9, 40, 40), spacing=(2.5, 1.0, 1.5), cosines=ORIENTATIONS["oblique"])
    middle = np.array(_at(phantom, 4, 20, 20))
    turn = np.linalg.qr(np.random.default_rng(7).normal(size=(3, 3)))[0]
    axes = np.diag([7.0, 9.0, 12.0]) @ turn
    ends = tuple(tuple(map(float, middle + sign * axis)) for axis in axes for sign in (-1, 1))
    ball = Finding("ball", HIPPOCAMPUS, regions=(Region(RegionKind.ELLIPSOID, ends),))  # type: ignore[arg-type]
    inp = _bare(_input(tmp_path, phantom), ball)
    slices = 0
    for k in range(9):
        frame, picture = _drawn(inp, k)
        y, x = np.nonzero(_coloured(picture, UNSEGMENTED))
        r = (y - frame.top + 0.5) * 40 / frame.height - 0.5
        c = (x - frame.left + 0.5) * 40 / frame.width - 0.5
        points = (phantom.affine @ np.stack([np.full(len(r), float(k)), r, c, np.ones(len(r))]))[:3].T
        radius = np.linalg.norm((points - middle) @ np.linalg.inv(axes), axis=1)
        # Farther from the surface than 0.35 mm, which is five pixels, no pixel is drawn.
        assert (np.abs(radius - 1) < 0.35 / 7).all()
        slices += bool(len(r))
    height = float(np.linalg.norm(axes @ phantom.affine[:3, 0])) / 2.5**2
    assert slices == 2 * int(height) + 1


ODD_POINTS: tuple[tuple[tuple[float, float, float], ...], ...] = (
    (),
    ((1e300, 0.0, 0.0),),
    ((float("nan"),) * 3,) * 6,
    ((0.0, 0.0, 0.0),) * 6,
    ((1e9, -1e9, 40.0),) * 4,
)


def test_a_region_that_is_none_breaks_no_picture(tmp_path: Path) -> None:
    inp = _input(tmp_path, Phantom(shape=(3, 5, 4)))
    drawn = Slice.of(inp, inp.key_slices[1])
    for kind in RegionKind:
        odd = tuple(Region(kind, points) for points in ODD_POINTS)
        picture = render(_bare(inp, Finding("x", HIPPOCAMPUS, regions=odd)), replace(drawn, labels=None))
        assert not _coloured(picture, UNSEGMENTED).any()


def test_pixels_and_labels_of_another_shape_are_refused(tmp_path: Path) -> None:
    inp = _input(tmp_path, Phantom())
    with pytest.raises(ValueError, match="does not fit"):
        Slice.of(inp, KeySlice(0, np.zeros((5, 5), np.float32)))
    with pytest.raises(ValueError, match="does not fit"):
        Slice.of(inp, KeySlice(6, inp.key_slices[0].array))
    assert inp.prediction.labels is not None
    other = replace(inp, prediction=replace(inp.prediction, labels=inp.prediction.labels[1:]))
    with pytest.raises(ValueError, match="do not fit"):
        Slice.of(other, inp.key_slices[0])
