"""DICOM files from anywhere: finding them in folders, and reading what a C-STORE needs without decoding them."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from node.dicom.headers import identity
from node.dicom.part10 import PREAMBLE, read_meta
from node.dicom.uid import is_uid
from node.errors import DicomInputError, OverreadError

DIRECTORY = "1.2.840.10008.1.3.10"
EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
GUESS_BYTES = 8
BEGINNING = 1 << 16
"""Bytes in which SOP Class and SOP Instance UID are looked for: they are among the first elements."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An object as it can be sent: its identity as its own data set gives it, and its encoded data set."""

    path: Path
    sop_class: str
    sop_instance: str
    transfer_syntax: str
    offset: int

    def dataset(self) -> bytes:
        """Read the encoded data set."""
        with self.path.open("rb") as stream:
            stream.seek(self.offset)
            return stream.read()


@dataclass(frozen=True, slots=True)
class Collection:
    """What a walk through folders found; ``skipped`` files are no DICOM, ``directories`` are DICOMDIR."""

    files: tuple[Path, ...]
    skipped: int = 0
    directories: int = 0


def collect(paths: Iterable[Path]) -> Collection:
    """Find the DICOM files under some paths, in order of name.

    Raises
    ------
    DicomInputError
        If a path does not exist.
    """
    files, skipped, directories = [], 0, 0
    for path in _walk(paths):
        try:
            outgoing = describe(path)
        except OverreadError:
            skipped += 1
            continue
        if outgoing.sop_class == DIRECTORY:
            directories += 1
        else:
            files.append(path)
    return Collection(tuple(files), skipped, directories)


def describe(path: Path) -> Outgoing:
    """Read identity and encoding of one file, also of one without preamble or File Meta Information.

    Raises
    ------
    DicomInputError
        If it is not a DICOM object, or has no SOP class or instance.
    """
    with path.open("rb") as stream:
        has_preamble = stream.read(len(PREAMBLE))[128:] == b"DICM"
        stream.seek(0)
        meta = read_meta(stream, prefix=has_preamble)
        offset = stream.tell()
        head = stream.read(BEGINNING)
        syntax = meta.transfer_syntax or guess(head)
        sop_class, sop_instance = _identity(head, syntax)
    found = Outgoing(path, sop_class or meta.sop_class, sop_instance or meta.sop_instance, syntax, offset)
    if not is_uid(found.sop_class) or (found.sop_class != DIRECTORY and not is_uid(found.sop_instance)):
        raise DicomInputError("no DICOM object, or one without SOP class and instance")
    return found


def _identity(head: bytes, syntax: str) -> tuple[str, str]:
    try:
        return identity(memoryview(head), syntax)
    except zlib.error as exc:
        raise DicomInputError("not a DICOM object: it does not inflate") from exc


def guess(head: bytes) -> str:
    """Tell the uncompressed transfer syntax from the first eight bytes of a data set, whose group is 0008 or lower."""
    if len(head) < GUESS_BYTES:
        raise DicomInputError("not a DICOM object: too short")
    if not (head[0] <= 8 and head[1] == 0) and not (head[0] == 0 and head[1] <= 8):
        raise DicomInputError("not a DICOM object: it does not begin with a low group")
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    if head[0] == 0 and head[1] != 0:
        return EXPLICIT_BIG
    return EXPLICIT_LITTLE if explicit else IMPLICIT_LITTLE


def _walk(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(child for child in path.rglob("*") if child.is_file())
        elif path.exists():
            yield path
        else:
            raise DicomInputError(f"{path} does not exist")
