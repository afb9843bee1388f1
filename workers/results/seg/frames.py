"""Frames of a segmentation: which there are, and their Pixel Data (PS3.3 C.8.20.2, PS3.5 8)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np
import numpy.typing as npt
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders.base import RLELosslessEncoder

from models.contracts import FloatArray, LabelArray, SegmentSpec
from workers.results.profile import Profile, Segmentation

#: Maximum Fractional Value (0062,000E): the value that stands for a probability of 1.
FULL = 255

#: The bits of so many frames are whole bytes, whatever the frames' size.
WHOLE = 8

#: Longest run that RLE Lossless can encode (PS3.5 G.3.1).
LONGEST_RUN = 128

#: Length of the RLE header (PS3.5 G.5).
RLE_HEADER = 64

#: Pixels for each run of equal ones below which an image is not made of areas: the library's encoder makes it shorter.
PIXELS_PER_RUN = 8

Plane = npt.NDArray[np.uint8] | npt.NDArray[np.bool_]
Place = tuple[int | None, int]
"""Segment Number, None in a label map, and slice."""


@dataclass(frozen=True, eq=False)
class Drawing:
    """What one object shows.

    Parameters
    ----------
    labels
        ``[slice, row, column]``.
    segments
        Segments of the object; Segment Number is their place in this, from 1.
    maps
        ``[slice, row, column]`` probabilities, by label value.
    """

    labels: LabelArray
    segments: Sequence[SegmentSpec]
    maps: Mapping[int, FloatArray]


@dataclass(frozen=True, eq=False)
class Frames:
    """Frames of an object.

    Parameters
    ----------
    places
        Of each frame, by segment.
    slices
        Slices that have a frame, in the order that frames have.
    data
        Pixel Data.
    """

    places: Sequence[Place]
    slices: Sequence[int]
    data: bytes


def make_frames(drawing: Drawing, profile: Profile) -> Frames:
    """Draw the frames that a profile wants; where nothing is drawn at all, empty ones of the first slice remain.

    Frames without a voxel are left out unless the profile keeps them; an object needs one (PS3.3 C.7.6.6). They stand
    in highdicom's order, against the normal: from head to feet where slices are axial.
    """
    draw, encode = _FORMS[profile.segmentation]
    drawn = draw(drawing, range(len(drawing.labels) - 1, -1, -1))
    kept = ((place, plane) for place, plane in drawn if profile.empty_frames or plane.any())
    first = next(kept, None)
    chosen = draw(drawing, (0,)) if first is None else chain((first,), kept)
    places: list[Place] = []
    data = encode(_noted(chosen, places))
    return Frames(places, sorted({k for _, k in places}, reverse=True), data + b"\0" * (len(data) % 2))


def is_fractional(drawing: Drawing) -> bool:
    """Whether more than 0 and 1 may stand in the frames of a fractional segmentation."""
    return any(spec.label in drawing.maps for spec in drawing.segments)


def _noted(planes: Iterable[tuple[Place, Plane]], places: list[Place]) -> Iterator[Plane]:
    for place, plane in planes:
        places.append(place)
        yield plane


def _masks(drawing: Drawing, slices: Iterable[int]) -> Iterator[tuple[Place, Plane]]:
    for number, spec in enumerate(drawing.segments, 1):
        for k in slices:
            yield (number, k), drawing.labels[k] == spec.label


def _fractions(drawing: Drawing, slices: Iterable[int]) -> Iterator[tuple[Place, Plane]]:
    """Probabilities where the model gives them, else 0 and 1 (PS3.3 C.8.20.2.3)."""
    for number, spec in enumerate(drawing.segments, 1):
        probability = drawing.maps.get(spec.label)
        for k in slices:
            if probability is None:
                yield (number, k), (drawing.labels[k] == spec.label) * np.uint8(FULL)
            else:
                yield (number, k), np.rint(np.clip(np.nan_to_num(probability[k]), 0, 1) * FULL).astype(np.uint8)


def _numbers(drawing: Drawing, slices: Iterable[int]) -> Iterator[tuple[Place, Plane]]:
    """Segment Numbers; a label value that no segment describes becomes background."""
    table = np.zeros(256, dtype=np.uint8)
    table[[spec.label for spec in drawing.segments]] = np.arange(1, len(drawing.segments) + 1)
    for k in slices:
        yield (None, k), table[drawing.labels[k]]


def _bits(planes: Iterator[Plane]) -> bytes:
    """One bit a pixel, the first in the lowest bit, frame after frame without padding between (PS3.5 8.1.1, 8.2)."""
    packed = []
    while batch := list(islice(planes, WHOLE)):
        packed.append(np.packbits(np.stack(batch), axis=None, bitorder="little").tobytes())
    return b"".join(packed)


def _compressed(planes: Iterator[Plane]) -> bytes:
    """RLE Lossless, with a Basic Offset Table (PS3.5 8.2.2, A.4.2)."""
    encoded: bytes = encapsulate([_runs(plane) or _rle(plane) for plane in planes])
    return encoded


def _runs(plane: Plane) -> bytes | None:
    """Encode an image that consists of areas by its runs of equal pixels (PS3.5 G.3.1); None where it does not.

    Runs of up to 128 pixels, none across a row's end; 257 - n and the pixel stand for n of them, 0 and the pixel for
    one. The library's encoder, made for photographs, takes forty times as long.
    """
    pixels = plane.ravel()
    begins = np.empty(plane.shape, dtype=bool)
    begins.ravel()[1:] = pixels[1:] != pixels[:-1]
    begins[:, ::LONGEST_RUN] = True
    starts = np.flatnonzero(begins)
    if len(starts) * PIXELS_PER_RUN > len(pixels) + PIXELS_PER_RUN * len(plane):
        return None
    coded = np.empty((len(starts), 2), dtype=np.uint8)
    coded[:, 0] = (257 - np.diff(starts, append=len(pixels))) & 0xFF
    coded[:, 1] = pixels[starts]
    return struct.pack("<16L", 1, RLE_HEADER, *[0] * 14) + coded.tobytes()


def _rle(plane: Plane) -> bytes:
    rows, columns = plane.shape
    encoded: bytes = RLELosslessEncoder.encode(
        np.ascontiguousarray(plane),
        rows=rows,
        columns=columns,
        samples_per_pixel=1,
        number_of_frames=1,
        bits_allocated=8,
        bits_stored=8,
        pixel_representation=0,
        photometric_interpretation="MONOCHROME2",
    )
    return encoded


Form = tuple[Callable[[Drawing, Iterable[int]], Iterator[tuple[Place, Plane]]], Callable[[Iterator[Plane]], bytes]]

#: By Segmentation Type: what stands in a frame, and how frames are encoded.
_FORMS: Mapping[Segmentation, Form] = {
    "binary": (_masks, _bits),
    "fractional": (_fractions, _compressed),
    "labelmap": (_numbers, _compressed),
}
