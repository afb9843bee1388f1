"""Lungs in a chest CT, by threshold, connected parts and closing; no network.

1. Air in the body: voxels under :data:`AIR_HU` on a coarse grid that do not touch the border of the slices.
2. The trachea and the main bronchi are followed from above and taken out.
3. The two largest parts left are the lungs; where they touch, they are divided by erosion.
4. Each is closed with a ball, so that vessels and nodules in it and at its surface belong to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from models.contracts import FloatArray, InputDeclined
from models.imaging.lung.grid import Working

Mask = npt.NDArray[np.bool_]

#: Air and lung lie below, tissue above.
AIR_HU = -450.0

#: Coarse grid of the segmentation: every second voxel of the working grid.
COARSE = 2

#: Ball that closes the surface: nodules up to about twice this at the pleura stay inside.
CLOSING_MM = 12.0

#: A lung is at least as large as this, in ml, and together they are no larger than that.
LEAST_LUNG_ML, MOST_LUNGS_ML = 250.0, 11000.0

#: Median density of an air-filled lung; bowel gas and air around a phantom lie below.
LUNG_MEDIAN_HU = (-965.0, -600.0)

#: Area of trachea or main bronchi in a slice, in mm2.
AIRWAY_MM2 = (60.0, 900.0)

NOT_FOUND = "Two air-filled lungs were not found; this model reads CT of the whole chest."


@dataclass(frozen=True, eq=False)
class Lungs:
    """Both lungs on the working grid.

    Parameters
    ----------
    right, left
        Closed masks ``[z, y, x]``.
    """

    right: Mask
    left: Mask

    @property
    def both(self) -> Mask:
        """Either lung."""
        return self.right | self.left


def find_lungs(working: Working) -> Lungs:
    """Find both lungs; raise :class:`InputDeclined` where there are not two."""
    coarse, spacing = _coarse(working)
    air = _inner_air(coarse < AIR_HU)
    air &= ~_airways(air, spacing)
    pair = _pair(air, spacing)
    if pair is None:
        raise InputDeclined(NOT_FOUND)
    first, second = pair
    _check(coarse, first, second, spacing)
    right, left = sorted((first, second), key=lambda mask: float(np.argwhere(mask)[:, 2].mean()))
    closed = [_closed(mask, spacing) for mask in (right, left)]
    closed[1] &= ~closed[0]
    fine = [_fine(mask, working.array.shape) for mask in closed]
    return Lungs(fine[0], fine[1] & ~fine[0])


def _coarse(working: Working) -> tuple[FloatArray, tuple[float, float, float]]:
    smooth = ndimage.uniform_filter(working.array, COARSE, mode="nearest")
    coarse = np.ascontiguousarray(smooth[::COARSE, ::COARSE, ::COARSE])
    a, b, c = (step * COARSE for step in working.spacing)
    return coarse, (a, b, c)


def _inner_air(air: Mask) -> Mask:
    """Air that is not connected with the border of the slices; the first and the last slice may be touched."""
    labels, _ = ndimage.label(air)
    sides = [labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]]
    outside = np.unique(np.concatenate([side.ravel() for side in sides]))
    inner: Mask = air & ~np.isin(labels, outside[outside > 0])
    return inner


def _airways(air: Mask, spacing: tuple[float, float, float]) -> Mask:
    """Trachea and main bronchi, followed downwards slice by slice while they stay narrow."""
    found = np.zeros_like(air)
    area = spacing[1] * spacing[2]
    followed: Mask | None = None
    for k in range(air.shape[0] - 1, -1, -1):
        labels, count = ndimage.label(air[k])
        if not count:
            followed = None if followed is None or not followed.any() else followed
            continue
        sizes = np.bincount(labels.ravel(), minlength=count + 1) * area
        narrow = [n for n in range(1, count + 1) if AIRWAY_MM2[0] <= sizes[n] <= AIRWAY_MM2[1]]
        if followed is None:
            narrow = [n for n in narrow if _is_middle(labels == n, air[k])][:1]
        else:
            narrow = [n for n in narrow if (followed & (labels == n)).any()]
        if narrow:
            found[k] = followed = np.isin(labels, narrow)
        elif followed is not None:
            break
    return found


def _is_middle(part: Mask, plane: Mask) -> bool:
    """Whether a part of a slice lies in the middle, is compact, and so can be the trachea."""
    rows, columns = np.nonzero(part)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    middle = abs(float(columns.mean()) - plane.shape[1] / 2) < 0.14 * plane.shape[1]
    return bool(middle and max(height, width) <= 2.2 * min(height, width) and part.sum() > 0.5 * height * width)


def _pair(air: Mask, spacing: tuple[float, float, float]) -> tuple[Mask, Mask] | None:
    """The two largest parts; a single one is divided by erosion."""
    least = LEAST_LUNG_ML * 1000 / float(np.prod(spacing))
    depth: npt.NDArray[np.float64] | None = None
    for wider in (0.0, 2.6, 4.0, 6.0, 8.0, 11.0):
        if wider and depth is None:
            depth = ndimage.distance_transform_edt(air, sampling=spacing)
        core = air if depth is None else depth > wider
        labels, count = ndimage.label(core)
        sizes = np.bincount(labels.ravel(), minlength=count + 1)
        sizes[0] = 0
        first, second = (int(n) for n in np.argsort(sizes)[::-1][:2]) if count >= 2 else (1, 0)
        if count >= 2 and sizes[second] >= max(0.5 * least, 0.12 * sizes[first]):
            return _grown(air, labels, first, second)
    return None


def _grown(air: Mask, labels: npt.NDArray[np.int32], first: int, second: int) -> tuple[Mask, Mask]:
    """Give every voxel of air to the nearer of two parts, if it is connected with them."""
    seeds = np.where(labels == first, 1, np.where(labels == second, 2, 0))
    parts, _ = ndimage.label(air)
    connected = np.isin(parts, np.unique(parts[seeds > 0]))
    if (connected == (seeds > 0)).all():  # nothing was eroded
        return seeds == 1, seeds == 2
    box = bounding_box(connected, 0)
    index = ndimage.distance_transform_edt(seeds[box] == 0, return_distances=False, return_indices=True)
    nearest = np.zeros_like(seeds)
    nearest[box] = seeds[box][tuple(index)]
    return (nearest == 1) & connected, (nearest == 2) & connected


def bounding_box(mask: Mask, margin: int) -> tuple[slice, slice, slice]:
    """Bounding box of a mask, wider by some voxels on each side as far as the array reaches."""
    parts = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        used = np.flatnonzero(mask.any(others))
        first, last = (int(used[0]), int(used[-1])) if used.size else (0, -1)
        parts.append(slice(max(first - margin, 0), max(last + 1 + margin, 0)))
    return parts[0], parts[1], parts[2]


def _check(coarse: FloatArray, first: Mask, second: Mask, spacing: tuple[float, float, float]) -> None:
    """Decline parts that are no lungs by size, by density, or because they do not lie side by side."""
    ml = [float(mask.sum()) * float(np.prod(spacing)) / 1000 for mask in (first, second)]
    medians = [float(np.median(coarse[mask])) for mask in (first, second)]
    tall = [np.flatnonzero(mask.any((1, 2))) for mask in (first, second)]
    overlap = min(tall[0][-1], tall[1][-1]) - max(tall[0][0], tall[1][0]) + 1
    beside = abs(float(np.argwhere(first)[:, 2].mean() - np.argwhere(second)[:, 2].mean())) * spacing[2]
    good = (
        min(ml) >= LEAST_LUNG_ML
        and sum(ml) <= MOST_LUNGS_ML
        and all(LUNG_MEDIAN_HU[0] <= median <= LUNG_MEDIAN_HU[1] for median in medians)
        and overlap >= 0.5 * min(tall[0].size, tall[1].size)
        and beside >= 60
    )
    if not good:
        raise InputDeclined(NOT_FOUND)


def _closed(mask: Mask, spacing: tuple[float, float, float]) -> Mask:
    """Close with a ball of :data:`CLOSING_MM` and fill holes; the ends of the image count as lung's neighbours."""
    pad = [(int(np.ceil(CLOSING_MM / step)) + 1,) * 2 for step in spacing]
    box = bounding_box(mask, 0)
    padded = np.pad(mask[box], pad)
    grown = ndimage.distance_transform_edt(~padded, sampling=spacing) <= CLOSING_MM
    shrunk = ndimage.distance_transform_edt(grown, sampling=spacing) > CLOSING_MM
    inside = tuple(slice(before, -after) for before, after in pad)
    closed = np.zeros_like(mask)
    closed[box] = ndimage.binary_fill_holes((shrunk | padded)[inside])
    return closed


def _fine(mask: Mask, shape: tuple[int, ...]) -> Mask:
    """Bring a coarse mask to the working grid."""
    a, b, c = shape
    padded = np.repeat(np.repeat(np.repeat(mask, COARSE, 0), COARSE, 1), COARSE, 2)[:a, :b, :c]
    soft = ndimage.uniform_filter(padded.astype(np.float32), COARSE + 1)
    return np.asarray(soft > 0.5)
