"""The segmentation that is written and read back shows every voxel where the prediction has it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from highdicom import Volume, VolumeGeometry
from highdicom.seg import Segmentation, segread
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset

from tests.workers.synthetic import (
    CARD,
    ORIENTATIONS,
    SEGMENTS,
    Phantom,
    multi_frame,
    prediction_for,
    result_input,
    single_frames,
    write,
)
from workers.reading.volume.load import read_series
from workers.results import build_all
from workers.results.common import DISCLAIMER, ResultInput, derive_uid
from workers.results.seg.volume import build_segs

Points = dict[int, npt.NDArray[np.float64]]
"""Patient coordinates ``[voxel, 3]`` of each segment."""


def _build(inp: ResultInput) -> Dataset:
    [seg] = build_segs(inp)
    return seg


def _bytes(ds: Dataset) -> bytes:
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _read_back(ds: Dataset) -> Segmentation:
    return segread(BytesIO(_bytes(ds)))


def _points_of_frames(data: bytes) -> Points:
    """Read with pydicom alone, from the frames' own functional groups."""
    ds = dcmread(BytesIO(data))
    shared = ds.SharedFunctionalGroupsSequence[0]
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float)
    rows_apart, columns_apart = (float(v) for v in shared.PixelMeasuresSequence[0].PixelSpacing)
    pixels = ds.pixel_array.reshape(-1, ds.Rows, ds.Columns)
    found: dict[int, list[npt.NDArray[np.float64]]] = {}
    for frame, group in zip(pixels, ds.PerFrameFunctionalGroupsSequence, strict=True):
        number = int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        position = np.array(group.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        r, c = (index[:, None] for index in np.nonzero(frame))
        found.setdefault(number, []).append(position + cosines[:3] * columns_apart * c + cosines[3:] * rows_apart * r)
    return {number: np.concatenate(points) for number, points in found.items()}


def _assert_drawn(seg: Dataset, labels: npt.NDArray[np.uint8], affine: npt.NDArray[np.float64]) -> None:
    """Every voxel of ``labels``, and no other, is drawn within 0.03 mm of its place, in the segment of its number."""
    drawn = np.zeros_like(labels)
    for number, points in _points_of_frames(_bytes(seg)).items():
        indices = (points - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
        nearest = np.rint(indices)
        assert np.linalg.norm((indices - nearest) @ affine[:3, :3].T, axis=1).max() < 0.03
        drawn[tuple(nearest.astype(int).T)] = number
        assert len(points) == (drawn == number).sum()
    np.testing.assert_array_equal(drawn, labels)


def _input(tmp_path: Path, instances: Sequence[Dataset], shape: tuple[int, int, int]) -> ResultInput:
    return result_input(read_series(write(tmp_path, instances)).sources, shape)


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_the_mask_comes_back_voxel_by_voxel_in_patient_space(name: str, tmp_path: Path) -> None:
    phantom = Phantom(cosines=ORIENTATIONS[name])
    inp = _input(tmp_path, single_frames(phantom)[::-1], phantom.shape)
    labels = inp.prediction.labels
    assert labels is not None
    _assert_drawn(_build(inp), labels, phantom.affine)


@given(
    spacing=st.tuples(*[st.integers(4, 60).map(lambda v: v / 10)] * 3),
    angles=st.tuples(*[st.integers(-90, 90)] * 3),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_mask_on_any_grid_comes_back_through_highdicom(
    spacing: tuple[float, float, float], angles: tuple[int, int, int], seed: int, tmp_path: Path
) -> None:
    x, y, z = np.radians(angles)
    turn_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    turn_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    turn_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    turn = turn_x @ turn_y @ turn_z
    cosines = tuple(round(float(v), 7) for v in (*turn[:, 0], *turn[:, 1]))
    phantom = Phantom(shape=(5, 7, 6), spacing=spacing, cosines=cosines)
    labels = np.random.default_rng(seed).choice(np.array([0, 0, 0, 1, 2], dtype=np.uint8), phantom.shape)
    labels[0, 0, 0], labels[4, 6, 5] = 1, 2
    inp = _input(tmp_path, single_frames(phantom), phantom.shape)
    inp = replace(inp, prediction=replace(inp.prediction, labels=labels))
    volume = _read_back(_build(inp)).get_volume(combine_segments=True)
    matched = volume.match_geometry(_geometry_like(volume, phantom))
    np.testing.assert_array_equal(matched.array, labels)


def _geometry_like(volume: Volume, phantom: Phantom) -> VolumeGeometry:
    return VolumeGeometry(
        affine=phantom.affine,
        spatial_shape=phantom.shape,
        coordinate_system="PATIENT",
        frame_of_reference_uid=volume.frame_of_reference_uid,
    )


def test_frames_of_an_enhanced_source_in_any_order_give_the_same_mask(tmp_path: Path) -> None:
    phantom = Phantom(cosines=ORIENTATIONS["oblique"])
    inp = _input(tmp_path, [multi_frame(phantom, [3, 0, 5, 1, 4, 2])], phantom.shape)
    labels = inp.prediction.labels
    assert labels is not None
    seg = _build(inp)
    _assert_drawn(seg, labels, phantom.affine)
    order = [3, 0, 5, 1, 4, 2]
    for group in seg.PerFrameFunctionalGroupsSequence:
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        k = order[int(source.ReferencedFrameNumber) - 1]
        position = [float(v) for v in group.PlanePositionSequence[0].ImagePositionPatient]
        assert position == pytest.approx(phantom.position(k), abs=1e-4)


def test_each_frame_names_the_slice_that_it_was_drawn_on(tmp_path: Path) -> None:
    phantom = Phantom()
    inp = _input(tmp_path, single_frames(phantom), phantom.shape)
    positions = {str(ds.SOPInstanceUID): [float(v) for v in ds.ImagePositionPatient] for ds in inp.sources}
    for group in _build(inp).PerFrameFunctionalGroupsSequence:
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        position = [float(v) for v in group.PlanePositionSequence[0].ImagePositionPatient]
        assert position == positions[str(source.ReferencedSOPInstanceUID)]


def test_frames_without_a_voxel_are_left_out(tmp_path: Path) -> None:
    inp = _input(tmp_path, single_frames(Phantom()), Phantom().shape)
    labels = inp.prediction.labels
    assert labels is not None
    drawn = sum(int((labels[k] == number).any()) for k in range(6) for number in (1, 2))
    assert int(_build(inp).NumberOfFrames) == drawn < 12


def test_label_values_with_gaps_become_segment_numbers_from_one(tmp_path: Path) -> None:
    inp = _input(tmp_path, single_frames(Phantom()), Phantom().shape)
    labels = inp.prediction.labels
    assert labels is not None
    table = np.array([0, 40, 7], dtype=np.uint8)
    segments = (replace(SEGMENTS[0], label=40), replace(SEGMENTS[1], label=7))
    seg = _build(replace(inp, prediction=replace(inp.prediction, labels=table[labels], segments=segments)))
    assert [int(item.SegmentNumber) for item in seg.SegmentSequence] == [1, 2]
    _assert_drawn(seg, labels, Phantom().affine)


def test_segments_say_what_they_are_and_which_algorithm_drew_them(tmp_path: Path) -> None:
    inp = _input(tmp_path, single_frames(Phantom()), Phantom().shape)
    seg = _read_back(_build(inp))
    first, second = seg.SegmentSequence
    assert first.SegmentLabel == "Hippocampus, anterior part"
    assert first.SegmentedPropertyTypeCodeSequence[0].CodeValue == "75042008"
    assert first.SegmentAlgorithmType == "AUTOMATIC"
    algorithm = first.SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == (CARD.name, CARD.version)
    assert second.AnatomicRegionSequence[0].CodeValue == "12738006"
    assert second.AnatomicRegionSequence[0].AnatomicRegionModifierSequence[0].CodeValue == "255551008"
    assert len(first.RecommendedDisplayCIELabValue) == 3
    assert first.TrackingID == "hippocampus hippocampus-anterior left"
    assert seg.SegmentationType == "BINARY"


def test_a_segment_names_the_side_of_the_body_where_its_finding_does(tmp_path: Path) -> None:
    inp = _input(tmp_path, single_frames(Phantom()), Phantom().shape)
    told, untold = (item.SegmentedPropertyTypeCodeSequence[0] for item in _read_back(_build(inp)).SegmentSequence)
    [side] = told.SegmentedPropertyTypeModifierCodeSequence
    assert (side.CodeValue, side.CodeMeaning) == ("7771000", "Left")
    assert "SegmentedPropertyTypeModifierCodeSequence" not in untold


def test_the_result_stands_in_the_study_and_behind_its_images(tmp_path: Path) -> None:
    inp = _input(tmp_path, single_frames(Phantom()), Phantom().shape)
    seg = _read_back(_build(inp))
    assert seg.StudyInstanceUID == inp.image.StudyInstanceUID
    assert seg.FrameOfReferenceUID == inp.image.FrameOfReferenceUID
    assert seg.SeriesInstanceUID != inp.image.SeriesInstanceUID
    assert (seg.PatientID, seg.AccessionNumber, seg.StudyDescription) == ("P-1", "A-1", "Kopf")
    assert int(seg.SeriesNumber) == 10051 > int(inp.image.SeriesNumber)
    assert seg.SeriesDescription == "SEG Hippocampus segmentation"
    scanner, node, _, model = seg.ContributingEquipmentSequence
    purposes = [item.PurposeOfReferenceCodeSequence[0].CodeValue for item in seg.ContributingEquipmentSequence]
    assert purposes == ["109101", "109102", "109102", "109102"]
    assert (scanner.Manufacturer, node.ContributionDescription) == ("Maker", DISCLAIMER)
    assert (model.ManufacturerModelName, model.SoftwareVersions) == (CARD.name, CARD.version)


def test_the_device_is_another_one_when_the_weights_change(tmp_path: Path) -> None:
    inp = _input(tmp_path, single_frames(Phantom()), Phantom().shape)
    retrained = replace(inp, card=replace(CARD, weights_sha256="cd" * 32))
    first, again, other = (_read_back(_build(which)) for which in (inp, inp, retrained))
    assert first.DeviceUID == again.DeviceUID != other.DeviceUID
    for seg in (first, other):
        assert seg.ContributingEquipmentSequence[-1].DeviceUID == seg.DeviceUID


def test_nothing_is_invented_for_a_source_that_says_little(tmp_path: Path) -> None:
    def bare(ds: Dataset) -> None:
        for keyword in ("PatientBirthDate", "PatientSex", "StudyID", "AccessionNumber", "Manufacturer"):
            del ds[keyword]
        del ds.SliceThickness
        ds.SeriesNumber = None

    sources = read_series(write(tmp_path, single_frames(Phantom()), bare)).sources
    seg = _read_back(_build(result_input(sources, Phantom().shape)))
    for keyword in ("PatientBirthDate", "PatientSex", "StudyID", "AccessionNumber"):
        assert keyword in seg
        assert not seg[keyword].value
    assert seg.ContributingEquipmentSequence[0].Manufacturer == "Overread"  # no acquisition equipment is named
    assert seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SliceThickness == 2.5
    assert int(seg.SeriesNumber) == 10001


def test_the_sources_are_not_changed_by_building(tmp_path: Path) -> None:
    inp = _input(tmp_path, single_frames(Phantom()), Phantom().shape)
    before = [_header_bytes(ds) for ds in inp.sources]
    build_all(inp)
    assert [_header_bytes(ds) for ds in inp.sources] == before


def _header_bytes(ds: Dataset) -> str:
    return str(ds)


def test_a_retry_makes_the_same_bytes_and_other_images_make_another_object(tmp_path: Path) -> None:
    inp = _input(tmp_path, single_frames(Phantom()), Phantom().shape)
    first = _build(inp)
    assert _bytes(first) == _bytes(_build(inp))
    other = _build(replace(inp, input_digest="33" * 32))
    assert other.SOPInstanceUID != first.SOPInstanceUID
    assert other.SeriesInstanceUID == first.SeriesInstanceUID
    assert _build(replace(inp, context_digest="44" * 32)).SOPInstanceUID == first.SOPInstanceUID
    retrained = _build(replace(inp, card=replace(CARD, weights_sha256="cd" * 32)))
    assert retrained.SOPInstanceUID != first.SOPInstanceUID
    assert retrained.SegmentSequence[0].TrackingUID == first.SegmentSequence[0].TrackingUID


def test_times_are_written_with_the_offset_that_the_source_counts_in(tmp_path: Path) -> None:
    def zoned(ds: Dataset) -> None:
        ds.TimezoneOffsetFromUTC = "+0530"

    sources = read_series(write(tmp_path, single_frames(Phantom()), zoned)).sources
    now = dt.datetime(2026, 11, 20, 22, 0, 5, tzinfo=dt.UTC)
    seg = _read_back(_build(result_input(sources, Phantom().shape, now=now)))
    assert (str(seg.ContentDate), str(seg.ContentTime)) == ("20261121", "033005")
    assert seg.TimezoneOffsetFromUTC == "+0530"


def test_labels_of_another_shape_are_refused(tmp_path: Path) -> None:
    inp = _input(tmp_path, single_frames(Phantom()), Phantom().shape)
    with pytest.raises(ValueError, match="do not fit"):
        _build(replace(inp, prediction=prediction_for((5, 12, 10))))
    with pytest.raises(ValueError, match="draws nothing"):
        _build(replace(inp, prediction=replace(inp.prediction, labels=None)))


@given(parts=st.lists(st.text(st.characters(exclude_characters="\x1f", codec="utf-8")), max_size=4))
def test_a_derived_uid_is_valid_and_depends_on_its_parts_only(parts: list[str]) -> None:
    uid = derive_uid(*parts)
    assert uid == derive_uid(*parts)
    assert uid.startswith("2.25.")
    assert len(uid) <= 64
    assert uid != derive_uid(*parts, "more")
    assert int(uid.removeprefix("2.25.")) < 2**128


def test_a_header_that_lies_about_slice_spacing_is_not_believed(tmp_path: Path) -> None:
    def lie(ds: Dataset) -> None:
        ds.SpacingBetweenSlices = 9.0

    sources = read_series(write(tmp_path, single_frames(Phantom()), lie)).sources
    seg = _read_back(_build(result_input(sources, Phantom().shape)))
    assert seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices == 2.5


@pytest.mark.data
@pytest.mark.parametrize("series", ["Study1/13_HCropVolume", "Study2/14_HCropVolume"])
def test_the_mask_of_a_real_series_comes_back(series: str, real_data: Callable[[str], Path]) -> None:
    loaded = read_series(sorted((real_data("dicom-mr-brain-btp") / series).iterdir()))
    inp = result_input(loaded.sources, loaded.volume.array.shape)
    labels = inp.prediction.labels
    assert labels is not None
    _assert_drawn(_build(inp), labels, loaded.volume.geometry.affine)
