"""Long and short axis of a drawn region in one plane (RECIST 1.1, Eisenhauer et al., Eur J Cancer 2009;45:228-247)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]

#: Largest cosine at which two lines count as being at right angles; the next where a small region has no such line of
#: at least the given share of its width.
RIGHT_ANGLES = (0.06, 0.15, 0.35)
LEAST_OF_WIDTH = 0.7


@dataclass(frozen=True, slots=True)
class Diameters:
    """Two axes of a region, in mm, with their ends as ``(row, column)`` indices of the plane (parts of pixels)."""

    long_mm: float
    short_mm: float
    long_ends: tuple[tuple[float, float], tuple[float, float]]
    short_ends: tuple[tuple[float, float], tuple[float, float]]


def diameters_of(mask: npt.NDArray[np.bool_], spacing: tuple[float, float]) -> Diameters:
    """Measure a region.

    Parameters
    ----------
    mask
        ``[row, column]`` with at least one pixel.
    spacing
        Of rows and of columns, in mm.

    Notes
    -----
    Distances are between pixel centres, and half a pixel is added at each end, where the region ends. The short axis is
    the longest line at right angles to the long one.
    """
    steps = np.array(spacing)
    points = _border(mask) * steps
    apart = points[:, None] - points[None]
    length = np.hypot(apart[..., 0], apart[..., 1])
    a, b = np.unravel_index(int(length.argmax()), length.shape)
    edge = float(steps.mean())
    along = (points[b] - points[a]) / max(float(length[a, b]), 1e-9)
    wide = float(np.ptp(points @ np.array([-along[1], along[0]])))
    leaning = np.abs(apart @ along) / np.maximum(length, 1e-9)
    for largest in RIGHT_ANGLES:
        across = (leaning <= largest) | (length == 0)
        c, d = np.unravel_index(int(np.where(across, length, 0).argmax()), length.shape)
        if length[c, d] >= LEAST_OF_WIDTH * wide:
            break
    unit = along if length[a, b] > 0 else np.array([0.0, 1.0])
    normal = np.array([-unit[1], unit[0]])
    return Diameters(
        float(length[a, b]) + edge,
        min(float(length[c, d]), float(length[a, b])) + edge,
        _ends(points[a], points[b], unit, edge, steps),
        _ends(points[c], points[d], normal if (points[d] - points[c]) @ normal >= 0 else -normal, edge, steps),
    )


def _ends(
    first: Points, second: Points, way: Points, edge: float, steps: Points
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Ends of a line that reaches half a pixel beyond two pixel centres."""
    start, end = (first - way * edge / 2) / steps, (second + way * edge / 2) / steps
    return (float(start[0]), float(start[1])), (float(end[0]), float(end[1]))


def _border(mask: npt.NDArray[np.bool_]) -> Points:
    """Outermost pixels of a region, ``[n, 2]``: the first and last of each row and of each column."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    width, height = mask.shape[1], mask.shape[0]
    left, right = mask[rows].argmax(1), width - 1 - mask[rows, ::-1].argmax(1)
    top, bottom = mask[:, columns].argmax(0), height - 1 - mask[::-1, columns].argmax(0)
    found = [(rows, left), (rows, right), (top, columns), (bottom, columns)]
    pairs = np.concatenate([np.stack(pair, 1) for pair in found])
    return np.unique(pairs, axis=0).astype(np.float64)
