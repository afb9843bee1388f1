"""Plain files, read quickly: Explicit VR Little Endian, elements of defined length in their order, pixels at the end.

Pixels are native, or encapsulated in few fragments. pydicom's reader takes half of the time that a series of native
slices takes, most of it for generality that these do not need. What is not plain in any respect is left to pydicom; of
what is plain the result is the same.
"""

from __future__ import annotations

import os
import struct
from functools import lru_cache
from io import FileIO
from pathlib import Path
from typing import Any

from pydicom.charset import convert_encodings, default_encoding
from pydicom.dataelem import RawDataElement, empty_value_for_VR
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.tag import BaseTag
from pydicom.uid import (
    JPEG2000,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, VR

#: How much of a file is looked at: headers of slices have some 10 kB; a longer one is not plain.
HEAD = 1 << 16

#: Pixel Data that is longer stays in the file until it is decoded.
DEFER_BYTES = 1 << 15

#: Fragments of encapsulated pixels that are looked for: one is the rule for a slice.
FRAGMENTS = 4

UNDEFINED = 0xFFFFFFFF
"""Length of an element that a delimiter ends, as encapsulated pixels are (PS3.5 A.4)."""

_NATIVE = ExplicitVRLittleEndian.encode()
_ENCAPSULATED = (
    RLELossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    JPEG2000Lossless,
    JPEG2000,
    HTJ2KLossless,
)
_SYNTAXES = frozenset({_NATIVE, *(syntax.encode() for syntax in _ENCAPSULATED)})
_ITEM, _DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0\0\0\0\0"  # PS3.5 7.5

_SHORT, _LONG = struct.Struct("<HH2sH").unpack_from, struct.Struct("<L").unpack_from
_NAMES = {str(vr.value).encode(): str(vr.value) for vr in VR if len(vr.value) == 2}
_LONG_NAMES = frozenset(str(vr) for vr in EXPLICIT_VR_LENGTH_32)
_PIXELS = 0x7FE00010
_CHARSET = 0x00080005
_GROUP, _SYNTAX = 0x00020000, 0x00020010
_FIRST = 132  # behind the preamble and DICM

Elements = dict[BaseTag, Any]

#: A header has a hundred elements, and headers of a series the same tags: what pydicom's classes do for each of them in
#: Python is half of the time of reading it.
_tag = lru_cache(maxsize=1 << 12)(BaseTag)
_element = tuple.__new__
_DEFAULTS = tuple(RawDataElement._field_defaults.values())


def read_plain(path: Path) -> Dataset | None:
    """Read a file with its pixels left in it; None if it is not plain.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        head = file.read(HEAD)
        size = file.seek(0, 2)
        return _read(path, file, head, size)


def _read(path: Path, file: FileIO, head: bytes, size: int) -> Dataset | None:
    if head[128:_FIRST] != b"DICM":
        return None
    meta = _elements(head, _FIRST, 0x00030000)
    syntax = meta[0].get(BaseTag(_SYNTAX), _NOTHING).value.rstrip(b"\0") if meta is not None else b""
    if meta is None or syntax not in _SYNTAXES or meta[0].get(BaseTag(_GROUP), _NOTHING).length not in (0, 4):
        return None
    found = _elements(head, meta[1], _PIXELS)
    if found is None:
        return None
    elements, at = found
    native = syntax == _NATIVE
    pixels = _pixels(head, at, size)
    if pixels is None or native == (pixels.length == UNDEFINED):
        return None
    if not native and not _ends_well(file, pixels.value_tell, size):
        return None
    elements[pixels.tag] = pixels
    return _dataset(path, head[:128], meta[0], elements)


def _elements(head: bytes, at: int, end: int) -> tuple[Elements, int] | None:
    """Read elements from a place on, to the first whose tag is not below ``end``; give them and where that one is."""
    elements: Elements = {}
    before, last = -1, len(head) - 12
    while at <= last:
        group, number, code, length = _SHORT(head, at)
        tag = group << 16 | number
        if tag >= end:
            return elements, at
        vr = _NAMES.get(code)
        at += 8
        if vr is None or tag <= before:
            return None
        if vr in _LONG_NAMES:
            length, at = _LONG(head, at)[0], at + 4
        start, at, before = at, at + length, tag
        value: Any = head[start:at] if length else empty_value_for_VR(vr, raw=True)
        name = _tag(tag)
        elements[name] = _element(RawDataElement, (name, vr, length, value, start, False, True, *_DEFAULTS))
    return None  # a value ends beyond what was read, or has no defined length


def _pixels(head: bytes, at: int, size: int) -> RawDataElement | None:
    """Read tag, value representation and length of Pixel Data that is the last of its file, without the value."""
    group, number, code, _ = _SHORT(head, at)
    length, start = _LONG(head, at + 8)[0], at + 12
    if group << 16 | number != _PIXELS or code not in (b"OB", b"OW") or not length:
        return None
    if length != UNDEFINED and start + length != size:
        return None
    return RawDataElement(BaseTag(_PIXELS), code.decode(), length, None, start, False, True)


def _ends_well(file: FileIO, at: int, size: int) -> bool:
    """Whether a few fragments follow each other to a delimiter that ends the file, after enough to be left in it."""
    if size - at <= DEFER_BYTES:
        return False
    for _ in range(FRAGMENTS + 2):
        header = os.pread(file.fileno(), 8, at)
        if at + 8 == size:
            return header == _DELIMITER
        if len(header) < 8 or header[:4] != _ITEM:
            return False
        at += 8 + int.from_bytes(header[4:], "little")
    return False


def _dataset(path: Path, preamble: bytes, meta: Elements, elements: Elements) -> Dataset:
    ds = FileDataset(str(path), elements, preamble, FileMetaDataset(meta), False, True)
    encoding: Any = default_encoding
    if BaseTag(_CHARSET) in elements:
        encoding = convert_encodings(ds.SpecificCharacterSet)
    ds.set_original_encoding(False, True, encoding)
    return ds


_NOTHING = RawDataElement(BaseTag(0), "UI", 0, b"", 0, False, True)
