"""Every form of a segmentation is what highdicom makes of the same arrays, and comes back voxel by voxel."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from highdicom.seg import Segmentation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from models.contracts import Code, ScalarMap
from tests.workers.results.segs import (
    PROFILES,
    as_dciodvfy_knows_it,
    every_profile,
    read_by_highdicom,
    reread,
    voxels,
    voxels_by_highdicom,
)
from tests.workers.synthetic import ORIENTATIONS, SEGMENTS, Phantom, multi_frame, result_input, single_frames, write
from workers.reading.instances import quiet
from workers.reading.volume.load import read_series
from workers.results.common import ResultInput, seg_uid, segment_numbers, tracking_uid
from workers.results.equipment import equipment
from workers.results.headers import grid, pixel_measures, plane_orientation, prepare
from workers.results.profile import DEFAULT, Profile
from workers.results.seg.segments import describe
from workers.results.seg.volume import TYPES, build_segs, segment_of
from workers.results.validate import errors, validate, validate_together

PROBABILITY = Code("370855003", "SCT", "Probability")
UNITY = Code("1", "UCUM", "no units")

#: What our objects have, or have of their own, beside what highdicom makes of arrays.
OURS = {
    "00080012", "00080013", "0018A001", "00181002", "00200012", "00209221", "00209222", "7FE00010", "00700084",
    "00080005", "0020000E", "00080018", "00080033", "00200013",
}  # fmt: skip


def _input(tmp_path: Path, phantom: Phantom, instances: Sequence[Dataset] | None = None) -> ResultInput:
    written = write(tmp_path, single_frames(phantom) if instances is None else instances)
    return result_input(read_series(written).sources, phantom.shape)


def _drawn(inp: ResultInput, labels: npt.NDArray[np.uint8], **changes: Any) -> ResultInput:
    return replace(inp, prediction=replace(inp.prediction, labels=labels, **changes))


def _assert_drawn(segs: Sequence[Dataset], inp: ResultInput, phantom: Phantom) -> None:
    labels = inp.prediction.labels
    assert labels is not None
    for spec in inp.prediction.segments:
        seg, number = segment_of(segs, inp, spec.label)
        full = 255 if seg.SegmentationType == "FRACTIONAL" else 1
        np.testing.assert_array_equal(voxels(seg, phantom, number), (labels == spec.label) * np.uint8(full))


def _of_highdicom(inp: ResultInput, profile: Profile, labels: npt.NDArray[np.uint8]) -> Dataset:
    """What highdicom makes of the whole arrays, labels being Segment Numbers in the order of the sources' planes."""
    geometry, _ = grid(inp.sources)
    images = prepare(inp.sources, ())
    seg = Segmentation(
        source_images=images,
        pixel_array=labels,
        segmentation_type=TYPES[profile.segmentation],
        segment_descriptions=[describe(inp, spec, k) for k, spec in enumerate(inp.prediction.segments, 1)],
        series_instance_uid="1.2.3",
        series_number=10051,
        sop_instance_uid="1.2.4",
        instance_number=1,
        content_label="SEGMENTATION",
        content_description=inp.card.title,
        series_description=f"SEG {inp.card.title}",
        transfer_syntax_uid=build_segs(inp, profile)[0].file_meta.TransferSyntaxUID,
        omit_empty_frames=not profile.empty_frames,
        pixel_measures=pixel_measures(inp.image, geometry),
        plane_orientation=plane_orientation(images[0]),
        **equipment(inp),
    )
    seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence = pixel_measures(inp.image, geometry)
    return seg


def _comparable(ds: Dataset) -> dict[str, Any]:
    return {tag: value for tag, value in ds.to_json_dict(bulk_data_threshold=2**40).items() if tag not in OURS}


@every_profile
@pytest.mark.parametrize("frames", [None, [3, 0, 5, 1, 4, 2]], ids=["slices", "enhanced"])
def test_an_object_is_what_highdicom_makes_of_the_whole_arrays(
    profile: Profile, frames: list[int] | None, tmp_path: Path
) -> None:
    phantom = Phantom(cosines=ORIENTATIONS["oblique"])
    with quiet():
        inp = _input(tmp_path, phantom, None if frames is None else [multi_frame(phantom, frames)])
        labels = inp.prediction.labels
        assert labels is not None
        if profile.split_segments:  # one of them, as highdicom draws it where it is the only one
            inp = _drawn(inp, labels, segments=SEGMENTS[:1])
            labels = labels * (labels == 1)
        theirs = reread(_of_highdicom(inp, profile, labels if frames is None else labels[frames]))
        [ours] = (reread(seg) for seg in build_segs(inp, profile))
    assert _comparable(ours) == _comparable(theirs)
    np.testing.assert_array_equal(ours.pixel_array, theirs.pixel_array)
    assert {"ContributingEquipmentSequence", "DimensionIndexSequence"} <= {elem.keyword for elem in ours}


