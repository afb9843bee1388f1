"""Outlines of masks in the pixel coordinates of presentation states."""

from __future__ import annotations

from collections.abc import Iterator

import contourpy
import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]

#: Most points of one line: Graphic Data (0070,0022) has VR FL, whose length Explicit VR encodes in 16 bits.
MAX_POINTS = 4000

#: Most outlines of one mask: noise of a model must not make an object of thousands.
MAX_OUTLINES = 100


def outlines(mask: npt.NDArray[np.bool_]) -> list[Points]:
    """Draw the borders of a mask, half way between pixels inside and outside.

    Parameters
    ----------
    mask
        ``[row, column]``.

    Returns
    -------
    list of numpy.ndarray
        ``[point, 2]`` arrays of (column, row), one for each border, holes included, the longest first, at most
        :data:`MAX_OUTLINES`. The last point is the first one; a border of more than :data:`MAX_POINTS` is cut into
        several lines. The unit is PIXEL of PS3.3 C.10.5.1.2: the centre of the first pixel is (0.5, 0.5), and no point
        leaves the image. Of the pixel centres just those of the mask lie within the borders (even-odd rule).
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return []
    top, left = int(rows[0]), int(columns[0])
    inside = np.pad(mask[top : rows[-1] + 1, left : columns[-1] + 1], 1).astype(np.float64)
    lines = contourpy.contour_generator(z=inside).lines(0.5)
    # The padding's first pixel is one to the left and above, and centres of pixels lie half a pixel inside.
    shift = np.array([left - 0.5, top - 0.5])
    borders = sorted((_corners(np.asarray(line) + shift) for line in lines), key=len, reverse=True)
    return [part for border in borders[:MAX_OUTLINES] for part in _parts(border)]


def _corners(line: Points) -> Points:
    """Leave out points of a closed line at which it goes straight on."""
    steps = np.diff(line, axis=0)
    turns = steps[:-1, 0] * steps[1:, 1] != steps[:-1, 1] * steps[1:, 0]
    kept: Points = line[np.concatenate([[True], turns, [True]])]
    return kept


def _parts(line: Points) -> Iterator[Points]:
    """Cut a line into lines that follow each other, the end of one being the beginning of the next."""
    for first in range(0, len(line) - 1, MAX_POINTS - 1):
        yield line[first : first + MAX_POINTS]
