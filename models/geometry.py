"""Pure LPS geometry of voxel grids: orientation, resampling, side of the body.

Conventions
-----------
Arrays are ``[slice, row, column]``; an affine maps ``(k, r, c, 1)`` to patient LPS millimetres (x to the left, y to
the posterior, z to the head; PS3.3 C.7.6.2.1.1).

The *canonical orientation*, shared by training and inference, has array axes that run
``[to the head (+z), to the posterior (+y), to the left (+x)]``: the orientation of an axial stack from the feet up,
whose Image Orientation (Patient) is 1, 0, 0, 0, 1, 0. A grid is brought there by permuting and flipping its axes only,
so that no value is interpolated and the way back is exact; an oblique grid stays oblique by what is left
(:func:`obliquity_deg`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Affine = npt.NDArray[np.float64]
_Scalar = TypeVar("_Scalar", bound=np.generic)

#: Patient axis (0 is x, 1 is y, 2 is z of LPS) along which each axis of a canonical array runs, always upwards.
CANONICAL_AXES = (2, 1, 0)

#: Largest cosine between two axes of a grid that still counts as a right angle: 0.5 degrees of tilt.
SHEAR_TOLERANCE = 0.0088


@dataclass(frozen=True, slots=True)
class Orientation:
    """How an array is turned into its canonical orientation: permute, then flip.

    Parameters
    ----------
    axes
        Canonical axis ``i`` is axis ``axes[i]`` of the original array.
    flips
        Whether canonical axis ``i`` runs against the original one.
    """

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    @property
    def flipped_axes(self) -> tuple[int, ...]:
        """Canonical axes to be reversed."""
        return tuple(axis for axis, flip in enumerate(self.flips) if flip)


def directions(affine: Affine) -> npt.NDArray[np.float64]:
    """Direction cosines of the array axes.

    Returns
    -------
    numpy.ndarray
        3x3; column ``i`` is the unit LPS vector along which array axis ``i`` runs.
    """
    columns = np.asarray(affine, dtype=np.float64)[:3, :3]
    unit: npt.NDArray[np.float64] = columns / np.linalg.norm(columns, axis=0)
    return unit


def canonical_orientation(affine: Affine) -> Orientation:
    """Permutation and flips that bring a grid closest to the canonical orientation.

    Of the six permutations the one with the largest sum of absolute direction cosines is taken; ties go to the first
    in lexical order, so that the answer is the same everywhere.
    """
    unit = directions(affine)

    def agreement(axes: tuple[int, ...]) -> float:
        return float(sum(abs(unit[patient, axis]) for patient, axis in zip(CANONICAL_AXES, axes, strict=True)))

    best = max(permutations(range(3)), key=lambda axes: round(agreement(axes), 9))
    flips = tuple(bool(unit[patient, axis] < 0) for patient, axis in zip(CANONICAL_AXES, best, strict=True))
    return Orientation((best[0], best[1], best[2]), (flips[0], flips[1], flips[2]))


def to_canonical(array: npt.NDArray[_Scalar], orientation: Orientation) -> npt.NDArray[_Scalar]:
    """Permute and flip ``array`` (three axes, in the order of the affine) into the canonical orientation; a view."""
    turned: npt.NDArray[_Scalar] = np.flip(np.transpose(array, orientation.axes), orientation.flipped_axes)
    return turned


def from_canonical(array: npt.NDArray[_Scalar], orientation: Orientation) -> npt.NDArray[_Scalar]:
    """Undo :func:`to_canonical` exactly; a view."""
    back: npt.NDArray[_Scalar] = np.transpose(
        np.flip(array, orientation.flipped_axes), tuple(int(axis) for axis in np.argsort(orientation.axes))
    )
    return back


def canonical_affine(affine: Affine, shape: tuple[int, int, int], orientation: Orientation) -> Affine:
    """Affine of the canonical array, so that every voxel keeps its place in the patient.

    Parameters
    ----------
    affine, shape
        Of the original array.
    orientation
        As :func:`canonical_orientation` gives it.
    """
    turned: Affine = np.array(affine, dtype=np.float64)
    turned[:3, :3] = affine[:3, list(orientation.axes)]
    for axis in orientation.flipped_axes:
        turned[:3, 3] += turned[:3, axis] * (shape[orientation.axes[axis]] - 1)
        turned[:3, axis] *= -1
    return turned


def obliquity_deg(affine: Affine) -> float:
    """Largest angle, in degrees, between an array axis and the patient axis that it stands for."""
    unit = directions(affine)
    orientation = canonical_orientation(affine)
    cosines = [abs(unit[patient, axis]) for patient, axis in zip(CANONICAL_AXES, orientation.axes, strict=True)]
    return float(np.degrees(np.arccos(min(1.0, *cosines))))


def is_sheared(affine: Affine) -> bool:
    """Whether two axes of the grid are not at right angles (gantry tilt); see :data:`SHEAR_TOLERANCE`."""
    unit = directions(affine)
    gram = np.abs(unit.T @ unit - np.eye(3))
    return bool(gram.max() > SHEAR_TOLERANCE)


def extent_mm(affine: Affine, shape: tuple[int, int, int]) -> tuple[float, float, float]:
    """Length of the grid along each array axis, from edge to edge of the outer voxels, in mm."""
    spacing = np.linalg.norm(np.asarray(affine)[:3, :3], axis=0)
    a, b, c = (float(length * count) for length, count in zip(spacing, shape, strict=True))
    return a, b, c


def resampled_shape(shape: tuple[int, int, int], spacing: tuple[float, ...], target: float) -> tuple[int, int, int]:
    """Number of voxels of ``target`` mm that cover the same extent, at least one per axis."""
    a, b, c = (max(1, round(count * step / target)) for count, step in zip(shape, spacing, strict=True))
    return a, b, c


def _linear_weights(count_in: int, count_out: int) -> npt.NDArray[np.float64]:
    """Matrix ``[out, in]`` of linear interpolation between two regular grids of the same edges."""
    centres = (np.arange(count_out) + 0.5) * count_in / count_out - 0.5
    centres = np.clip(centres, 0, count_in - 1)
    low = np.minimum(np.floor(centres).astype(int), max(count_in - 2, 0))
    high = np.minimum(low + 1, count_in - 1)
    part = centres - low
    weights = np.zeros((count_out, count_in))
    np.add.at(weights, (np.arange(count_out), low), 1 - part)
    np.add.at(weights, (np.arange(count_out), high), part)
    return weights


def resample(array: npt.NDArray[np.float32], shape: tuple[int, int, int]) -> npt.NDArray[np.float32]:
    """Resample the last three axes linearly to ``shape``, over the same extent (edges meet edges).

    Parameters
    ----------
    array
        ``[..., slice, row, column]``; leading axes, such as classes, are kept.
    shape
        New ``(slices, rows, columns)``.

    Notes
    -----
    The extent is kept, so the new spacing is ``old spacing * old count / new count``. Where an axis gets fewer
    samples, neighbours are not averaged first: meant for ratios near one.
    """
    result = array
    for axis, count in zip((-3, -2, -1), shape, strict=True):
        if result.shape[axis] != count:
            weights = _linear_weights(result.shape[axis], count).astype(np.float32)
            result = np.moveaxis(np.tensordot(weights, result, axes=(1, axis)), 0, axis)
    return result