@every_profile
def test_every_segment_comes_back_through_highdicom(profile: Profile, tmp_path: Path) -> None:
    phantom = Phantom(shape=(6, 24, 20), cosines=ORIENTATIONS["coronal"])
    inp = _input(tmp_path, phantom)
    labels = inp.prediction.labels
    assert labels is not None
    segs = build_segs(inp, profile)
    for spec in SEGMENTS:
        seg, number = segment_of(segs, inp, spec.label)
        np.testing.assert_array_equal(voxels_by_highdicom(seg, phantom, number), labels == spec.label)


@every_profile
def test_dciodvfy_finds_no_error(profile: Profile, tmp_path: Path) -> None:
    for seg in build_segs(_input(tmp_path, Phantom()), profile):
        path = tmp_path / f"{seg.InstanceNumber}.dcm"
        as_dciodvfy_knows_it(seg).save_as(path, enforce_file_format=True)
        found = validate(path)
        if not found:
            pytest.skip("dciodvfy is not installed")
        assert errors(found) == []


def test_dcentvfy_finds_all_profiles_consistent_with_the_images(tmp_path: Path, peer: Callable[[str], str]) -> None:
    assert peer("dcentvfy")
    phantom = Phantom()
    paths = write(tmp_path / "images", single_frames(phantom))
    inp = result_input(read_series(paths).sources, phantom.shape)
    for number, seg in enumerate(seg for profile in PROFILES for seg in build_segs(inp, profile)):
        paths.append(tmp_path / f"{number}.dcm")
        seg.save_as(paths[-1], enforce_file_format=True)
    assert len(paths) == 6 + 18
    assert errors(validate_together(paths)) == []


