"""What is not one regular stack of slices is refused, and the reason says why without naming the patient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import JPEGLSLossless, SecondaryCaptureImageStorage

from models.contracts import InputDeclined
from node.errors import OverreadError
from tests.workers.synthetic import ORIENTATIONS, Phantom, multi_frame, single_frames, write
from workers.errors import GeometryRefused, SeriesRefused
from workers.reading.volume.load import MAX_VOXELS, STRICT, read_headers, read_series


def _delete(keyword: str) -> Callable[[Dataset], None]:
    def change(ds: Dataset) -> None:
        del ds[keyword]

    return change


def _set(**values: object) -> Callable[[Dataset], None]:
    def change(ds: Dataset) -> None:
        for keyword, value in values.items():
            setattr(ds, keyword, value)

    return change


def _third(**values: object) -> Callable[[Dataset], None]:
    """Change the third slice only."""

    def change(ds: Dataset) -> None:
        if ds.InstanceNumber == 3:
            _set(**values)(ds)

    return change


REFUSALS = {
    "a plane without position": (_delete("ImagePositionPatient"), "ImagePositionPatient is missing"),
    "a plane without orientation": (_delete("ImageOrientationPatient"), "ImageOrientationPatient is missing"),
    "a plane without pixel spacing": (_delete("PixelSpacing"), "PixelSpacing is missing"),
    "pixel spacing of zero": (_set(PixelSpacing=[0, 1]), "not positive"),
    "cosines that are no unit vectors": (_set(ImageOrientationPatient=[1, 0, 0, 0, 0.5, 0]), "unit vectors"),
    "two numbers for a position": (_set(ImagePositionPatient=[1, 2]), "3 finite values"),
    "mixed orientations": (_third(ImageOrientationPatient=[0, 1, 0, 1, 0, 0]), "different orientations"),
    "mixed pixel spacings": (_third(PixelSpacing=[0.8, 1.25]), "different pixel spacings"),
    "mixed sizes": (_third(Rows=10, Columns=12), "numbers of rows"),
    "two slices at one place": (_third(ImagePositionPatient=[-31.5, 12.25, 42.5]), "where another one lies"),
    "a slice shifted sideways": (_third(ImagePositionPatient=[-20.5, 12.25, 45.0]), "shifted sideways"),
    "a slice off its place": (_third(ImagePositionPatient=[-31.5, 12.25, 45.5]), "apart, not evenly"),
    "another series": (_third(SeriesInstanceUID="1.2.3"), "several values of SeriesInstanceUID"),
    "another frame of reference": (_third(FrameOfReferenceUID="1.2.3"), "several values of FrameOfReferenceUID"),
    "no frame of reference": (_delete("FrameOfReferenceUID"), "FrameOfReferenceUID is missing"),
    "no pixel data": (_delete("PixelData"), "no pixel data"),
    "colour": (_set(SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0), "samples per pixel"),
    "a palette": (_set(PhotometricInterpretation="PALETTE COLOR"), "MONOCHROME"),
    "32 bits": (_set(BitsAllocated=32, BitsStored=32, HighBit=31), "32 bits allocated"),
    "a shifted high bit": (_set(BitsStored=12, HighBit=15), "High Bit"),
    "short pixel data": (_third(PixelData=b"\0" * 10), "shorter than"),
    "a slope of zero": (_set(RescaleSlope=0), "Rescale Slope"),
    "a secondary capture": (_set(SOPClassUID=SecondaryCaptureImageStorage), "not a cross-sectional image"),
    "frames without functional groups": (_set(NumberOfFrames=2), "several multi-frame images"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_series_is_refused_for(name: str, tmp_path: Path) -> None:
    change, reason = REFUSALS[name]
    paths = write(tmp_path, single_frames(Phantom()), change)
    with pytest.raises(SeriesRefused, match=reason) as caught:
        read_series(paths)
    assert "ller" not in str(caught.value)
    assert "P-1" not in str(caught.value)


def test_a_refusal_is_a_declined_input_and_an_error_of_the_node_that_no_retry_helps() -> None:
    error = GeometryRefused("why")
    assert isinstance(error, InputDeclined)
    assert isinstance(error, OverreadError)
    assert not error.retryable


@pytest.mark.parametrize("missing", [1, 2, 4])
def test_a_missing_slice_is_refused(missing: int, tmp_path: Path) -> None:
    paths = write(tmp_path, single_frames(Phantom()))
    with pytest.raises(GeometryRefused, match=r"2\.50 to 5\.00 mm"):
        read_series([path for index, path in enumerate(paths) if index != missing])


@given(gap=st.integers(1, 38), count=st.just(40))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_missing_slice_of_many_is_refused_wherever_it_is(gap: int, count: int, tmp_path: Path) -> None:
    paths = write(tmp_path, single_frames(Phantom(shape=(count, 4, 4))))
    with pytest.raises(GeometryRefused, match="not evenly"):
        read_series([path for index, path in enumerate(paths) if index != gap])


def test_positions_rounded_to_a_tenth_of_a_millimetre_are_accepted(tmp_path: Path) -> None:
    phantom = Phantom(shape=(9, 4, 4), spacing=(0.625, 1.0, 1.0))

    def rounded(ds: Dataset) -> None:
        ds.ImagePositionPatient = [round(float(value), 1) for value in ds.ImagePositionPatient]

    geometry = read_series(write(tmp_path, single_frames(phantom), rounded)).volume.geometry
    assert geometry.spacing[0] == pytest.approx(0.625, abs=0.01)


@pytest.mark.parametrize(("degrees", "refused"), [(18.5, True), (1.0, True), (0.2, False)])
def test_a_leaning_stack_is_refused_with_its_angle(degrees: float, refused: bool, tmp_path: Path) -> None:
    step = 2.5 * float(np.tan(np.radians(degrees)))

    def lean(ds: Dataset) -> None:
        x, y, z = ds.ImagePositionPatient
        ds.ImagePositionPatient = [x, round(float(y) + step * (int(ds.InstanceNumber) - 1), 5), z]

    paths = write(tmp_path, single_frames(Phantom()), lean)
    if refused:
        with pytest.raises(GeometryRefused, match=rf"leans by {degrees:.1f} degrees"):
            read_series(paths)
    else:
        assert read_series(paths).volume.geometry.shape == (6, 12, 10)


def test_a_single_slice_and_no_slice_are_refused(tmp_path: Path) -> None:
    paths = write(tmp_path, single_frames(Phantom()))
    with pytest.raises(GeometryRefused, match="at least 2 slices, there are 1"):
        read_series(paths[:1])
    with pytest.raises(SeriesRefused, match="no instances"):
        read_series([])


def test_two_stacks_in_one_series_are_refused(tmp_path: Path) -> None:
    axial, sagittal = single_frames(Phantom()), single_frames(Phantom(cosines=ORIENTATIONS["sagittal"]))
    with pytest.raises(GeometryRefused, match="different orientations"):
        read_series(write(tmp_path, axial + sagittal))


def test_an_enhanced_image_with_two_frames_at_each_place_is_refused(tmp_path: Path) -> None:
    paths = write(tmp_path, [multi_frame(Phantom(), [0, 1, 2, 0, 1, 2])])
    with pytest.raises(GeometryRefused, match="3 of 6 slices lie where another one lies"):
        read_series(paths)


def test_a_header_that_claims_more_voxels_than_memory_is_refused_before_anything_is_allocated(tmp_path: Path) -> None:
    assert MAX_VOXELS < 65535 * 65535 * 6
    paths = write(tmp_path, single_frames(Phantom()), _set(Rows=65535, Columns=65535))
    with pytest.raises(SeriesRefused, match="are not read"):
        read_series(paths)


def test_compressed_pixels_that_are_not_are_refused(tmp_path: Path) -> None:
    def broken(ds: Dataset) -> None:
        ds.compress(JPEGLSLossless, generate_instance_uid=False)
        ds.PixelData = ds.PixelData[:20] + b"\0" * (len(ds.PixelData) - 28) + ds.PixelData[-8:]

    with pytest.raises(SeriesRefused, match="cannot be decoded \\(JPEG-LS"):
        read_series(write(tmp_path, single_frames(Phantom(shape=(2, 16, 16))), broken))


def test_a_file_that_is_not_there_is_not_a_refusal(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_series([tmp_path / "nothing.dcm"])


@given(cut=st.integers(0, 2200))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_truncated_file_is_refused_and_never_anything_else(cut: int, tmp_path: Path) -> None:
    paths = write(tmp_path, single_frames(Phantom(shape=(2, 12, 10))))
    whole = paths[0].read_bytes()
    paths[0].write_bytes(whole[: min(cut, len(whole) - 8)])
    with pytest.raises(SeriesRefused):
        read_series(paths)


@given(position=st.integers(400, 1500), value=st.integers(0, 255))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_corrupted_byte_is_refused_or_read_but_breaks_nothing(position: int, value: int, tmp_path: Path) -> None:
    paths = write(tmp_path, single_frames(Phantom(shape=(2, 12, 10))))
    whole = bytearray(paths[0].read_bytes())
    whole[position % len(whole)] = value
    paths[0].write_bytes(whole)
    try:
        assert read_series(paths).volume.array.shape == (2, 12, 10)
    except SeriesRefused as refusal:
        assert str(refusal)  # noqa: PT017  either outcome is right; no third one is


@pytest.mark.data
def test_the_real_tilted_head_is_refused_with_its_angle(real_data: Callable[[str], Path]) -> None:
    paths = sorted((real_data("dicom-ct-head-qa") / "GE").glob("*.dcm"))
    with pytest.raises(GeometryRefused, match=r"leans by 18\.5 degrees"):
        read_series(paths)


@pytest.mark.data
def test_headers_of_slices_that_only_some_models_take_are_read_for_what_such_a_model_drew(
    real_data: Callable[[str], Path],
) -> None:
    paths = sorted((real_data("dicom-ct-head-qa") / "GE").glob("*.dcm"))
    heights = [float(ds.ImagePositionPatient[2]) for ds in read_headers(paths)]
    assert len(heights) == 28
    assert heights == sorted(heights)


@pytest.mark.data
def test_the_real_uneven_head_is_refused_when_its_tilt_is_taken_away(
    real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    instances = [dcmread(path) for path in sorted((real_data("dicom-ct-head-qa") / "GE").glob("*.dcm"))]

    def straighten(ds: Dataset) -> None:
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.ImagePositionPatient = [-125, -125, ds.ImagePositionPatient[2]]

    with pytest.raises(GeometryRefused, match=r"1\.14 to 7\.38 mm apart, not evenly"):
        read_series(write(tmp_path, instances, straighten))


@pytest.mark.data
def test_a_real_scout_is_refused(real_data: Callable[[str], Path]) -> None:
    folder = real_data("dicom-ct-head-qa") / "Philips" / "S21570" / "S1000"
    with pytest.raises(SeriesRefused, match="every image of the series is a localiser"):
        read_series([path for path in sorted(folder.iterdir()) if path.name != "DIRFILE"])


@pytest.mark.data
def test_a_real_scout_among_real_slices_is_refused_or_left_out(
    real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = real_data("dicom-ct-head-qa") / "Philips" / "S21570"
    slices = [dcmread(path) for path in sorted((folder / "S2010").iterdir()) if path.name != "DIRFILE"]
    scout = dcmread(next(path for path in sorted((folder / "S1000").iterdir()) if path.name != "DIRFILE"))
    for keyword in ("SeriesInstanceUID", "FrameOfReferenceUID"):
        setattr(scout, keyword, slices[0][keyword].value)
    paths = write(tmp_path, [*slices[:14], scout, *slices[14:]])
    with pytest.raises(GeometryRefused, match="localiser"):
        read_series(paths)
    loaded = read_series(paths, replace(STRICT, scouts="leave_out"))
    assert loaded.volume.array.shape == (28, 512, 512)
    assert loaded.warnings == ("Left out of the series: 1 image, a localiser or unlike the others.",)
    assert str(scout.SOPInstanceUID) not in {str(ds.SOPInstanceUID) for ds in (*loaded.sources, *read_headers(paths))}


@pytest.mark.data
def test_a_real_enhanced_image_whose_frames_do_not_say_where_they_lie_is_refused(
    real_data: Callable[[str], Path],
) -> None:
    with pytest.raises(GeometryRefused, match="does not say where its frames lie"):
        read_series([real_data("dicom-pydicom-data") / "emri_small.dcm"])
