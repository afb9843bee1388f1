"""The DICOM file format around a data set (PS3.10 chapter 7): written and read back without touching the data set."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO

from node.errors import DicomInputError

IMPLEMENTATION_CLASS_UID = "2.25.148206637893045301214374293914893526015"
IMPLEMENTATION_VERSION_NAME = "OVERREAD_0_1"
PREAMBLE = bytes(128) + b"DICM"
MAX_META_BYTES = 1 << 20
"""File Meta Information is some hundred bytes; a length beyond this is not one."""


@dataclass(frozen=True, slots=True)
class Command:
    """What a C-STORE command says of its object (PS3.7 section 9.1.1), and between whom it goes."""

    sop_class: str
    sop_instance: str
    transfer_syntax: str
    calling_ae_title: str = ""
    called_ae_title: str = ""


@dataclass(frozen=True, slots=True)
class FileMeta:
    """The elements of File Meta Information that matter here; empty where absent."""

    sop_class: str = ""
    sop_instance: str = ""
    transfer_syntax: str = ""
    calling_ae_title: str = ""
    called_ae_title: str = ""


def file_meta(command: Command) -> bytes:
    """Return preamble, prefix and File Meta Information (PS3.10 table 7.1-1), explicit VR little endian."""
    titles = command.calling_ae_title, command.called_ae_title
    before, after = _around(command.sop_class, command.transfer_syntax, *titles)
    body = before + _element(0x0003, b"UI", _uid(command.sop_instance)) + after
    return PREAMBLE + _element(0x0000, b"UL", struct.pack("<L", len(body))) + body


@lru_cache(maxsize=256)
def _around(sop_class: str, transfer_syntax: str, calling: str, called: str) -> tuple[bytes, bytes]:
    """Return what comes before and after the SOP Instance UID: the same for all objects of a series."""
    before = _element(0x0001, b"OB", b"\0\1") + _element(0x0002, b"UI", _uid(sop_class))
    after = (
        _element(0x0010, b"UI", _uid(transfer_syntax)),
        _element(0x0012, b"UI", _uid(IMPLEMENTATION_CLASS_UID)),
        _element(0x0013, b"SH", _even(IMPLEMENTATION_VERSION_NAME.encode("ascii"), b" ")),
        *_titles(calling, called),
    )
    return before, b"".join(after)


def read_meta(stream: BinaryIO, *, prefix: bool = True) -> FileMeta:
    """Read File Meta Information from the start of a Part 10 file; leaves ``stream`` where the data set begins.

    The group length is not relied on: files without it, or with a wrong one, are common. With ``prefix=False`` the file
    may begin with group 0002, or at once with its data set.

    Raises
    ------
    DicomInputError
        If it is not a Part 10 file.
    """
    if prefix and stream.read(len(PREAMBLE))[128:] != b"DICM":
        raise DicomInputError("not a DICOM file: no DICM prefix")
    values: dict[int, str] = {}
    while (element := _next_meta(stream)) is not None:
        number, value = element
        values[number] = value.decode("latin-1").strip("\0 ")
    return _meta(values)


def _next_meta(stream: BinaryIO) -> tuple[int, bytes] | None:
    """Read one element of group 0002, or none and stay where another group begins."""
    head = stream.read(8)
    if len(head) < 8 or head[:2] != b"\x02\0":
        stream.seek(-len(head), 1)
        return None
    number, vr, length = struct.unpack("<H2sH", head[2:])
    if vr in (b"OB", b"UN", b"UT", b"OW", b"SQ"):
        (length,) = struct.unpack("<L", stream.read(4).ljust(4, b"\xff"))
    value = stream.read(length) if length <= MAX_META_BYTES else b""
    if len(value) != length:
        raise DicomInputError("File Meta Information is cut off")
    return number, value


def dataset_start(head: bytes) -> int:
    """Return where the data set begins in a file that this node wrote: File Meta with its group length first.

    Raises
    ------
    DicomInputError
        If ``head``, the first bytes of the file, are not of such a file.
    """
    if head[128:140] != b"DICM\x02\x00\x00\x00UL\x04\x00":
        raise DicomInputError("not a DICOM file of this node")
    return len(PREAMBLE) + 12 + int.from_bytes(head[140:144], "little")


def _meta(values: Mapping[int, str]) -> FileMeta:
    names = {0x0002: "sop_class", 0x0003: "sop_instance", 0x0010: "transfer_syntax"}
    titles = {0x0016: "calling_ae_title", 0x0018: "called_ae_title"}
    return FileMeta(**{name: values.get(number, "") for number, name in (names | titles).items()})


def _titles(calling: str, called: str) -> list[bytes]:
    """Source, Sending and Receiving Application Entity Title: whom the object came from, to whom."""
    theirs, ours = (_even(title[:16].encode("ascii", "replace"), b" ") for title in (calling, called))
    found = [(0x0016, theirs), (0x0017, theirs), (0x0018, ours)]
    return [_element(number, b"AE", value) for number, value in found if value]


def _element(number: int, vr: bytes, value: bytes) -> bytes:
    long = vr == b"OB"
    header = struct.pack("<HH2s", 2, number, vr) + (
        struct.pack("<HL", 0, len(value)) if long else struct.pack("<H", len(value))
    )
    return header + value


def _uid(value: str) -> bytes:
    return _even(value.encode("ascii"), b"\0")


def _even(value: bytes, padding: bytes) -> bytes:
    return value + padding if len(value) % 2 else value
