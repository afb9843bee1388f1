"""The skeleton of an encoded data set: where each top-level element lies, and whether all of it is there.

:func:`scan` walks headers and lengths only (PS3.5 sections 7.1 to 7.5 and annex A.4). It reads no value, so it costs
the same for a large image as for a small one, and the walk has to end exactly at the end of the data.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from node.errors import DicomInputError

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
MAX_DEPTH = 64
"""Sequences nested deeper than any template asks for are an attack on the stack."""
MAX_ELEMENTS = 1 << 16
"""Top-level elements of a data set; real ones have some hundred, and each costs more memory here than on the wire."""

MOST_REMEMBERED = 512
"""Elements of a data set whose layout is remembered."""

_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
"""Value representations with a 32-bit length (PS3.5 table 7.1-1)."""

_SHORT = frozenset(
    b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split(),
)
"""Those with a 16-bit length."""


class Truncated(DicomInputError):
    """The data set ends before it should, or does not parse to its end."""

    dicom_status = 0xC000


class Element(NamedTuple):
    """One top-level element: ``data[at:end]`` all of it, ``data[start:end]`` its value.

    ``items`` counts those of an undefined length.
    """

    at: int
    start: int
    end: int
    items: int | None = None


class Elements(dict[int, Element]):
    """Top-level elements by tag. Shared by all data sets that are laid out alike: not to be changed."""

    def __init__(self) -> None:
        super().__init__()
        self._spans: dict[tuple[tuple[int, ...], int], Sequence[tuple[int, int]]] = {}

    def spans(self, tags: tuple[int, ...], most: int) -> Sequence[tuple[int, int]]:
        """Return begin and end of those elements that are there and whose values have no more than ``most`` bytes."""
        key = (tags, most)
        found = self._spans.get(key)
        if found is None:
            there = [element for tag in tags if (element := self.get(tag)) is not None]
            found = self._spans[key] = _joined(
                (at, end) for at, start, end, items in there if items is None and end - start <= most
            )
        return found


def _joined(spans: Iterable[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    """Make one of those that follow each other without a gap."""
    found: list[tuple[int, int]] = []
    for at, end in spans:
        if found and found[-1][1] == at:
            found[-1] = (found[-1][0], end)
        else:
            found.append((at, end))
    return found


def scan(data: memoryview, *, implicit: bool, little: bool = True) -> Elements:
    """Return the top-level elements by tag; of a tag that occurs twice, against PS3.5 section 7.1, the first one.

    The data sets of a series are laid out alike, a few digits of a number apart. The last layouts are remembered: where
    all headers of one are where they were, and the same, a walk would find the same.

    Parameters
    ----------
    data
        The data set as encoded (inflated, where the transfer syntax deflates it).
    implicit, little
        The encoding that the transfer syntax names. As pydicom does, a first element whose VR field says otherwise is
        believed over it, for senders that mislabel.

    Raises
    ------
    Truncated
        If the elements do not end where the data ends.
    DicomInputError
        If there are too many of them.
    """
    kind = (implicit, little)
    if (known := _LAYOUTS.find(data, kind)) is not None:
        return known
    elements = _Scanner(data, little).top(implicit)
    _LAYOUTS.remember(data, kind, elements)
    return elements


def peek(data: memoryview, last: int, *, implicit: bool, little: bool = True) -> Elements:
    """Return the top-level elements up to the tag ``last`` of a data set of which only the beginning is at hand."""
    return _Scanner(data, little).top(implicit, last)


class _Layout(NamedTuple):
    """All headers of a data set, and what a walk over them found."""

    size: int
    kind: tuple[bool, bool]
    headers: struct.Struct
    values: tuple[bytes, ...]
    elements: Elements


class Layouts:
    """The layouts of the last data sets; threads share them.

    Parameters
    ----------
    most
        How many are remembered. Each that is not the right one costs a look at its size.
    """

    def __init__(self, most: int = 16) -> None:
        self._most = most
        self._known: tuple[_Layout, ...] = ()

    def find(self, data: memoryview, kind: tuple[bool, bool]) -> Elements | None:
        """Return the elements of a data set that is laid out like one that was remembered."""
        size = len(data)
        for layout in self._known:
            if layout.size == size and layout.kind == kind and layout.headers.unpack_from(data) == layout.values:
                return layout.elements
        return None

    def remember(self, data: memoryview, kind: tuple[bool, bool], elements: Elements) -> None:
        """Remember a layout, if it is all in its elements' headers: nothing nested was walked, no tag came twice."""
        end = 0
        for at, _, after, items in elements.values():
            if at != end or items is not None:
                return
            end = after
        if end != len(data) or not 0 < len(elements) <= MOST_REMEMBERED:
            return
        headers = struct.Struct("".join(f"{start - at}s{end - start}x" for at, start, end, _ in elements.values()))
        layout = _Layout(end, kind, headers, headers.unpack_from(data), elements)
        self._known = (layout, *self._known[: self._most - 1])


