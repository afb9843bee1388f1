"""Whether everything that was sent is there: files counted by SOP Instance UID, and a sample compared byte by byte."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from pydicom.filereader import read_file_meta_info

from tests.benchmarks.receive.corpora import sample

CHUNK = 1 << 20
PATIENCE_SECONDS = 30.0
UNFINISHED = "incoming"
"""The folder of our spool that holds what is being written."""


def instances(storage: Path) -> dict[str, Path]:
    """Return the DICOM files (PS3.10 section 7.1) below a folder by their SOP Instance UID."""
    return {str(read_file_meta_info(path).MediaStorageSOPInstanceUID): path for path in _dicom_files(storage)}


def _dicom_files(storage: Path) -> Iterator[Path]:
    for path in storage.rglob("*"):
        if path.is_file() and UNFINISHED not in path.relative_to(storage).parts:
            with path.open("rb") as file:
                if file.read(132)[128:] == b"DICM":
                    yield path


def wait_for(storage: Path, sent: Sequence[Path]) -> dict[str, Path]:
    """Return what is stored once it is as much as was sent, or what there is when that does not come to be."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(found := instances(storage)) < len(sent) and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


def same_bytes(sent: Sequence[Path], stored: dict[str, Path], most: int = 20) -> bool:
    """Whether the data sets of a sample of the files are stored as they were sent; File Meta is each receiver's own."""
    for path in sample(list(sent), most):
        kept = stored.get(str(read_file_meta_info(path).MediaStorageSOPInstanceUID))
        if kept is None or not _same_data_set(path, kept):
            return False
    return True


def _same_data_set(one: Path, other: Path) -> bool:
    with one.open("rb") as first, other.open("rb") as second:
        _skip_meta(first)
        _skip_meta(second)
        while True:
            expected, found = first.read(CHUNK), second.read(CHUNK)
            if expected != found:
                return False
            if not expected:
                return True


def _skip_meta(file: BinaryIO) -> None:
    """Go behind File Meta: (0002,0000) UL says how many bytes follow itself (PS3.10 section 7.1)."""
    head = file.read(144)
    group, element, _, _, length = struct.unpack_from("<HH2sHI", head, 132)
    if (group, element) != (2, 0):
        raise ValueError(f"{file.name}: no File Meta Information Group Length")
    file.seek(length, 1)
