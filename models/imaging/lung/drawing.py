"""Drawing one nodule in its window: what is above a threshold at the seed, without the vessels at it.

The opening with a ball that grows with the nodule follows Kostis WJ et al., IEEE Trans Med Imaging 2003;22:1259-1274.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from models.imaging.lung.segmentation import Mask, bounding_box
from models.imaging.lung.window import Window

#: Radius of the opening as a share of the largest ball that fits into the nodule; the next where too much is left.
OPENINGS = (0.5, 0.7, 0.85)

#: A seed that lies in nothing takes what is nearest, up to so far away.
NEAREST_MM = 4.0

#: So much longer than the candidate, by share and in mm, a nodule may be.
LONGER, LONGER_MM = 1.35, 1.5


def draw(window: Window, limit: Mask, threshold: float, diameter: float) -> Mask | None:
    """Draw what is above a threshold and connected with the seed, without the vessels at it.

    The opening is widened until what is left is not much longer than the candidate.
    """
    part = _at_seed(window, (window.values > threshold) & limit)
    if part is None:
        return None
    box = bounding_box(part, 0)
    whole, window, part = np.zeros_like(part), _cropped(window, box), part[box]
    depth = ndimage.distance_transform_edt(np.pad(part, 1), sampling=window.spacing)[1:-1, 1:-1, 1:-1]
    thickest = float(np.where(window.ball(max(2.0, 0.25 * diameter)), depth, 0).max())
    drawn = part
    for share in OPENINGS:
        drawn = _opened(window, part, depth, share * thickest)
        if _longest(window, drawn) <= LONGER * diameter + LONGER_MM:
            break
    whole[box] = drawn
    return whole


def _cropped(window: Window, box: tuple[slice, slice, slice]) -> Window:
    """Part of a window; the seed may lie outside it."""
    z, y, x = (at - part.start for at, part in zip(window.seed, box, strict=True))
    return replace(window, values=window.values[box], room=window.room[box], seed=(z, y, x))


def _opened(window: Window, part: Mask, depth: npt.NDArray[np.float64], radius: float) -> Mask:
    """Open with a ball, and keep what is connected with the seed; small balls are left alone."""
    if radius < max(window.spacing):
        return part
    core = _at_seed(window, depth > radius)
    if core is None:
        return part
    grown = ndimage.distance_transform_edt(~core, sampling=window.spacing) <= radius + 0.5 * max(window.spacing)
    return np.asarray(grown & part)


def _longest(window: Window, mask: Mask) -> float:
    """Longest side of the bounding box in mm."""
    points = np.argwhere(mask)
    return float(((np.ptp(points, axis=0) + 1) * np.array(window.spacing)).max())


def _at_seed(window: Window, mask: Mask) -> Mask | None:
    """The connected part of a mask that the seed lies in, or the nearest one within :data:`NEAREST_MM`."""
    labels, count = ndimage.label(mask)
    if not count:
        return None
    inside = all(0 <= at < size for at, size in zip(window.seed, mask.shape, strict=True))
    label = int(labels[window.seed]) if inside else 0
    if not label:
        points = np.argwhere(mask)
        away = np.linalg.norm((points - np.array(window.seed)) * np.array(window.spacing), axis=1)
        nearest = int(away.argmin())
        if away[nearest] > NEAREST_MM:
            return None
        label = int(labels[tuple(points[nearest])])
    return np.asarray(labels == label)
