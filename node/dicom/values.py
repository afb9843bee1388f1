"""The values of encoded elements, decoded one by one where they are wanted."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Literal

from pydicom.charset import convert_encodings, decode_bytes, default_encoding, python_encoding
from pydicom.valuerep import PersonName

from node.dicom.structure import Element

MAX_CHARSETS = 16
"""Specific Character Set has one value and its code extensions (PS3.3 section C.12.1.1.2): seven at most make sense."""
_CODECS = frozenset(python_encoding.values())
MAX_TEXT_BYTES = 16384
"""A header text longer than this is left out of the index; the file keeps it."""
REMEMBERED_BYTES = 256
"""The objects of a series have most texts in common: what was decoded is remembered for a while, if it is short."""


@lru_cache(maxsize=64)
def _codecs(character_set: bytes) -> tuple[str, ...]:
    """Return the codecs of a Specific Character Set (PS3.3 section C.12.1.1.2)."""
    names = character_set.decode("ascii", "replace").replace("\0", "").split("\\")
    found = convert_encodings([name.strip() for name in names[:MAX_CHARSETS]])
    # pydicom takes names of Python codecs too, and some of those fail, or give what no database takes.
    return tuple(name if name in _CODECS else default_encoding for name in found)


class Values:
    """Decodes top-level elements; never raises on what they hold."""

    def __init__(self, data: memoryview, elements: Mapping[int, Element], *, little: bool) -> None:
        self._data = data
        self._elements = elements
        self._order: Literal["little", "big"] = "little" if little else "big"

    @cached_property
    def _encodings(self) -> tuple[str, ...]:
        return _codecs(self.raw(0x00080005))

    def raw(self, tag: int) -> bytes:
        """Return the bytes as they are; empty where there are none, or too many."""
        element = self._elements.get(tag)
        if element is None:
            return b""
        _, start, end, items = element
        return b"" if items is not None or end - start > MAX_TEXT_BYTES else bytes(self._data[start:end])

    def uid(self, tag: int) -> str:
        """Decode UI; what it holds may be no UID."""
        return self.raw(tag).decode("latin-1").strip("\0 ")

    def text(self, tag: int, width: int) -> str:
        """Decode a text, no longer than ``width``."""
        if tag not in self._elements:
            return ""
        return _text(self.raw(tag), self._encodings, width)

    def name(self, tag: int) -> str:
        """Decode PN, with all its component groups."""
        return _name(self.raw(tag).rstrip(b"\0 "), self._encodings)

    def digits(self, tag: int, width: int) -> str:
        """Decode what has to be that many digits, such as DA; empty where it is not."""
        text = self.text(tag, 64).replace(".", "")  # ACR-NEMA wrote 1998.12.31
        return text if len(text) == width and text.isascii() and text.isdigit() else ""

    def integer(self, tag: int) -> int | None:
        """Decode IS; out of a 32-bit range, or no number, is None."""
        if tag not in self._elements:
            return None
        text = self.text(tag, 16).split("\\")[0].strip()
        try:
            number = int(text)
        except ValueError:
            return None
        return number if -(1 << 31) <= number < 1 << 31 else None

    def short(self, tag: int) -> int:
        """Decode US; 0 where it is missing."""
        return int.from_bytes(self.raw(tag)[:2], self._order)


def _text(value: bytes, codecs: tuple[str, ...], width: int) -> str:
    decode = _remembered_text if len(value) <= REMEMBERED_BYTES else _remembered_text.__wrapped__
    return decode(value, codecs, width)


@lru_cache(maxsize=4096)
def _remembered_text(value: bytes, codecs: tuple[str, ...], width: int) -> str:
    return _clean(decode_bytes(value, codecs, {0x5C}), width)


def _name(value: bytes, codecs: tuple[str, ...]) -> str:
    decode = _remembered_name if len(value) <= REMEMBERED_BYTES else _remembered_name.__wrapped__
    return decode(value, codecs)


@lru_cache(maxsize=1024)
def _remembered_name(value: bytes, codecs: tuple[str, ...]) -> str:
    return _clean(str(PersonName(value, list(codecs))), 1000)


def _clean(text: str, width: int) -> str:
    """Drop control characters, which databases and terminals choke on, and what the column cannot hold."""
    if not text.isprintable():
        text = "".join(char for char in text if char.isprintable() or char == " ")
    return text.strip()[:width].strip()
