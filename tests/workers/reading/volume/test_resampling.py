"""A leaning or uneven stack, resampled and brought back: every voxel stays where it is in the patient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread

from models.contracts import Code, Geometry, InputRequirements, Prediction, ScalarMap, SegmentSpec
from models.geometry import is_sheared
from tests.workers.stacks import Uneven, ramp, single_frames, to_voxels
from tests.workers.synthetic import CARD, ORIENTATIONS, SEGMENTS, write
from workers.errors import SeriesRefused
from workers.reading.volume.geometry import Layout
from workers.reading.volume.load import MAX_VOXELS, read_headers, read_series
from workers.reading.volume.resampling import Resampling, bring_back, plan

Array = npt.NDArray[np.float64]
NEEDS = replace(CARD.requirements, tilt="resample", uneven_spacing="resample", missing_slices="resample")
NEEDS = replace(NEEDS, spacing_mm=(0.3, 8.0))

STACKS = st.builds(
    Uneven,
    heights=st.lists(st.integers(8, 40), min_size=5, max_size=12).map(lambda gaps: np.cumsum([0, *gaps]) / 10),
    lean=st.tuples(*[st.integers(-50, 50).map(lambda v: v / 100)] * 2),
    size=st.just((14, 11)),
    spacing=st.tuples(*[st.integers(5, 20).map(lambda v: v / 10)] * 2),
    cosines=st.sampled_from(list(ORIENTATIONS.values())),
)


def _points(grid: Geometry) -> Array:
    """``[slice, row, column, 3]`` LPS mm of every voxel of a grid."""
    indices = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
    points: Array = indices @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    return points


def _covered(way: Resampling, points: Array) -> npt.NDArray[np.bool_]:
    """Which points lie within all slices before and behind them, where linear interpolation has all that it needs."""
    voxels = to_voxels(way.source, points)
    rows, columns = way.source.shape[1:]
    slack = np.abs(np.diff(way.shifts, axis=0)).max(axis=0) + 1
    inside = (voxels[..., 1:] > slack) & (voxels[..., 1:] < np.array([rows, columns]) - 1 - slack)
    covered: npt.NDArray[np.bool_] = inside.all(axis=-1)
    return covered


@given(stack=STACKS)
@settings(max_examples=60, deadline=None)
def test_the_grid_is_right_angled_and_holds_every_source_voxel(stack: Uneven) -> None:
    way = plan(stack.layout)
    assert not is_sheared(way.grid.affine)
    assert way.grid.spacing[1:] == pytest.approx(stack.spacing)
    voxels = (stack.points - way.grid.affine[:3, 3]) @ np.linalg.inv(way.grid.affine[:3, :3]).T
    assert voxels.min() > -0.06
    assert (voxels.max(axis=(0, 1, 2)) < np.array(way.grid.shape) - 0.94).all()


@given(stack=STACKS)
@settings(max_examples=60, deadline=None)
def test_a_field_that_grows_linearly_has_its_own_value_at_every_voxel_of_the_grid_and_back(stack: Uneven) -> None:
    way = plan(stack.layout)
    array = way.forward(ramp(stack.points).astype(np.float32))
    points = _points(way.grid)
    inside = _covered(way, points)
    np.testing.assert_allclose(array[inside], ramp(points)[inside], atol=0.5)  # of some hundred, over 0.05 mm
    back = way.values_back(ramp(points).astype(np.float32))
    np.testing.assert_allclose(back, ramp(stack.points), atol=0.5)


@given(stack=STACKS, radius=st.integers(30, 60), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_a_ball_drawn_on_the_grid_comes_back_to_within_half_a_voxel(stack: Uneven, radius: int, seed: int) -> None:
    way = plan(stack.layout)
    inner = stack.points.reshape(-1, 3)
    centre = inner[np.random.default_rng(seed).integers(len(inner))]
    points = _points(way.grid)
    labels = (np.linalg.norm(points - centre, axis=-1) <= radius / 10).astype(np.uint8) * 2
    back = way.labels_back(labels)
    distance = np.linalg.norm(stack.points - centre, axis=-1)
    half = float(np.linalg.norm(way.grid.spacing)) / 2
    assert (back[distance < radius / 10 - half] == 2).all()
    assert (back[distance > radius / 10 + half] == 0).all()


def test_a_lean_of_whole_pixels_changes_no_value() -> None:
    stack = Uneven([0, 2, 4, 6], lean=(0.75, -1.25), spacing=(0.5, 0.5), size=(6, 5))
    way = plan(stack.layout)
    array = np.random.default_rng(1).normal(size=stack.shape).astype(np.float32)
    forward = way.forward(array)
    assert forward.shape == (4, 6 + 9, 5 + 15)
    for k in range(4):
        cut = forward[k, 3 * k : 3 * k + 6, 15 - 5 * k : 20 - 5 * k]
        np.testing.assert_array_equal(cut, array[k])
    assert (forward[0, 6:] == array.min()).all(), "what no slice shows is as dark as the darkest voxel"
    np.testing.assert_array_equal(way.values_back(forward), array)


def test_slices_that_are_even_but_for_the_rounding_of_their_positions_are_not_mixed() -> None:
    stack = Uneven([0, 2.03, 3.98, 6.0], size=(6, 5))
    array = np.random.default_rng(1).normal(size=stack.shape).astype(np.float32)
    labels = np.random.default_rng(2).integers(0, 3, stack.shape).astype(np.uint8)
    way = plan(stack.layout)
    np.testing.assert_array_equal(way.forward(array), array)
    np.testing.assert_array_equal(way.values_back(array), array)
    np.testing.assert_array_equal(way.labels_back(labels), labels)


def test_missing_slices_are_filled_in_between_their_neighbours() -> None:
    stack = Uneven([0, 2, 4, 8, 10], size=(4, 4))
    array = np.arange(5, dtype=np.float32)[:, None, None] * np.ones((1, 4, 4), dtype=np.float32)
    way = plan(stack.layout)
    np.testing.assert_allclose(way.forward(array)[:, 0, 0], [0, 1, 2, 2.5, 3, 4])
    labels = np.zeros(way.grid.shape, dtype=np.uint8)
    labels[3] = 1
    lost = bring_back(way, Prediction((), labels, SEGMENTS))
    assert lost.labels is not None
    assert not lost.labels.any()
    assert lost.warnings == ("Hippocampus, anterior part: too small to be drawn on the slices of the series.",)


def test_thin_labels_that_meet_half_way_keep_no_gap() -> None:
    stack = Uneven([0, 2, 4, 6], lean=(0.125, 0.0), spacing=(0.5, 0.5), size=(8, 3))
    way = plan(stack.layout)
    labels = np.zeros(way.grid.shape, dtype=np.uint8)
    labels[:, 3], labels[:, 4] = 1, 2
    back = way.labels_back(labels)
    assert [set(np.unique(plane).tolist()) for plane in back] == [{0, 1, 2}] * 4


@pytest.mark.parametrize(
    "stack",
    [
        Uneven([0, 2.5, 5, 7.5, 10, 12.5], lean=(0.33, 0.0)),
        Uneven([0, 2.5, 3.75, 6.25, 8.75, 11.5], lean=(-0.1, 0.2)),
        Uneven([0, 2.5, 5, 10, 12.5]),
    ],
)
def test_a_series_is_resampled_with_its_warning_and_the_prediction_lies_on_its_slices(
    stack: Uneven, tmp_path: Path
) -> None:
    paths = write(tmp_path, single_frames(stack)[::-1])
    loaded = read_series(paths, NEEDS)
    points = _points(loaded.volume.geometry)
    assert loaded.way is not None
    inside = _covered(loaded.way, points)
    assert inside.any()
    np.testing.assert_allclose(loaded.volume.array[inside], ramp(points)[inside], atol=2)
    [warning] = loaded.warnings
    assert "resampled linearly to a right-angled grid" in warning
    labels = (points @ [0.0, 0.0, 1.0] > points[..., 2].mean()).astype(np.uint8)
    item = ScalarMap("p", "P", Code("1", "99", "p"), Code("1", "UCUM", "1"), ramp(points).astype(np.float32))
    brought = loaded.bring_back(Prediction((), labels, SEGMENTS, ("A limit.",), (item,)))
    assert brought.warnings == (warning, "A limit.")
    assert brought.labels is not None
    assert brought.labels.shape == brought.maps[0].array.shape == stack.shape
    np.testing.assert_allclose(brought.maps[0].array, ramp(stack.points), atol=0.5)
    assert [str(ds.SOPInstanceUID) for ds in loaded.sources] == [str(ds.SOPInstanceUID) for ds in read_headers(paths)]


def test_a_regular_series_is_neither_resampled_nor_its_prediction_copied(tmp_path: Path) -> None:
    loaded = read_series(write(tmp_path, single_frames(Uneven([0, 2.5, 5, 7.5]))), NEEDS)
    prediction = Prediction(())
    assert loaded.way is None
    assert loaded.bring_back(prediction) is prediction


def test_a_hostile_stack_is_refused_before_its_grid_is_allocated(tmp_path: Path) -> None:
    stack = Uneven([0, 0.02, 0.04, 0.06, 0.08, 1e7], size=(12, 10))
    assert plan(stack.layout).grid.shape[0] * 120 > MAX_VOXELS
    with pytest.raises(SeriesRefused, match="are not read"):
        read_series(
            write(tmp_path, single_frames(stack, np.zeros(stack.shape, dtype=np.int16))),
            InputRequirements(("MR",), (0.0, 1e9), (0.0, 1e9), uneven_spacing="resample", missing_slices="resample"),
        )


@pytest.mark.data
def test_the_real_head_of_uneven_leaning_slices_is_resampled_and_its_bone_comes_back(
    real_data: Callable[[str], Path],
) -> None:
    paths = sorted((real_data("dicom-ct-head-qa") / "GE").glob("*.dcm"))
    needs = replace(NEEDS, modalities=("CT",))
    loaded = read_series(paths, needs)
    assert loaded.way is not None
    assert loaded.volume.geometry.spacing == pytest.approx((4.0, 0.488, 0.488), abs=0.01)
    assert "lean by 18.5 degrees" in loaded.warnings[0]
    assert "1.08 to 7.00 mm apart" in loaded.warnings[0]
    array = loaded.volume.array
    spec = (SegmentSpec(1, "Bone", Code("1", "99", "a"), Code("1", "99", "b")),)
    brought = loaded.bring_back(Prediction((), (array > 300).astype(np.uint8), spec))
    assert brought.labels is not None
    assert brought.labels.shape == (28, 512, 512)
    source = _source(paths, loaded.way.source)
    bone, drawn = source > 300, brought.labels > 0
    dice = [2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in zip(bone, drawn, strict=True)]
    assert min(dice[:14]) > 0.95, "where the grid's step is the slices' own, only the lean was interpolated"
    assert float(np.median(dice)) > 0.9


def _source(paths: list[Path], layout: Layout) -> npt.NDArray[np.float32]:
    """Hounsfield units of the slices as they are, from a model that accepts everything but their steps."""
    slices = sorted((dcmread(path) for path in paths), key=lambda ds: float(ds.ImagePositionPatient[2]))
    assert [float(ds.ImagePositionPatient[2]) for ds in slices] == pytest.approx(layout.positions[:, 2].tolist())
    return np.stack([ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept) for ds in slices]).astype(
        "f4"
    )
