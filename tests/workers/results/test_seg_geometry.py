"""Round trip through files: what a model drew lies at the same place in the patient when the segmentation is read back.

For leaning, uneven, turned, mirrored and enhanced sources with unequal pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from highdicom.legacy import LegacyConvertedEnhancedCTImage, LegacyConvertedEnhancedMRImage
from highdicom.seg import segread
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from models.contracts import Code, InputRequirements, Prediction, ScalarMap, Volume
from tests.workers.stacks import Array, Frame, Uneven, enhanced, single_frames, turns
from tests.workers.synthetic import CARD, ORIENTATIONS, SEGMENTS, result_input, write
from workers import predictions
from workers.errors import GeometryRefused
from workers.reading.instances import quiet
from workers.reading.volume.load import LoadedSeries, read_headers, read_series
from workers.results import build_all
from workers.results.headers import check_planes
from workers.results.profile import Profile
from workers.results.validate import errors, validate

NEEDS = InputRequirements(
    modalities=("MR", "CT"),
    spacing_mm=(0.1, 20.0),
    extent_mm=(1.0, 2000.0),
    tilt="resample",
    uneven_spacing="resample",
    missing_slices="resample",
    several_stacks="largest",
)

STACK = Uneven([0, 2.5, 5, 7.5, 10, 12.5], size=(9, 13), spacing=(0.5, 1.75))
STACKS = {
    "regular": STACK,
    "leaning": replace(STACK, lean=(0.33, 0.0)),
    "leaning both ways": replace(STACK, lean=(-0.21, 0.17)),
    "uneven": replace(STACK, heights=[0, 2.5, 3.75, 6.25, 8.75, 11.5]),
    "leaning and uneven": replace(STACK, heights=[0, 2.5, 3.75, 6.25, 8.75, 11.5], lean=(0.33, -0.1)),
    "with a gap": replace(STACK, heights=[0, 2.5, 5, 10, 12.5, 15]),
}


def _points(volume: Volume) -> Array:
    """``[slice, row, column, 3]`` LPS mm of the voxels that the model was given."""
    indices = np.stack(np.meshgrid(*(np.arange(n) for n in volume.array.shape), indexing="ij"), axis=-1)
    points: Array = indices @ volume.geometry.affine[:3, :3].T + volume.geometry.affine[:3, 3]
    return points


def _draw(volume: Volume) -> npt.NDArray[np.uint8]:
    """Two bodies in patient space that no flip, turn or exchange of axes keeps."""
    points = _points(volume)
    low, high = points.min(axis=(0, 1, 2)), points.max(axis=(0, 1, 2))
    part = (points - low) / (high - low)
    labels = np.zeros(volume.array.shape, dtype=np.uint8)
    labels[part @ [0.7, 0.5, 0.3] < 0.5] = 1
    labels[np.linalg.norm((part - [0.65, 0.6, 0.7]) * [1, 1.3, 0.8], axis=-1) < 0.3] = 2
    return labels


def _predicted(loaded: LoadedSeries) -> Prediction:
    return loaded.bring_back(Prediction((), _draw(loaded.volume), SEGMENTS))


def _seg(loaded: LoadedSeries, prediction: Prediction, profile: Profile | None = None) -> bytes:
    """Check the planes again, build, and encode as a file."""
    check_planes(loaded.sources, prediction, loaded.planes)
    assert prediction.labels is not None
    inp = result_input(loaded.sources, prediction.labels.shape, prediction=prediction)
    [seg] = build_all(inp, profile or Profile(), ("seg",))["seg"]
    buffer = BytesIO()
    seg.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _drawn(data: bytes) -> dict[int, Array]:
    """Patient coordinates ``[voxel, 3]`` by segment, from the frames' own functional groups alone (C.7.6.2.1-1)."""
    ds = dcmread(BytesIO(data))
    shared = ds.SharedFunctionalGroupsSequence[0]
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float)
    rows_apart, columns_apart = (float(v) for v in shared.PixelMeasuresSequence[0].PixelSpacing)
    found: dict[int, list[Array]] = {}
    for frame, group in zip(
        ds.pixel_array.reshape(-1, ds.Rows, ds.Columns), ds.PerFrameFunctionalGroupsSequence, strict=True
    ):
        holder = group if "SegmentIdentificationSequence" in group else shared
        number = int(holder.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        position = np.array(group.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        r, c = (index[:, None] for index in np.nonzero(frame))
        found.setdefault(number, []).append(position + cosines[:3] * columns_apart * c + cosines[3:] * rows_apart * r)
    return {number: np.concatenate(points) for number, points in found.items()}


def _assert_same_places(data: bytes, labels: npt.NDArray[np.uint8], points: Array) -> None:
    """Every voxel of each label is drawn once within a hundredth of a mm of its place, and no other is."""
    drawn = _drawn(data)
    for number in (1, 2):
        expected = points[labels == number]
        assert len(expected) == len(drawn[number]) > 0
        apart = np.linalg.norm(expected[:, None] - drawn[number][None], axis=-1)
        assert apart.min(axis=1).max() < 0.01
        assert len(set(apart.argmin(axis=1).tolist())) == len(expected)


@pytest.mark.parametrize("profile", [Profile(), Profile(empty_frames=True)], ids=["default", "empty frames"])
@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("form", ["single frames", "enhanced"])
def test_irregular_stacks_get_their_masks_slice_by_slice(
    name: str, form: str, profile: Profile, tmp_path: Path
) -> None:
    stack = STACKS[name]
    frames = [Frame(stack, k) for k in (3, 0, 5, 1, 4, 2)]
    instances = single_frames(stack)[::-1] if form == "single frames" else [enhanced(frames)]
    loaded = read_series(write(tmp_path, instances), NEEDS)
    prediction = _predicted(loaded)
    assert prediction.labels is not None
    assert (loaded.way is None) is (name == "regular")
    _assert_same_places(_seg(loaded, prediction, profile), prediction.labels, stack.points)


@pytest.mark.parametrize("name", STACKS)
def test_what_comes_back_lies_where_the_model_drew_it(name: str, tmp_path: Path) -> None:
    """The labels of the model's own grid and those of the slices differ by no more than half a voxel."""
    stack = STACKS[name]
    loaded = read_series(write(tmp_path, single_frames(stack)), NEEDS)
    labels, model = _draw(loaded.volume), _points(loaded.volume)
    back = loaded.bring_back(Prediction((), labels, SEGMENTS)).labels
    assert back is not None
    half = float(np.linalg.norm(loaded.volume.geometry.spacing)) / 2 + 0.01
    for number in (1, 2):
        apart = np.linalg.norm(stack.points[back == number][:, None] - model[labels == number][None], axis=-1)
        assert apart.min(axis=1).max() <= half


@pytest.mark.parametrize("name", STACKS)
def test_spacing_between_slices_is_along_the_normal_and_only_said_where_it_is_even(name: str, tmp_path: Path) -> None:
    loaded = read_series(write(tmp_path, single_frames(STACKS[name])), NEEDS)
    seg = dcmread(BytesIO(_seg(loaded, _predicted(loaded))))
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    even = name in ("regular", "leaning", "leaning both ways")
    assert measures.get("SpacingBetweenSlices") == (pytest.approx(2.5, abs=1e-4) if even else None)
    assert [float(v) for v in measures.PixelSpacing] == [0.5, 1.75]


@pytest.mark.parametrize("turn", list(turns()), ids=str)
def test_every_turn_and_flip_of_the_axes_comes_back_through_the_files(
    turn: tuple[tuple[float, ...], bool], tmp_path: Path
) -> None:
    cosines, against = turn
    stack = replace(STACK, cosines=cosines, size=(4, 6))
    instances = single_frames(stack)
    loaded = read_series(write(tmp_path, instances[::-1] if against else instances), NEEDS)
    labels = _draw(loaded.volume)
    data = _seg(loaded, loaded.bring_back(Prediction((), labels, SEGMENTS)))
    _assert_same_places(data, labels, stack.points)
    volume = segread(BytesIO(data)).get_volume(combine_segments=True)  # highdicom's reading of the same file
    indices = (stack.points[labels > 0] - volume.affine[:3, 3]) @ np.linalg.inv(volume.affine[:3, :3]).T
    np.testing.assert_allclose(indices, np.rint(indices), atol=1e-3)
    np.testing.assert_array_equal(volume.array[tuple(np.rint(indices).astype(int).T)], labels[labels > 0])
    assert (volume.array > 0).sum() == (labels > 0).sum()


def test_the_chosen_stack_of_an_enhanced_image_is_drawn_on_its_own_frames(tmp_path: Path) -> None:
    other = replace(STACK, cosines=ORIENTATIONS["sagittal"], heights=STACK.heights[:4])
    frames = [Frame(other, k) for k in range(4)]
    frames += [Frame(STACK, k, {"TemporalPositionIndex": phase}) for k in (3, 1, 0, 4, 2, 5) for phase in (2, 1)]
    loaded = read_series(write(tmp_path, [enhanced(frames)]), NEEDS)
    prediction = _predicted(loaded)
    assert prediction.labels is not None
    data = _seg(loaded, prediction)
    _assert_same_places(data, prediction.labels, STACK.points)
    for group in dcmread(BytesIO(data)).PerFrameFunctionalGroupsSequence:
        source = frames[group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber - 1]
        assert source.marks == {"TemporalPositionIndex": 1}
        position = [float(v) for v in group.PlanePositionSequence[0].ImagePositionPatient]
        assert position == pytest.approx(STACK.position(source.k), abs=1e-4)


@pytest.mark.parametrize("form", ["single frames", "enhanced"])
def test_a_map_has_its_values_on_the_slices_of_a_leaning_uneven_stack(form: str, tmp_path: Path) -> None:
    stack = STACKS["leaning and uneven"]
    frames = [Frame(stack, k, {"TemporalPositionIndex": phase}) for k in (3, 0, 5, 1, 4, 2) for phase in (1, 2)]
    instances = single_frames(stack) if form == "single frames" else [enhanced(frames)]
    loaded = read_series(write(tmp_path, instances), NEEDS)
    points = _points(loaded.volume)
    code = Code("1", "99TEST", "Height")
    item = ScalarMap("height", "Height", code, Code("mm", "UCUM", "mm"), points[..., 2].astype(np.float32))
    prediction = loaded.bring_back(Prediction((), maps=(item,)))
    [pm] = build_all(result_input(loaded.sources, stack.shape, prediction=prediction), Profile(), ("pm",))["pm"]
    buffer = BytesIO()
    pm.save_as(buffer, enforce_file_format=True)
    ds = dcmread(BytesIO(buffer.getvalue()))
    mapping = ds.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    values = ds.pixel_array * mapping.RealWorldValueSlope + mapping.RealWorldValueIntercept
    positions = [stack.position(k) for k in range(6)]
    found = [list(g.PlanePositionSequence[0].ImagePositionPatient) for g in ds.PerFrameFunctionalGroupsSequence]
    order = [positions.index(position) for position in found]
    assert sorted(order) == list(range(6))
    np.testing.assert_allclose(values, stack.points[order][..., 2], atol=0.01)


def test_results_are_refused_where_slices_are_not_those_that_the_model_saw(tmp_path: Path) -> None:
    stack = STACKS["leaning and uneven"]
    paths = write(tmp_path, single_frames(stack))
    loaded = read_series(paths, NEEDS)
    prediction = _predicted(loaded)
    predictions.save(prediction, CARD, tmp_path / "kept", loaded.planes)
    again, card = predictions.read(tmp_path / "kept")
    planes = predictions.read_planes(tmp_path / "kept")
    assert (planes, card) == (loaded.planes, CARD)
    check_planes(read_headers(paths[::-1]), again, planes)
    moved = write(tmp_path / "moved", single_frames(replace(stack, origin=(-31.5, 12.25, 40.5))))
    renamed = write(tmp_path / "renamed", single_frames(stack, start=1))
    for others in (moved, renamed, paths[:-1]):
        with pytest.raises(GeometryRefused, match="not those, or not where those lay"):
            check_planes(read_headers(others), again, planes)
    with pytest.raises(GeometryRefused, match="has the shape"):
        check_planes(read_headers(paths[:-1]), again, "")


def _converted(instances: Sequence[Dataset]) -> Dataset:
    """Enhanced image as highdicom makes it of single-frame ones (PS3.3 A.70, A.71)."""
    kind = LegacyConvertedEnhancedCTImage if instances[0].Modality == "CT" else LegacyConvertedEnhancedMRImage
    with quiet():
        return kind(instances, generate_uid(), 1, generate_uid(), 1)


@pytest.mark.data
@pytest.mark.parametrize("form", ["single frames", "enhanced"])
@pytest.mark.parametrize(
    "series", ["dicom-ct-head-qa/GE", "dicom-mr-brain-btp/Study1/12-T1post-05670"], ids=["tilted CT", "oblique MR"]
)
def test_real_series_come_back_voxel_by_voxel(
    series: str, form: str, real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    name, _, folder = series.partition("/")
    paths = sorted((real_data(name) / folder).glob("*.dcm"))[::-1]
    if form == "enhanced":
        paths = write(tmp_path, [_converted([dcmread(path) for path in paths])])
    loaded = read_series(paths, NEEDS)
    prediction = _predicted(loaded)
    labels = prediction.labels
    assert labels is not None
    assert (loaded.way is not None) is ("GE" in series)
    seg = dcmread(BytesIO(_seg(loaded, prediction)))
    positions = {tuple(ds.ImagePositionPatient): k for k, ds in enumerate(_slices(series, real_data))}
    found = np.zeros_like(labels)
    for frame, group in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence, strict=True):
        number = int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        found[positions[tuple(group.PlanePositionSequence[0].ImagePositionPatient)]][frame > 0] = number
    np.testing.assert_array_equal(found, labels)


def _slices(series: str, real_data: Callable[[str], Path]) -> list[Dataset]:
    """Headers in order along the normal, without the code under test."""
    name, _, folder = series.partition("/")
    slices = [dcmread(path, stop_before_pixels=True) for path in (real_data(name) / folder).glob("*.dcm")]
    row, column = np.array(slices[0].ImageOrientationPatient, dtype=float).reshape(2, 3)
    return sorted(slices, key=lambda ds: float(np.array(ds.ImagePositionPatient, dtype=float) @ np.cross(row, column)))


@pytest.mark.peer
@pytest.mark.parametrize("form", ["single frames", "enhanced"])
def test_dciodvfy_finds_no_error_in_the_segmentation_of_a_leaning_uneven_stack(
    form: str, peer: Callable[[str], str], tmp_path: Path
) -> None:
    peer("dciodvfy")
    stack = STACKS["leaning and uneven"]
    frames = [Frame(stack, k) for k in range(6)]
    instances = single_frames(stack) if form == "single frames" else [enhanced(frames)]
    loaded = read_series(write(tmp_path, instances), NEEDS)
    path = tmp_path / "seg.dcm"
    path.write_bytes(_seg(loaded, _predicted(loaded)))
    assert errors(validate(path)) == []