_LAYOUTS = Layouts()


class _Scanner:
    def __init__(self, data: memoryview, little: bool) -> None:
        order = "<" if little else ">"
        self.data = data
        self.size = len(data)
        self._tag = struct.Struct(f"{order}HH").unpack_from
        self._u16 = struct.Struct(f"{order}H").unpack_from
        self._u32 = struct.Struct(f"{order}L").unpack_from
        self._short = struct.Struct(f"{order}HH2sH").unpack_from

    def top(self, implicit: bool, last: int | None = None) -> Elements:
        implicit = not self._letters(0) if self.size >= 6 else implicit
        found = Elements()
        position = 0
        try:
            while position < self.size:
                if not implicit:
                    position, tag = self._short_ones(position, found, last)
                    if position >= self.size or (last is not None and tag >= last):
                        break
                tag, element = self._element(position, implicit, 0)
                position = element.end
                found.setdefault(tag, element)
                self._bound(found)
                if last is not None and tag >= last:
                    break
        except DicomInputError:
            if last is None:
                raise
        return found

    def _short_ones(self, position: int, found: dict[int, Element], last: int | None) -> tuple[int, int]:
        """Read elements of explicit VR with a short length, which most are; stop before the first other one.

        Returns where that is, and the last tag that was read.
        """
        data, short, limit, new = self.data, self._short, self.size - 8, tuple.__new__  # half of what Element() takes
        stop = last if last is not None else 1 << 32
        tag = 0
        while position <= limit and tag < stop:
            group, number, vr, length = short(data, position)
            end = position + 8 + length
            if vr not in _SHORT or end > self.size:
                break
            tag = group << 16 | number
            if tag not in found:
                found[tag] = new(Element, (position, position + 8, end, None))
                if len(found) > MAX_ELEMENTS:
                    break
            position = end
        return position, tag

    def _bound(self, found: Mapping[int, Element]) -> None:
        if len(found) > MAX_ELEMENTS:
            raise DicomInputError("the data set has too many elements")

    def _letters(self, position: int) -> bool:
        first, second = self.data[position + 4], self.data[position + 5]
        return 0x41 <= first <= 0x5A and 0x41 <= second <= 0x5A

    def _header(self, position: int, implicit: bool) -> tuple[int, bytes, int, int]:
        """Return tag, VR, length, and where the value begins."""
        if position + 8 > self.size:
            raise Truncated("the data set ends within an element's header")
        group, number = self._tag(self.data, position)
        tag = group << 16 | number
        # Some writers switch to implicit VR in nested items; UN of undefined length does by PS3.5 section 6.2.2.
        if implicit or tag >> 16 == 0xFFFE or not self._letters(position):
            return tag, b"", self._u32(self.data, position + 4)[0], position + 8
        vr = bytes(self.data[position + 4 : position + 6])
        if vr not in _LONG:
            return tag, vr, self._u16(self.data, position + 6)[0], position + 8
        if position + 12 > self.size:
            raise Truncated("the data set ends within an element's header")
        return tag, vr, self._u32(self.data, position + 8)[0], position + 12

    def _element(self, position: int, implicit: bool, depth: int) -> tuple[int, Element]:
        tag, _, length, start = self._header(position, implicit)
        if length == UNDEFINED:
            items, after = self._items(start, implicit, depth + 1)
            return tag, Element(position, start, after, items)
        if start + length > self.size:
            raise Truncated(f"the value of ({tag >> 16:04X},{tag & 0xFFFF:04X}) is cut off")
        return tag, Element(position, start, start + length)

    def _items(self, position: int, implicit: bool, depth: int) -> tuple[int, int]:
        """Walk items or fragments of a value of undefined length; return their number and the position after."""
        if depth > MAX_DEPTH:
            raise Truncated("sequences are nested too deep")
        count = 0
        while True:
            tag, _, length, position = self._header(position, implicit)
            if tag == SEQUENCE_END:
                return count, position
            if tag != ITEM:
                raise Truncated("a sequence is not closed")
            count += 1
            if length == UNDEFINED:
                position = self._nested(position, implicit, depth)
            elif position + length > self.size:
                raise Truncated("an item or a fragment is cut off")
            else:
                position += length

    def _nested(self, position: int, implicit: bool, depth: int) -> int:
        while True:
            if self._header(position, implicit)[0] == ITEM_END:
                return position + 8
            position = self._element(position, implicit, depth)[1].end
