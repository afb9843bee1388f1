from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread

from node.dicom.files import collect, describe
from node.dicom.part10 import Command, file_meta, read_meta
from node.errors import DicomInputError
from tests.node.dicom.objects import EXPLICIT, MR, encoded, image, outgoing_image


def test_folders_are_walked_and_what_is_no_object_is_counted(tmp_path: Path) -> None:
    first = outgoing_image(tmp_path / "a" / "b")
    second = outgoing_image(tmp_path / "c")
    (tmp_path / "a" / "readme.txt").write_text("no DICOM")
    (tmp_path / "a" / "empty").write_bytes(b"")
    directory = file_meta(Command("1.2.840.10008.1.3.10", "1.2.3", EXPLICIT)) + b"\x04\0\x30\x11CS\0\0"
    (tmp_path / "a" / "DICOMDIR").write_bytes(directory)
    found = collect([tmp_path / "a", second.path])
    assert found.files == (first.path, second.path)
    assert (found.skipped, found.directories) == (2, 1)


def test_a_path_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DicomInputError, match="does not exist"):
        collect([tmp_path / "gone"])


def test_the_data_sets_own_identity_counts(tmp_path: Path) -> None:
    ds = image()
    path = tmp_path / "x.dcm"
    path.write_bytes(file_meta(Command("1.2.3", "1.2.3", EXPLICIT)) + encoded(ds))
    item = describe(path)
    assert (item.sop_class, item.sop_instance) == (MR, ds.SOPInstanceUID)
    assert item.dataset() == encoded(ds)


def test_file_meta_is_what_pydicom_reads(tmp_path: Path) -> None:
    ds = image()
    path = tmp_path / "x.dcm"
    path.write_bytes(file_meta(Command(MR, str(ds.SOPInstanceUID), EXPLICIT, "MR1", "OVERREAD")) + encoded(ds))
    meta = dcmread(path).file_meta
    assert meta.FileMetaInformationVersion == b"\0\1"
    assert path.read_bytes()[144 + meta.FileMetaInformationGroupLength :] == encoded(ds)
    assert (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID) == (MR, ds.SOPInstanceUID)
    assert meta.TransferSyntaxUID == EXPLICIT
    assert meta.SourceApplicationEntityTitle == meta.SendingApplicationEntityTitle == "MR1"
    assert meta.ReceivingApplicationEntityTitle == "OVERREAD"
    assert dcmread(path).PatientName == "Example^Robin"


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_at_all_are_file_meta_or_refused(data: bytes, prefixed: bool) -> None:
    stream = io.BytesIO((bytes(128) + b"DICM" if prefixed else b"") + data)
    try:
        read_meta(stream, prefix=prefixed)
    except DicomInputError:
        return
    assert stream.tell() <= len(stream.getvalue())


def test_file_meta_without_group_length_and_with_a_wrong_one_is_read() -> None:
    whole = file_meta(Command(MR, "1.2.3", EXPLICIT, "MR1"))
    without = whole[:132] + whole[144:]
    wrong = whole[:140] + struct.pack("<L", 7) + whole[144:]
    for data in (whole, without, wrong):
        stream = io.BytesIO(data + b"\x08\0rest")
        assert read_meta(stream).transfer_syntax == EXPLICIT
        assert stream.read() == b"\x08\0rest"
