"""Functional groups of a segmentation's frames (PS3.3 C.8.20.3) and its references to the source images.

A segmentation of a large study has thousands of nested items that say the same things again. What frames have in common
(the place and the source of a slice, the number of a segment) is encoded once here, in explicit VR little endian
(PS3.5 7.1.2), and shared as raw elements, which is how pydicom keeps what it has read: it writes them as they are, and
parses them when somebody looks.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from pydicom.charset import default_encoding
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.tag import BaseTag
from pydicom.valuerep import format_number_as_ds

from workers.results.seg.frames import Frames

#: What makes a segmentation of an image (CID 7203), and what the image was used for (CID 7202).
DERIVATION = codes.cid7203.SegmentationImageDerivation
PURPOSE = codes.cid7202.SourceImageForImageProcessingOperation

#: Longest Decimal String (PS3.5 6.2).
DS_LENGTH = 16

Elements = dict[BaseTag, RawDataElement]


def refer(seg: Dataset, sources: Sequence[Dataset]) -> None:
    """Name all source images: Source Image Sequence (General Reference) and Common Instance Reference (C.12.2)."""
    references = [_reference(ds) for ds in sources]
    seg.SourceImageSequence = [_dataset(_tagged(reference)) for reference in references]
    instances = b"".join(_item(*reference) for reference in references)
    series = (_uid(0x0020000E, sources[0].SeriesInstanceUID), (0x0008114A, "SQ", instances))
    seg.ReferencedSeriesSequence = [_dataset(_tagged(series))]


@dataclass(frozen=True, eq=False)
class Plane:
    """One slice: where it lies in LPS millimetres, and the functional groups of its frames that say so."""

    position: tuple[float, ...]
    groups: Elements


def plane_groups(sources: Sequence[Dataset], order: Sequence[int]) -> list[Plane]:
    """For each slice the functional groups that tell where it lies and which image or frame it was drawn on.

    Parameters
    ----------
    sources
        Source headers: one a slice, or one of a multi-frame image.
    order
        For each slice, the index of its plane among those of ``sources``.
    """
    planes = list(_planes(sources))
    return [_plane(*planes[index]) for index in order]


def per_frame(frames: Frames, planes: Sequence[Plane], shared: bool) -> list[Dataset]:
    """Items of Per-Frame Functional Groups Sequence.

    Parameters
    ----------
    frames
        Which there are.
    planes
        As :func:`plane_groups` gives them.
    shared
        Whether the Segment Identification macro stands in Shared Functional Groups Sequence.
    """
    index = {k: value for value, k in enumerate(frames.slices, 1)}
    items = []
    for number, k in frames.places:
        values = struct.pack("<L", index[k]) if number is None else struct.pack("<LL", number, index[k])
        content = _tagged([(0x00209111, "SQ", _item((0x00209157, "UL", values)))])
        segment = {} if number is None or shared else _identification(number)
        items.append(_dataset(planes[k].groups | content | segment))
    return items


@cache
def _identification(number: int) -> Elements:
    return _tagged([(0x0062000A, "SQ", _item((0x0062000B, "US", struct.pack("<H", number))))])


def _planes(sources: Sequence[Dataset]) -> Iterator[tuple[Dataset, int | None, Sequence[float]]]:
    """Yield image, frame number and Image Position (Patient) of every plane, in the order of the sources."""
    for ds in sources:
        if "PerFrameFunctionalGroupsSequence" not in ds:
            yield ds, None, ds.ImagePositionPatient
            continue
        for number, group in enumerate(ds.PerFrameFunctionalGroupsSequence, 1):
            yield ds, number, group.PlanePositionSequence[0].ImagePositionPatient


def _plane(image: Dataset, frame: int | None, position: Sequence[float]) -> Plane:
    """Build the Derivation Image and Plane Position macros (PS3.3 C.7.6.16.2.6, C.7.6.16.2.3)."""
    place = "\\".join(_decimal(value) for value in position)
    number = [] if frame is None else [_text(0x00081160, "IS", str(frame))]
    source = _item(
        *_reference(image), *number, _text(0x0028135A, "CS", "YES"), (0x0040A170, "SQ", _item(*_code(PURPOSE)))
    )
    derivation = _item((0x00082112, "SQ", source), (0x00089215, "SQ", _item(*_code(DERIVATION))))
    groups = _tagged([(0x00089124, "SQ", derivation), (0x00209113, "SQ", _item(_text(0x00200032, "DS", place)))])
    return Plane(tuple(float(value) for value in position), groups)


def _decimal(value: float) -> str:
    """Write a number as the source does, where that is a valid Decimal String."""
    text = str(value)
    return text if len(text) <= DS_LENGTH else format_number_as_ds(float(value))


Element = tuple[int, str, bytes]
"""Tag, value representation and encoded value."""


def _reference(ds: Dataset) -> tuple[Element, Element]:
    return _uid(0x00081150, ds.SOPClassUID), _uid(0x00081155, ds.SOPInstanceUID)


def _code(code: Code) -> tuple[Element, ...]:
    return (
        _text(0x00080100, "SH", code.value),
        _text(0x00080102, "SH", code.scheme_designator),
        _text(0x00080104, "LO", code.meaning),
    )


def _text(tag: int, vr: str, value: str) -> Element:
    """Encode a text of the default repertoire, padded to even length with a space (PS3.5 6.2)."""
    return tag, vr, (value + " " * (len(value) % 2)).encode(default_encoding)


def _uid(tag: int, value: str) -> Element:
    """Encode a UID, padded to even length with a null (PS3.5 9.1)."""
    return tag, "UI", (value + "\0" * (len(value) % 2)).encode(default_encoding)


def _item(*elements: Element) -> bytes:
    """Encode an item of defined length (PS3.5 7.5.1) with its elements, which stand in the order of their tags."""
    content = b"".join(_encoded(*element) for element in elements)
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(content)) + content


def _encoded(tag: int, vr: str, value: bytes) -> bytes:
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode("ascii")
    return head + (struct.pack("<xxL", len(value)) if vr == "SQ" else struct.pack("<H", len(value))) + value


def _tagged(elements: Iterable[Element]) -> Elements:
    """Elements in the form in which pydicom keeps what it has read."""
    return {
        BaseTag(tag): RawDataElement(BaseTag(tag), vr, len(value), value, 0, False, True) for tag, vr, value in elements
    }


def _dataset(elements: Elements) -> Dataset:
    ds = Dataset(elements)  # type: ignore[arg-type]
    ds.set_original_encoding(False, True, default_encoding)
    return ds
