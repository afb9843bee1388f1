"""The grid on which lungs and nodules are looked for: canonical orientation, the same step along every axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from models import geometry
from models.contracts import FloatArray, Volume

#: Step of the grid in mm: a nodule of 4 mm has three voxels across.
STEP_MM = 1.25

#: Values beyond these say nothing of lungs, and would disturb filters.
LOWEST_HU, HIGHEST_HU = -1024.0, 600.0


@dataclass(frozen=True, eq=False)
class Working:
    """A volume on the working grid.

    Parameters
    ----------
    array
        ``[z, y, x]`` HU, canonical orientation.
    affine
        Index to LPS mm; its steps are :data:`STEP_MM` to the rounding of the number of voxels.
    """

    array: FloatArray
    affine: npt.NDArray[np.float64]

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Steps in mm."""
        a, b, c = (float(step) for step in np.linalg.norm(self.affine[:3, :3], axis=0))
        return a, b, c

    def to_patient(self, index: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """LPS mm of indices ``[..., 3]``."""
        at = np.asarray(index, dtype=np.float64)
        return np.asarray(at @ self.affine[:3, :3].T + self.affine[:3, 3])


def resampled(volume: Volume, step: float = STEP_MM) -> Working:
    """Bring a volume to the working grid.

    Finer images are averaged first (Gaussian with half the ratio of the steps), so that noise is lowered and nothing is
    skipped; coarser ones are interpolated linearly.
    """
    orientation = geometry.canonical_orientation(volume.geometry.affine)
    affine = geometry.canonical_affine(volume.geometry.affine, volume.geometry.shape, orientation)
    array = geometry.to_canonical(volume.array, orientation)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    a, b, c = array.shape
    shape = geometry.resampled_shape((a, b, c), tuple(float(s) for s in spacing), step)
    result = np.clip(array, LOWEST_HU, HIGHEST_HU).astype(np.float32, copy=False)
    for axis, count in enumerate(shape):
        ratio = result.shape[axis] / count
        if ratio > 1.2:
            result = ndimage.gaussian_filter1d(result, 0.5 * ratio, axis=axis, mode="nearest", truncate=2.5)
        target = [int(n) for n in result.shape]
        target[axis] = count
        result = geometry.resample(result, (target[0], target[1], target[2]))
    return Working(np.ascontiguousarray(result), _scaled(affine, (a, b, c), shape))


def _scaled(
    affine: npt.NDArray[np.float64], old: tuple[int, int, int], new: tuple[int, int, int]
) -> npt.NDArray[np.float64]:
    """Affine of a grid over the same extent with other numbers of voxels."""
    ratio = np.array(old) / np.array(new)
    scaled = affine.copy()
    scaled[:3, :3] = affine[:3, :3] * ratio
    scaled[:3, 3] = affine[:3, 3] + affine[:3, :3] @ ((ratio - 1) / 2)
    return scaled


def to_native(array: FloatArray, volume: Volume) -> FloatArray:
    """Bring an array of the working grid back to the grid of the volume, linearly."""
    orientation = geometry.canonical_orientation(volume.geometry.affine)
    shape = geometry.to_canonical(volume.array, orientation).shape
    back = geometry.resample(array, (int(shape[0]), int(shape[1]), int(shape[2])))
    return np.ascontiguousarray(geometry.from_canonical(back, orientation))
