"""From intensities of any scale to what the networks were trained on; shared by training and inference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models import geometry
from models.contracts import FloatArray, Volume

#: Percentiles at which intensities are cut before scaling, so that vessels and artefacts do not set the scale.
CLIP_PERCENTILES = (0.5, 99.5)

#: A spacing this close to the target, relative to it, is used as it is: below what a resampled border would cost.
SPACING_TOLERANCE = 0.02


@dataclass(frozen=True, eq=False)
class CanonicalImage:
    """An image as the network sees it, and what is needed to go back.

    Parameters
    ----------
    array
        ``[to the head, to the posterior, to the left]`` float32, zero mean and unit deviation.
    orientation
        How the input was turned.
    native_shape
        Shape of the turned input before it was resampled.
    resampled
        Whether the grid was changed.
    """

    array: FloatArray
    orientation: geometry.Orientation
    native_shape: tuple[int, int, int]
    resampled: bool


def normalise(array: FloatArray) -> FloatArray:
    """Clip at :data:`CLIP_PERCENTILES`, then scale to zero mean and unit deviation over the whole array."""
    low, high = np.percentile(array, CLIP_PERCENTILES)
    clipped = np.clip(array.astype(np.float64), low, high)
    scaled = (clipped - clipped.mean()) / max(float(clipped.std()), 1e-12)
    result: FloatArray = scaled.astype(np.float32)
    return result


def shape_of(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> tuple[int, int, int]:
    """Last three lengths of an array."""
    slices, rows, columns = array.shape[-3:]
    return int(slices), int(rows), int(columns)


def prepare(volume: Volume, spacing_mm: float) -> CanonicalImage:
    """Turn, resample where the spacing differs from ``spacing_mm``, and normalise.

    Parameters
    ----------
    volume
        Any orientation; ``[slice, row, column]``.
    spacing_mm
        Isotropic spacing of the network's grid in mm.
    """
    orientation = geometry.canonical_orientation(volume.geometry.affine)
    turned = np.ascontiguousarray(geometry.to_canonical(volume.array, orientation), dtype=np.float32)
    native = shape_of(turned)
    spacing = tuple(volume.geometry.spacing[axis] for axis in orientation.axes)
    if all(abs(step - spacing_mm) <= SPACING_TOLERANCE * spacing_mm for step in spacing):
        return CanonicalImage(normalise(turned), orientation, native, resampled=False)
    target = geometry.resampled_shape(native, spacing, spacing_mm)
    return CanonicalImage(normalise(geometry.resample(turned, target)), orientation, native, resampled=target != native)
