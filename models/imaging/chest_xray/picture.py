"""From a radiograph of any size to the network's picture of 28 x 28 pixels, and from there back.

The training pictures are those of PneumoniaMNIST: the square of the short edge about the centre of the radiograph,
reduced to 28 x 28 (Yang J et al., Sci Data 2023;10:41, and the data set's own notes on how it was made). The same
square is taken here; it is reduced by area averaging, since a real radiograph has up to a hundred pixels for each of
the network's in both directions and anything else would pick out noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.contracts import FloatArray

#: Rows and columns of the network's picture.
SIDE = 28

#: A row or column whose values differ by no more than this part of the picture's range was masked (collimation, a
#: shutter, or the scanner's border): tissue has noise.
BLANK = 0.01

#: Masks are looked for only in pictures that have this many pixels for each of the network's: smaller ones were
#: reduced by somebody else, and a blank row in them is a seventh part of an organ.
TRIMMED_FROM = 4 * SIDE

#: Most of a side that is taken for a mask: beyond it something else is wrong with the picture.
MOST_TRIMMED = 0.3

#: Least standard deviation of the grey values (of 0 to 1): below it there is nothing to see.
LEAST_CONTRAST = 0.01


@dataclass(frozen=True, slots=True)
class Square:
    """The part of a radiograph that the network sees: row and column of its first pixel, and its side in pixels."""

    top: int
    left: int
    side: int


@dataclass(frozen=True, eq=False)
class Picture:
    """What the network gets, and where it comes from.

    Parameters
    ----------
    pixels
        ``[28, 28]`` float32, 0 to 1.
    square
        The part of the radiograph that it shows.
    shape
        ``(rows, columns)`` of the radiograph.
    """

    pixels: FloatArray
    square: Square
    shape: tuple[int, int]


def prepare(array: FloatArray) -> Picture:
    """Cut off masked borders, take the square of the short edge about the centre, and reduce it to 28 x 28.

    Parameters
    ----------
    array
        ``[row, column]`` float32, 0 to 1, as :class:`~models.contracts.Radiograph` has it.
    """
    rows, columns = array.shape
    top, bottom, left, right = _unmasked(array) if min(rows, columns) >= TRIMMED_FROM else (0, rows, 0, columns)
    side = min(bottom - top, right - left)
    square = Square(top + (bottom - top - side) // 2, left + (right - left - side) // 2, side)
    part = array[square.top : square.top + side, square.left : square.left + side]
    across = area_weights(side, SIDE)
    pixels = (across @ part.astype(np.float32, copy=False) @ across.T).astype(np.float32)
    return Picture(pixels, square, (rows, columns))


def has_contrast(picture: Picture) -> bool:
    """Whether there is anything to see in the part that the network gets."""
    return float(picture.pixels.std()) >= LEAST_CONTRAST


def standardised(pictures: FloatArray) -> FloatArray:
    """Bring each picture ``[n, 28, 28]`` to mean 0 and standard deviation 1, so that the window does not matter."""
    mean = pictures.mean(axis=(1, 2), keepdims=True)
    spread = np.maximum(pictures.std(axis=(1, 2), keepdims=True), LEAST_CONTRAST)
    found: FloatArray = ((pictures - mean) / spread).astype(np.float32)
    return found


def spread(small: FloatArray, picture: Picture) -> FloatArray:
    """Bring a map of the network back to the radiograph.

    Parameters
    ----------
    small
        ``[m, m]`` over the square that the network saw; any number of rows and columns.

    Returns
    -------
    numpy.ndarray
        ``[1, row, column]`` float32 on the grid of the radiograph: linear between the centres of the map's pixels, 0
        outside the square, which had no part in the answer.
    """
    square = picture.square
    whole = np.zeros((1, *picture.shape), dtype=np.float32)
    down, across = (_linear_weights(length, square.side) for length in small.shape)
    whole[0, square.top : square.top + square.side, square.left : square.left + square.side] = down @ small @ across.T
    return whole


def area_weights(length: int, parts: int) -> FloatArray:
    """Give ``[parts, length]``: the share of each pixel in each of ``parts`` equal stretches; rows sum to 1."""
    edges = np.arange(parts + 1) * (length / parts)
    pixels = np.arange(length)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights: FloatArray = (np.clip(overlap, 0, None) * (parts / length)).astype(np.float32)
    return weights


def _linear_weights(parts: int, length: int) -> FloatArray:
    """``[length, parts]``: linear interpolation between the centres of ``parts`` equal stretches, flat at the ends."""
    place = np.clip((np.arange(length) + 0.5) * (parts / length) - 0.5, 0, parts - 1)
    weights: FloatArray = np.clip(1 - np.abs(place[:, None] - np.arange(parts)), 0, None).astype(np.float32)
    return weights


def _unmasked(array: FloatArray) -> tuple[int, int, int, int]:
    """First and last row and column, exclusive, that are not masked borders."""
    limit = BLANK * float(array.max() - array.min())
    top, bottom = _between(np.ptp(array, axis=1) <= limit)
    left, right = _between(np.ptp(array[top:bottom], axis=0) <= limit)
    return top, bottom, left, right


def _between(blank: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Where the lines that are not blank begin and end; a side that is blank beyond :data:`MOST_TRIMMED` is kept."""
    seen = np.flatnonzero(~blank)
    if not seen.size:
        return 0, blank.size
    first, last = int(seen[0]), int(seen[-1]) + 1
    most = MOST_TRIMMED * blank.size
    return (first if first <= most else 0), (last if blank.size - last <= most else blank.size)
