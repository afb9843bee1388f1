"""A plain file is read to the same elements as by pydicom, and any other file is left to it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from tests.workers.synthetic import Phantom, single_frames, write
from workers.reading.plain import FRAGMENTS, HEAD, read_plain

PHANTOM = Phantom(shape=(2, 24, 20))


def written(folder: Path, change: Callable[[Dataset], None] | None = None) -> Path:
    return write(folder, single_frames(PHANTOM)[:1], change)[0]


def same(path: Path, plain: Any) -> bool:
    """Whether pydicom finds the same in the file, to where each value stands."""
    theirs: Any = dcmread(path)
    return (
        _rows(plain) == _rows(theirs)
        and plain.file_meta == theirs.file_meta
        and plain.preamble == theirs.preamble
        and plain.original_encoding == theirs.original_encoding
        and plain.original_character_set == theirs.original_character_set
        and plain.PixelData == theirs.PixelData
        and plain["PixelData"].VR == theirs["PixelData"].VR
    )


def _rows(ds: Dataset) -> list[tuple[object, ...]]:
    names = ("tag", "VR", "value", "length", "value_tell")
    return [tuple(getattr(item, name, None) for name in names) for item in ds.values() if item.tag < 0x7FE00010]


def rich(ds: Dataset) -> None:
    """Give it empty elements, a private block, a sequence of defined length, a long text and another character set."""
    item = Dataset()
    item.ReferencedSOPInstanceUID = "1.2.3"
    ds.ReferencedImageSequence = [item, item]
    ds.SpecificCharacterSet = ["ISO_IR 100"]
    ds.PatientComments, ds.ReferringPhysicianName, ds.StudyID = "é" * 3000, "", ""
    ds.add_new((0x0019, 0x0010), "LO", "MAKER")
    ds.add_new((0x0019, 0x1001), "UN", b"ab")
    ds.add_new((0x0019, 0x1002), "OB", b"")


def test_a_plain_file_is_read_to_the_same_elements(tmp_path: Path) -> None:
    path = written(tmp_path, rich)
    plain = read_plain(path)
    assert plain is not None
    assert same(path, plain)
    assert len(plain.ReferencedImageSequence) == 2


def _undefined(ds: Dataset) -> None:
    rich(ds)
    ds["ReferencedImageSequence"].is_undefined_length = True


def _compressed(ds: Dataset) -> None:
    ds.compress(JPEGLSLossless, generate_instance_uid=False)


def _in(syntax: str) -> Callable[[Dataset], None]:
    def change(ds: Dataset) -> None:
        ds.file_meta.TransferSyntaxUID = UID(syntax)

    return change


@pytest.mark.parametrize(
    "change",
    [
        _undefined,
        _compressed,
        _in(ImplicitVRLittleEndian),
        _in(DeflatedExplicitVRLittleEndian),
        lambda ds: ds.add_new((0x0019, 0x1010), "OB", b"x" * HEAD),
        lambda ds: ds.add_new((0xFFFC, 0xFFFC), "OB", b"padding "),
        lambda ds: ds.__delitem__("PixelData"),
    ],
)
def test_what_is_not_plain_is_left_to_pydicom(change: Callable[[Dataset], None], tmp_path: Path) -> None:
    assert read_plain(written(tmp_path, change)) is None


def test_a_file_that_is_cut_off_or_no_dicom_is_left_to_pydicom(tmp_path: Path) -> None:
    path = written(tmp_path)
    data = path.read_bytes()
    for left in (0, 100, 140, 400, len(data) - 1):
        path.write_bytes(data[:left])
        assert read_plain(path) is None


@given(at=st.integers(0, 900), value=st.binary(min_size=1, max_size=4))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_read_as_by_pydicom_or_left_to_it(at: int, value: bytes, tmp_path: Path) -> None:
    path = tmp_path / "0000.dcm"
    if not path.exists():
        written(tmp_path, rich)
        path.rename(tmp_path / "whole")
    data = bytearray((tmp_path / "whole").read_bytes())
    data[at : at + len(value)] = value
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            plain = read_plain(path)
        except Exception as error:
            with pytest.raises(type(error)):
                dcmread(path)
        else:
            assert plain is None or same(path, plain)
    path.unlink()


@pytest.mark.data
def test_real_files_are_read_as_by_pydicom_or_left_to_it(real_data: Callable[[str], Path]) -> None:
    files = [
        path
        for folder, most in (("dicom-ct-head-qa", 30), ("dicom-mr-brain-btp", 60), ("dicom-pydicom", 100))
        for path in sorted(real_data(folder).glob("**/*.dcm"))[:most]
    ]
    read = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in files:
            plain = read_plain(path)
            if plain is not None:
                assert same(path, plain), path.name
                read += 1
    assert read > 50


LARGE = Phantom(shape=(1, 192, 160))


def noise(path: Path, syntax: str, change: Callable[[Dataset], None] = lambda ds: None) -> Path:
    """Write a slice of noise, which does not compress to what is kept in memory."""

    def all_changes(ds: Dataset) -> None:
        ds.PixelData = np.random.default_rng(1).bytes(len(ds.PixelData))
        ds.compress(syntax, generate_instance_uid=False)
        change(ds)

    return write(path, single_frames(LARGE), all_changes)[0]


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_a_plain_file_of_compressed_pixels_is_read_to_the_same_elements(syntax: str, tmp_path: Path) -> None:
    path = noise(tmp_path, syntax, rich)
    plain: Any = read_plain(path)
    assert plain is not None
    left = plain.get_item("PixelData", keep_deferred=True)
    theirs: Any = dcmread(path, defer_size=1000).get_item("PixelData", keep_deferred=True)
    assert left == theirs
    assert left.value is None
    assert same(path, plain)


@pytest.mark.parametrize("left", [-1, -8, -9, -20000])
def test_compressed_pixels_that_are_cut_off_are_left_to_pydicom(left: int, tmp_path: Path) -> None:
    path = noise(tmp_path, JPEGLSLossless)
    assert read_plain(path) is not None
    path.write_bytes(path.read_bytes()[:left])
    assert read_plain(path) is None


def test_pixels_in_many_fragments_or_before_something_else_are_left_to_pydicom(tmp_path: Path) -> None:
    def many(ds: Dataset) -> None:
        (frame,) = generate_frames(ds.PixelData, number_of_frames=1)
        ds.PixelData = encapsulate([frame], fragments_per_frame=FRAGMENTS + 1, has_bot=False)

    def more(ds: Dataset) -> None:
        ds.add_new((0xFFFC, 0xFFFC), "OB", b"padding ")

    for change in (many, more):
        assert read_plain(noise(tmp_path, JPEGLSLossless, change)) is None
