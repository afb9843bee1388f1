"""Pixels that stay in the file until they are decoded are the same, and what is wrong is said the same way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from tests.workers.synthetic import Phantom, multi_frame, single_frames, write
from workers.errors import SeriesRefused
from workers.reading.instances import one_of_each, read_file
from workers.reading.pixels import stored_values
from workers.reading.plain import DEFER_BYTES
from workers.reading.volume.load import read_series

LARGE = Phantom(shape=(4, 160, 128))
assert LARGE.shape[1] * LARGE.shape[2] * 2 > DEFER_BYTES


@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEGLSLossless,
        JPEG2000Lossless,
    ],
)
@pytest.mark.parametrize("enhanced", [False, True])
def test_large_pixels_are_the_same_in_every_transfer_syntax(syntax: str, enhanced: bool, tmp_path: Path) -> None:
    instances = [multi_frame(LARGE, [2, 0, 1, 3])] if enhanced else single_frames(LARGE)

    def change(ds: Dataset) -> None:
        if UID(syntax).is_compressed and syntax != DeflatedExplicitVRLittleEndian:
            ds.compress(syntax, generate_instance_uid=False)
        else:
            ds.file_meta.TransferSyntaxUID = UID(syntax)
            if syntax == ExplicitVRBigEndian:
                ds.PixelData = np.frombuffer(ds.PixelData, "<i2").astype(">i2").tobytes()
                ds["PixelData"].VR = "OW"

    loaded = read_series(write(tmp_path, instances, change))
    np.testing.assert_array_equal(loaded.volume.array, LARGE.stored)
    assert all("PixelData" not in ds for ds in loaded.sources)


def test_other_large_elements_are_in_the_headers_when_the_file_is_gone(tmp_path: Path) -> None:
    def change(ds: Dataset) -> None:
        ds.add_new((0x0029, 0x0010), "LO", "MAKER CSA")
        ds.add_new((0x0029, 0x1010), "OB", bytes(range(256)) * 256)

    paths = write(tmp_path, single_frames(LARGE), change)
    loaded = read_series(paths)
    for path in paths:
        path.unlink()
    assert {bytes(ds[0x0029, 0x1010].value) for ds in loaded.sources} == {bytes(range(256)) * 256}


@pytest.mark.parametrize("left", [0.999, 0.5])
def test_a_large_truncated_file_is_refused(left: float, tmp_path: Path) -> None:
    paths = write(tmp_path, single_frames(LARGE))
    data = paths[1].read_bytes()
    paths[1].write_bytes(data[: int(len(data) * left)])
    with pytest.raises(SeriesRefused, match="pixel data"):
        read_series(paths)


def test_a_length_beyond_the_file_allocates_nothing(tmp_path: Path) -> None:
    paths = write(tmp_path, single_frames(LARGE))
    data = bytearray(paths[0].read_bytes())
    at = data.rindex(b"\xe0\x7f\x10\x00OW\x00\x00") + 8
    data[at : at + 4] = (0xFFFFFFF0).to_bytes(4, "little")
    paths[0].write_bytes(data)
    loaded = read_series(paths)  # the header's rows and columns count, and these are there
    np.testing.assert_array_equal(loaded.volume.array, LARGE.stored)


def test_a_file_that_goes_away_while_it_is_read_is_an_error_of_the_disk(tmp_path: Path) -> None:
    (path, *_) = write(tmp_path, single_frames(LARGE))
    ds = read_file(path, defer=True)
    path.unlink()
    with pytest.raises(OSError, match="No such file"):
        stored_values(ds)


def test_of_instances_that_say_the_same_one_is_checked(tmp_path: Path) -> None:
    instances = single_frames(LARGE)
    assert one_of_each(instances, ("Rows", "Columns", "Modality")) == instances[:1]
    assert len(one_of_each(instances, ("SOPInstanceUID",))) == len(instances)
    del instances[2].Modality
    assert one_of_each(instances, ("Rows", "Modality")) == [instances[0], instances[2]]
    read = [read_file(path, defer=True) for path in write(tmp_path, instances)]
    assert one_of_each(read, ("Rows", "Modality")) == [read[0], read[2]]


def test_what_is_wrong_with_one_of_many_instances_is_found(tmp_path: Path) -> None:
    instances = single_frames(LARGE)
    instances[3].PhotometricInterpretation = "RGB"
    with pytest.raises(SeriesRefused, match="Photometric"):
        read_series(write(tmp_path, instances))