@given(
    shape=st.tuples(st.integers(2, 5), st.integers(2, 9), st.integers(2, 140)),
    values=st.lists(st.integers(1, 255), min_size=1, max_size=6, unique=True),
    density=st.sampled_from([0.0, 0.002, 0.1, 1.0]),
    profile=st.sampled_from(PROFILES),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_labels_come_back_in_any_profile(
    shape: tuple[int, int, int], values: list[int], density: float, profile: Profile, seed: int, tmp_path: Path
) -> None:
    random = np.random.default_rng(seed)
    labels = random.choice(np.array([*values, 0], dtype=np.uint8), shape) * (random.random(shape) < density)
    labels[:, :, shape[2] // 2 :] = labels[:, :1, :1]  # areas, as models draw them, beside scattered voxels
    phantom = Phantom(shape=shape)
    inp = _input(tmp_path / str(seed), phantom)
    inp = _drawn(inp, labels, segments=tuple(replace(SEGMENTS[0], label=value) for value in values))
    _assert_drawn(build_segs(inp, profile), inp, phantom)


@pytest.mark.parametrize("kind", ["fractional", "labelmap"])
def test_dcmtk_decompresses_the_same_pixels(kind: Any, tmp_path: Path, peer: Callable[[str], str]) -> None:
    phantom = Phantom(shape=(3, 40, 300))
    inp = _input(tmp_path, phantom)
    noise = np.random.default_rng(5).random(phantom.shape, dtype=np.float32)
    noise[1] = 0.5 * (inp.prediction.labels == 1)[1]  # type: ignore[index]
    inp = replace(inp, prediction=replace(inp.prediction, maps=(_probability(1, noise),)))
    [seg] = build_segs(inp, Profile(kind))
    assert seg.file_meta.TransferSyntaxUID == RLELossless
    packed, plain = tmp_path / "rle.dcm", tmp_path / "plain.dcm"
    seg.save_as(packed, enforce_file_format=True)
    subprocess.run([peer("dcmdrle"), packed, plain], check=True, timeout=60)
    theirs = dcmread(plain)
    assert theirs.file_meta.TransferSyntaxUID != RLELossless
    np.testing.assert_array_equal(theirs.pixel_array, dcmread(packed).pixel_array)
    if kind == "fractional":
        np.testing.assert_array_equal(voxels(theirs, phantom, 1), np.rint(noise * 255))


def _probability(label: int, array: npt.NDArray[np.float32]) -> ScalarMap:
    return ScalarMap(f"p-{label}", "Probability", PROBABILITY, UNITY, array, label)


def test_probabilities_of_another_shape_are_refused(tmp_path: Path) -> None:
    inp = _input(tmp_path, Phantom())
    other = _probability(1, np.zeros((6, 12, 11), dtype=np.float32))
    with pytest.raises(ValueError, match="do not fit"):
        build_segs(replace(inp, prediction=replace(inp.prediction, maps=(other,))), Profile("fractional"))


def test_a_fractional_segmentation_holds_the_probabilities_that_the_model_gives(tmp_path: Path) -> None:
    phantom = Phantom()
    inp = _input(tmp_path, phantom)
    given_ = np.random.default_rng(1).random(phantom.shape, dtype=np.float32)
    given_[0], given_[1, 0, :3] = 0, (np.nan, -1, 2)
    heat = replace(_probability(2, given_), label="heat", segment=None)
    inp = replace(inp, prediction=replace(inp.prediction, maps=(heat, _probability(1, given_))))
    [seg] = build_segs(inp, Profile("fractional"))
    assert (seg.SegmentationFractionalType, seg.MaximumFractionalValue, seg.SegmentsOverlap) == (
        "PROBABILITY", 255, "UNDEFINED",
    )  # fmt: skip
    expected = np.rint(np.clip(np.nan_to_num(given_), 0, 1) * 255)
    np.testing.assert_array_equal(voxels(seg, phantom, 1), expected)
    labels = inp.prediction.labels
    assert labels is not None
    np.testing.assert_array_equal(voxels(seg, phantom, 2), (labels == 2) * 255)
    assert np.abs(voxels_by_highdicom(seg, phantom, 1) - expected / 255).max() < 1e-6


@every_profile
def test_empty_frames_are_kept_where_the_profile_says_so(profile: Profile, tmp_path: Path) -> None:
    inp = _input(tmp_path, Phantom())
    labels = inp.prediction.labels
    assert labels is not None
    segs = build_segs(inp, profile)
    drawn = {label: (labels == label).any(axis=(1, 2)).sum() for label in (1, 2)}
    if profile.empty_frames:
        drawn = dict.fromkeys(drawn, 6)
    each = [drawn[1], drawn[2]] if profile.split_segments else [drawn[1] + drawn[2]]
    if profile.segmentation == "labelmap" and not profile.split_segments:
        each = [6 if profile.empty_frames else labels.any(axis=(1, 2)).sum()]
    assert [int(seg.NumberOfFrames) for seg in segs] == each


@every_profile
def test_a_prediction_without_a_voxel_makes_small_objects_that_show_none(profile: Profile, tmp_path: Path) -> None:
    phantom = Phantom()
    inp = _input(tmp_path, phantom)
    inp = _drawn(inp, np.zeros(phantom.shape, dtype=np.uint8))
    segs = build_segs(inp, profile)
    _assert_drawn(segs, inp, phantom)
    for seg in segs:
        numbers = 1 if profile.split_segments or profile.segmentation == "labelmap" else 2
        assert int(seg.NumberOfFrames) == numbers * (6 if profile.empty_frames else 1)
        assert not read_by_highdicom(seg).get_volume().array.any()


def test_each_segment_gets_an_object_of_its_own_where_viewers_need_it(tmp_path: Path) -> None:
    inp = _input(tmp_path, Phantom())
    segs = build_segs(inp, Profile(split_segments=True))
    assert [int(seg.InstanceNumber) for seg in segs] == [1, 2]
    assert len({seg.SeriesInstanceUID for seg in segs}) == 1
    assert len({seg.SOPInstanceUID for seg in segs} | {seg_uid(inp)}) == 3
    assert len({seg.DimensionOrganizationSequence[0].DimensionOrganizationUID for seg in segs}) == 2
    for label, seg in zip((1, 2), segs, strict=True):
        assert segment_of(segs, inp, label) == (seg, 1)
        [segment] = seg.SegmentSequence
        assert (segment.SegmentNumber, segment.SegmentLabel) == (1, SEGMENTS[label - 1].name)
    together = build_segs(inp)
    assert [segment_of(together, inp, label)[1] for label in (1, 2)] == [1, 2]


def test_a_segment_is_tracked_by_the_same_uid_in_every_profile(tmp_path: Path) -> None:
    inp = _input(tmp_path, Phantom())
    for profile in PROFILES:
        segs = build_segs(inp, profile)
        for finding in inp.prediction.findings[:2]:
            assert finding.segment is not None
            seg, number = segment_of(segs, inp, finding.segment)
            [segment] = [item for item in seg.SegmentSequence if item.SegmentNumber == number]
            assert segment.TrackingUID == tracking_uid(inp, finding.label)


def test_profiles_are_objects_and_series_of_their_own_and_retries_are_not(tmp_path: Path) -> None:
    inp = _input(tmp_path, Phantom())
    made = [(str(s.SeriesInstanceUID), str(s.SOPInstanceUID)) for p in PROFILES for s in build_segs(inp, p)]
    assert made == [(str(s.SeriesInstanceUID), str(s.SOPInstanceUID)) for p in PROFILES for s in build_segs(inp, p)]
    assert len({uid for _, uid in made}) == len(made) == 18
    assert len({series for series, _ in made}) == 12
    assert build_segs(inp, DEFAULT)[0].SOPInstanceUID == seg_uid(inp)


def test_a_label_map_describes_every_value_its_background_too(tmp_path: Path) -> None:
    inp = _input(tmp_path, Phantom())
    table = np.array([0, 40, 7, 9], dtype=np.uint8)
    labels = inp.prediction.labels
    assert labels is not None
    labels = table[labels]
    labels[0, 0, 0] = 9  # which nobody described
    inp = _drawn(inp, labels, segments=(replace(SEGMENTS[0], label=40), replace(SEGMENTS[1], label=7)))
    [seg] = build_segs(inp, Profile("labelmap"))
    assert seg.SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.7"
    assert segment_numbers(inp.prediction) == {40: 1, 7: 2}
    assert [item.SegmentNumber for item in seg.SegmentSequence] == [0, 1, 2]
    assert set(np.unique(reread(seg).pixel_array)) <= {0, 1, 2}
    assert seg.PixelPaddingValue == 0


@every_profile
def test_the_headers_of_an_enhanced_source_are_not_changed_by_building(profile: Profile, tmp_path: Path) -> None:
    phantom = Phantom()
    inp = _input(tmp_path, phantom, [multi_frame(phantom, [3, 0, 5, 1, 4, 2])])
    before = str(inp.image)
    build_segs(inp, profile)
    assert str(inp.image) == before


@pytest.mark.parametrize("profile", [Profile(), Profile("labelmap"), Profile(split_segments=True)])
def test_frames_of_an_uneven_leaning_stack_lie_where_its_slices_lie(profile: Profile) -> None:
    phantom = Phantom(shape=(6, 24, 20))
    slices = single_frames(phantom)
    places = {}
    for k, ds in enumerate(slices):
        x, y, z = ds.ImagePositionPatient
        ds.ImagePositionPatient = [x, y + 0.3 * k, z + 0.4 * k * k]
        places[str(ds.SOPInstanceUID)] = [float(value) for value in ds.ImagePositionPatient]
    inp = result_input(slices, phantom.shape)
    labels = inp.prediction.labels
    assert labels is not None
    segs = build_segs(inp, profile)
    for seg in segs:
        assert "DimensionOrganizationType" not in seg
        assert "SpacingBetweenSlices" not in seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        for group in reread(seg).PerFrameFunctionalGroupsSequence:
            source = group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
            assert group.PlanePositionSequence[0].ImagePositionPatient == places[source]
    for spec in SEGMENTS:
        seg, number = segment_of(segs, inp, spec.label)
        read = read_by_highdicom(seg).get_pixels_by_source_instance(
            list(places), segment_numbers=[number], assert_missing_frames_are_empty=True
        )
        np.testing.assert_array_equal(read[..., 0], labels == spec.label)


@pytest.mark.data
@every_profile
def test_a_real_series_comes_back_in_every_profile(
    profile: Profile, real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    loaded = read_series(sorted((real_data("dicom-mr-brain-btp") / "Study1/13_HCropVolume").iterdir()))
    inp = result_input(loaded.sources, loaded.volume.array.shape)
    labels = inp.prediction.labels
    assert labels is not None
    segs = build_segs(inp, profile)
    for spec in SEGMENTS:
        seg, number = segment_of(segs, inp, spec.label)
        uids = [str(ds.SOPInstanceUID) for ds in inp.sources]
        read = read_by_highdicom(seg).get_pixels_by_source_instance(
            uids, segment_numbers=[number], assert_missing_frames_are_empty=True
        )
        np.testing.assert_array_equal(read[..., 0], labels == spec.label)
