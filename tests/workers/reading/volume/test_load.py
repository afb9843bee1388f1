"""A series on disk becomes a volume, with every voxel where the headers say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from tests.workers.synthetic import ORIENTATIONS, Phantom, multi_frame, single_frames, write
from workers.reading.instances import ATTRIBUTES
from workers.reading.volume.load import LoadedSeries, read_headers, read_series


def _check(loaded: LoadedSeries, phantom: Phantom) -> None:
    expected = phantom.stored.astype(np.float64) * phantom.slope + phantom.intercept
    assert loaded.volume.array.dtype == np.float32
    np.testing.assert_allclose(loaded.volume.array, expected, rtol=1e-6)
    np.testing.assert_allclose(loaded.volume.geometry.affine, phantom.affine, atol=1e-4)
    assert loaded.volume.geometry.shape == phantom.shape


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_voxels_of_any_orientation_lie_where_equation_c_7_6_2_1_1_puts_them(name: str, tmp_path: Path) -> None:
    phantom = Phantom(cosines=ORIENTATIONS[name])
    paths = write(tmp_path, single_frames(phantom))
    loaded = read_series(paths[3:] + paths[:3])
    _check(loaded, phantom)
    assert [int(ds.InstanceNumber) for ds in loaded.sources] == [1, 2, 3, 4, 5, 6]


def test_pixel_spacing_is_read_rows_first(tmp_path: Path) -> None:
    phantom = Phantom(spacing=(3.0, 0.5, 2.0))
    loaded = read_series(write(tmp_path, single_frames(phantom)))
    assert loaded.volume.geometry.spacing == pytest.approx((3.0, 0.5, 2.0))
    np.testing.assert_allclose(loaded.volume.geometry.affine[:3, 1], [0.0, 0.5, 0.0])  # along a column: to the back


@given(order=st.permutations(range(6)))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_order_of_the_files_does_not_matter(order: list[int], tmp_path: Path) -> None:
    phantom = Phantom(cosines=ORIENTATIONS["oblique"])
    paths = write(tmp_path, single_frames(phantom))
    _check(read_series([paths[index] for index in order]), phantom)


def test_instance_numbers_that_run_against_the_normal_do_not_order_slices(tmp_path: Path) -> None:
    phantom = Phantom()

    def renumber(ds: Dataset) -> None:
        ds.InstanceNumber = 7 - int(ds.InstanceNumber)

    _check(read_series(write(tmp_path, single_frames(phantom), renumber)), phantom)


def test_the_modality_lut_is_applied(tmp_path: Path) -> None:
    phantom = Phantom(slope=2.5, intercept=-1024)
    _check(read_series(write(tmp_path, single_frames(phantom))), phantom)


def test_each_slice_is_rescaled_by_its_own_slope(tmp_path: Path) -> None:
    phantom = Phantom()

    def rescale(ds: Dataset) -> None:
        ds.RescaleSlope = int(ds.InstanceNumber)

    loaded = read_series(write(tmp_path, single_frames(phantom), rescale))
    np.testing.assert_allclose(loaded.volume.array[3], phantom.stored[3] * 4.0)


def test_bits_above_bits_stored_are_not_part_of_a_value(tmp_path: Path) -> None:
    phantom = Phantom()
    values = (phantom.stored.astype(np.int32) + 1000).astype(np.uint16)  # 12 bits

    def overlaid(ds: Dataset) -> None:
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 12, 11, 0
        ds.PixelData = (values[int(ds.InstanceNumber) - 1] | np.uint16(0x8000)).tobytes()

    loaded = read_series(write(tmp_path, single_frames(phantom), overlaid))
    np.testing.assert_array_equal(loaded.volume.array, values)


def test_negative_values_of_twelve_bits_keep_their_sign(tmp_path: Path) -> None:
    phantom = Phantom()

    def unsigned_top(ds: Dataset) -> None:
        ds.BitsStored, ds.HighBit = 12, 11
        ds.PixelData = (np.frombuffer(ds.PixelData, dtype="<u2") & np.uint16(0x0FFF)).tobytes()

    loaded = read_series(write(tmp_path, single_frames(phantom), unsigned_top))
    np.testing.assert_array_equal(loaded.volume.array, phantom.stored)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_other_uncompressed_transfer_syntaxes_give_the_same_values(syntax: UID, tmp_path: Path) -> None:
    phantom = Phantom()

    def change(ds: Dataset) -> None:
        ds.file_meta.TransferSyntaxUID = syntax

    _check(read_series(write(tmp_path, single_frames(phantom), change)), phantom)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_lossless_compression_gives_the_same_values(syntax: UID, tmp_path: Path) -> None:
    phantom = Phantom(shape=(3, 16, 24))

    def compress(ds: Dataset) -> None:
        ds.PixelRepresentation = 0
        ds.PixelData = (np.frombuffer(ds.PixelData, dtype="<i2") + 1000).astype("<u2").tobytes()
        ds.compress(syntax, generate_instance_uid=False)

    loaded = read_series(write(tmp_path, single_frames(phantom), compress))
    np.testing.assert_array_equal(loaded.volume.array, phantom.stored + 1000)


@pytest.mark.data
@pytest.mark.parametrize(
    "name",
    ["MR_small_RLE", "MR_small_bigendian", "MR_small_implicit", "MR_small_jp2klossless", "MR_small_jpeg_ls_lossless"],
)
def test_real_compressed_files_give_the_values_of_the_uncompressed_one(
    name: str, real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = real_data("dicom-pydicom") / "test_files"

    def volume(file: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        pair = [dcmread(folder / f"{file}.dcm") for _ in range(2)]
        pair[1].SOPInstanceUID = UID(f"{pair[0].SOPInstanceUID}.2")
        pair[1].file_meta.MediaStorageSOPInstanceUID = pair[1].SOPInstanceUID
        pair[1].ImagePositionPatient[2] += 1.0
        return read_series(write(tmp_path / file, pair)).volume.array

    np.testing.assert_array_equal(volume(name), volume("MR_small"))


def test_frames_of_an_enhanced_image_are_put_in_slice_order(tmp_path: Path) -> None:
    phantom = Phantom(cosines=ORIENTATIONS["sagittal"], slope=0.5, intercept=3)
    loaded = read_series(write(tmp_path, [multi_frame(phantom, [4, 1, 0, 5, 3, 2])]))
    _check(loaded, phantom)
    assert len(loaded.sources) == 1


def test_headers_are_the_same_with_and_without_pixels(tmp_path: Path) -> None:
    paths = write(tmp_path, single_frames(Phantom()))
    loaded = read_series(paths[::-1]).sources
    assert [str(ds.SOPInstanceUID) for ds in loaded] == [str(ds.SOPInstanceUID) for ds in read_headers(paths)]
    assert loaded == read_headers(paths)
    assert not any("PixelData" in ds for ds in loaded)


def test_attributes_for_models_do_not_identify_the_patient(tmp_path: Path) -> None:
    loaded = read_series(write(tmp_path, single_frames(Phantom())))
    assert loaded.volume.attributes["SeriesDescription"] == "T1 mprage"
    assert loaded.volume.attributes["ImageType"] == "ORIGINAL\\PRIMARY\\M"
    assert loaded.volume.modality == "MR"
    assert not any("ller" in value for value in loaded.volume.attributes.values())
    assert not {"PatientName", "PatientID", "AccessionNumber", "StudyDate"} & set(ATTRIBUTES)


@pytest.mark.data
def test_a_real_oblique_series_has_the_affine_of_its_positions(real_data: Callable[[str], Path]) -> None:
    folder = real_data("dicom-mr-brain-btp") / "Study1" / "12-T1post-05670"
    loaded = read_series(sorted(folder.iterdir()))
    geometry = loaded.volume.geometry
    assert geometry.shape == (22, 512, 512)
    assert geometry.spacing == pytest.approx((6.5, 0.4297, 0.4297), abs=1e-4)
    for k in (0, 7, 21):
        ds = loaded.sources[k]
        row, column = np.array(ds.ImageOrientationPatient[:3]), np.array(ds.ImageOrientationPatient[3:])
        far = np.array(ds.ImagePositionPatient) + row * 0.4297 * 511 + column * 0.4297 * 100
        np.testing.assert_allclose((geometry.affine @ [k, 100, 511, 1])[:3], far, atol=2e-3)


@pytest.mark.parametrize(
    "syntax",
    [
        JPEG2000,
        JPEG2000Lossless,
        JPEGBaseline8Bit,
        JPEGLSLossless,
        JPEGLSNearLossless,
        JPEGLossless,
        JPEGLosslessSV1,
        RLELossless,
    ],
)
def test_every_compression_that_scanners_and_archives_use_has_a_decoder(syntax: UID) -> None:
    assert get_decoder(syntax).is_available, f"no decoder of {syntax.name} is installed"
