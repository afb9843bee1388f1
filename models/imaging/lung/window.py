"""The surroundings of one candidate on a fine grid that holds the voxels of the image, for measuring."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from models import geometry
from models.contracts import FloatArray, Volume
from models.imaging.lung.grid import Working
from models.imaging.lung.segmentation import Mask

#: Each axis is divided so often that the step is at most this, in mm.
FINE_MM = 0.9

#: Smoothing before a threshold is set, in mm (standard deviation).
SMOOTHING_MM = 0.5


@dataclass(frozen=True, eq=False)
class Window:
    """A part of an image in canonical orientation, divided ``factors`` times along each axis.

    Parameters
    ----------
    values
        ``[z, y, x]`` HU, smoothed a little; every ``factors``-th value is at a voxel of the image.
    room
        Where lungs are.
    start
        Index, in the canonical image, of the first voxel.
    spacing
        Of the fine grid, in mm.
    seed
        Index of the candidate in the window.
    affine
        Fine index to LPS mm.
    """

    values: FloatArray
    room: Mask
    start: tuple[int, int, int]
    factors: tuple[int, int, int]
    spacing: tuple[float, float, float]
    seed: tuple[int, int, int]
    affine: npt.NDArray[np.float64]

    def ball(self, radius: float) -> Mask:
        """Voxels within ``radius`` mm of the seed."""
        axes = [
            ((np.arange(n) - at) * step) ** 2
            for n, at, step in zip(self.values.shape, self.seed, self.spacing, strict=True)
        ]
        total = axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None, :]
        return np.asarray(total <= radius**2)

    def on_voxels(self, mask: Mask) -> Mask:
        """Values of a mask at the voxels of the image."""
        a, b, c = self.factors
        return mask[::a, ::b, ::c]


def cut(volume: Volume, working: Working, lungs: Mask, place: npt.NDArray[np.float64], reach: float) -> Window:
    """Cut the window of ``reach`` mm around a place (LPS mm)."""
    orientation = geometry.canonical_orientation(volume.geometry.affine)
    affine = geometry.canonical_affine(volume.geometry.affine, volume.geometry.shape, orientation)
    image = geometry.to_canonical(volume.array, orientation)
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    at = np.linalg.inv(affine)[:3] @ [*place, 1.0]
    low = np.maximum(np.floor(at - reach / steps).astype(int), 0)
    high = np.minimum(np.ceil(at + reach / steps).astype(int) + 1, image.shape)
    part = image[tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))]
    factors = [max(1, int(np.ceil(step / FINE_MM))) for step in steps]
    values = np.clip(part, -1024, 1500).astype(np.float32)
    for axis, factor in enumerate(factors):
        values = _divided(values, axis, factor)
    fine = steps / factors
    values = ndimage.gaussian_filter(values, SMOOTHING_MM / fine, mode="nearest")
    moved = affine.copy()
    moved[:3, :3] = affine[:3, :3] / factors
    moved[:3, 3] = affine[:3, 3] + affine[:3, :3] @ low
    seed = np.clip(np.rint((at - low) * factors), 0, np.array(values.shape) - 1)
    return Window(
        values,
        _room(working, lungs, moved, values.shape),
        (int(low[0]), int(low[1]), int(low[2])),
        (factors[0], factors[1], factors[2]),
        (float(fine[0]), float(fine[1]), float(fine[2])),
        (int(seed[0]), int(seed[1]), int(seed[2])),
        moved,
    )


def _divided(array: FloatArray, axis: int, factor: int) -> FloatArray:
    """Put ``factor - 1`` values between neighbours along an axis, linearly."""
    count = array.shape[axis]
    if factor == 1 or count < 2:
        return array
    at = np.arange((count - 1) * factor + 1) / factor
    first = np.minimum(at.astype(int), count - 2)
    shape = [1, 1, 1]
    shape[axis] = at.size
    part = (at - first).astype(np.float32).reshape(shape)
    divided: FloatArray = np.take(array, first, axis) * (1 - part) + np.take(array, first + 1, axis) * part
    return divided


def _room(working: Working, lungs: Mask, affine: npt.NDArray[np.float64], shape: tuple[int, ...]) -> Mask:
    """Lungs at the points of the window; both grids have the same axes."""
    matrix = np.linalg.inv(working.affine) @ affine
    index = [
        np.clip(np.rint(matrix[axis, axis] * np.arange(count) + matrix[axis, 3]), 0, length - 1).astype(int)
        for axis, (count, length) in enumerate(zip(shape, lungs.shape, strict=True))
    ]
    return lungs[np.ix_(*index)]
