"""From files to a volume through the gate: every turn of the axes, copies, phases, and stacks of an enhanced image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.tag import Tag
from pydicom.uid import UID, generate_uid

from models.contracts import Prediction
from tests.workers.stacks import Frame, Uneven, enhanced, ramp, single_frames, turns
from tests.workers.synthetic import ORIENTATIONS, write
from workers.errors import GeometryRefused
from workers.reading.volume.load import STRICT, LoadedSeries, read_headers, read_series

AXIAL = Uneven([0, 2.5, 5, 7.5, 10], cosines=ORIENTATIONS["axial"], size=(4, 7), spacing=(0.5, 2.0))
LARGEST = replace(STRICT, several_stacks="largest")
IN_STACK, STACK_ID, TEMPORAL = Tag(0x00209057), Tag(0x00209056), Tag(0x00209128)


def _check(loaded: LoadedSeries, stack: Uneven) -> None:
    """Every voxel of the volume has the value of the place where the affine puts it."""
    grid = loaded.volume.geometry
    indices = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
    points = indices @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    np.testing.assert_allclose(points, stack.points, atol=1e-4)
    np.testing.assert_allclose(loaded.volume.array, ramp(points), atol=0.51)


@pytest.mark.parametrize("turn", list(turns()), ids=str)
def test_every_turn_and_flip_of_the_axes_puts_unequal_pixels_in_their_place(
    turn: tuple[tuple[float, ...], bool], tmp_path: Path
) -> None:
    cosines, against = turn
    stack = replace(AXIAL, cosines=cosines)
    instances = single_frames(stack)
    for number, ds in enumerate(reversed(instances) if against else instances):
        ds.InstanceNumber = number + 1
    _check(read_series(write(tmp_path, instances[::-1] if against else instances)), stack)
    frames = [Frame(stack, k) for k in (range(4, -1, -1) if against else range(5))]
    _check(read_series(write(tmp_path / "enhanced", [enhanced(frames)])), stack)


def test_the_turns_are_all_48_that_there_are() -> None:
    matrices = {
        tuple(np.rint(np.column_stack([axes[:, 0] * (-1 if against else 1), axes[:, 1:]]).ravel()).astype(int))
        for cosines, against in turns()
        for axes in [replace(AXIAL, cosines=cosines).axes]
    }
    assert len(matrices) == 48


@given(order=st.permutations(range(12)))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_phases_in_any_order_of_the_files_give_the_same_volume_and_sources(order: list[int], tmp_path: Path) -> None:
    stack = Uneven([0, 2.5, 5, 7.5, 10, 12.5])
    other = np.zeros(stack.shape, dtype=np.int16)
    instances = [
        *single_frames(stack, other, start=6, TemporalPositionIdentifier=2),
        *single_frames(stack, TemporalPositionIdentifier=1),
    ]
    paths = write(tmp_path, instances)
    shuffled = [paths[index] for index in order]
    loaded = read_series(shuffled, LARGEST)
    _check(loaded, stack)
    names = [f"1.2.826.0.1.3680043.10.1.4.{k + 1}" for k in range(6)]
    assert [str(ds.SOPInstanceUID) for ds in loaded.sources] == names
    assert [str(ds.SOPInstanceUID) for ds in read_headers(shuffled[::-1])] == names
    with pytest.raises(GeometryRefused, match="told apart by TemporalPositionIdentifier"):
        read_series(shuffled)


def test_a_slice_that_was_sent_twice_is_read_once_if_its_pixels_are_the_same(tmp_path: Path) -> None:
    instances = single_frames(AXIAL)
    copy = single_frames(AXIAL)[2]
    copy.SOPInstanceUID = copy.file_meta.MediaStorageSOPInstanceUID = UID("1.2.826.0.1.3680043.10.1.4.9")
    paths = write(tmp_path, [copy, *instances])
    loaded = read_series(paths)
    _check(loaded, AXIAL)
    assert loaded.bring_back(Prediction(())).warnings == ("Left out of the series: 1 copy of a slice.",)
    assert [ds.InstanceNumber for ds in read_headers(paths)] == [1, 2, 3, 4, 5]
    assert str(copy.SOPInstanceUID) not in {str(ds.SOPInstanceUID) for ds in (*loaded.sources, *read_headers(paths))}
    copy.PixelData = copy.PixelData[:-2] + b"\7\7"
    with pytest.raises(GeometryRefused, match="1 of 6 slices lie where another one lies"):
        read_series(write(tmp_path, [copy, *instances]))


@pytest.mark.parametrize("pointers", [(), (TEMPORAL, IN_STACK), (IN_STACK, STACK_ID, TEMPORAL)])
def test_phases_of_an_enhanced_image_are_told_apart(pointers: tuple[int, ...], tmp_path: Path) -> None:
    def frame(phase: int, k: int) -> Frame:
        values = {TEMPORAL: phase, IN_STACK: k + 1, STACK_ID: 1}
        marks: dict[str, object] = {} if pointers else {"TemporalPositionIndex": phase}
        return Frame(AXIAL, k, marks, tuple(values[Tag(pointer)] for pointer in pointers))

    frames = [frame(phase, k) for k in (3, 1, 0, 4, 2) for phase in (2, 1)]
    paths = write(tmp_path, [enhanced(frames, pointers)])
    with pytest.raises(GeometryRefused, match="of 10 slices 5 are one of 2 stacks or phases, told apart by"):
        read_series(paths)
    loaded = read_series(paths, LARGEST)
    np.testing.assert_allclose(loaded.volume.array, ramp(AXIAL.points) + (0 if pointers else 1), atol=0.51)
    assert len(loaded.sources) == 1


def test_stacks_of_an_enhanced_image_are_told_apart_by_orientation_and_by_stack_id(tmp_path: Path) -> None:
    sagittal = replace(AXIAL, cosines=ORIENTATIONS["sagittal"], heights=AXIAL.heights[:4])
    far = replace(AXIAL, heights=[30, 32.5, 35, 37.5])
    for other, told in ((sagittal, "different orientations"), (far, "StackID")):
        frames = [*(Frame(other, k, {"StackID": "A"}) for k in range(4))]
        frames += [Frame(AXIAL, k, {"StackID": "B"}) for k in range(5)]
        paths = write(tmp_path, [enhanced(frames)])
        with pytest.raises(GeometryRefused, match=told):
            read_series(paths)
        _check(read_series(paths, LARGEST), AXIAL)


@pytest.mark.data
def test_a_real_oblique_brain_is_read_alike_whatever_the_order_of_its_files(real_data: Callable[[str], Path]) -> None:
    paths = sorted((real_data("dicom-mr-brain-btp") / "Study1" / "12-T1post-05670").iterdir())
    one, other = read_series(paths), read_series([*paths[7:][::-1], *paths[:7]])
    np.testing.assert_array_equal(one.volume.array, other.volume.array)
    np.testing.assert_array_equal(one.volume.geometry.affine, other.volume.geometry.affine)
    assert (one.planes, one.warnings, one.way) == (other.planes, (), None)


@pytest.mark.data
def test_two_real_series_sent_as_one_are_refused(real_data: Callable[[str], Path], tmp_path: Path) -> None:
    """The slices of a brain, and every second one again as another echo."""
    paths = sorted((real_data("dicom-mr-brain-btp") / "Study1" / "12-T1post-05670").iterdir())
    again = [dcmread(path) for path in paths[::2]]
    for ds in again:
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.EchoTime = float(ds.EchoTime) + 40
    both = [*paths, *write(tmp_path, again)]
    with pytest.raises(GeometryRefused, match="2 stacks or phases, told apart by EchoTime"):
        read_series(both)
    assert read_series(both, LARGEST).planes == read_series(paths).planes
