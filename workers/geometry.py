"""Where the slices of a series lie in the patient: from DICOM headers to a :class:`models.contracts.Geometry`.

PS3.3 equation C.7.6.2.1-1 puts the centre of the pixel in column ``c`` and row ``r`` at::

    position + row_cosine * column_spacing * c + column_cosine * row_spacing * r

``position`` is Image Position (Patient), ``row_cosine`` and ``column_cosine`` are the first and last three values of
Image Orientation (Patient); Pixel Spacing names the distance between *rows* first (PS3.3 10.7.1.3). Tilt, gaps and
uneven spacing are refused with the reason, never resampled away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from models.contracts import Geometry
from models.geometry import SHEAR_TOLERANCE
from workers.errors import GeometryRefused

Vector = npt.NDArray[np.float64]

#: Two slices are the least that have a distance; models ask for more.
MIN_SLICES = 2

#: Largest difference of a direction cosine between slices: over 250 mm it moves a voxel by a quarter of a millimetre.
ORIENTATION_TOLERANCE = 1e-3

#: Largest relative difference of Pixel Spacing between slices: what the rounding of decimal strings makes.
PIXEL_SPACING_TOLERANCE = 1e-4

#: Slices nearer to each other than this, in mm, are at the same place: several phases, echoes or copies.
SAME_POSITION_MM = 0.01

#: Part of the slice spacing by which a slice may be off the regular grid; a missing slice is off by half or more.
SPACING_TOLERANCE = 0.05

#: Positions are often written with one decimal, so this much, in mm, is never held against a slice.
ROUNDING_MM = 0.05


@dataclass(frozen=True, eq=False)
class Plane:
    """One image plane.

    Parameters
    ----------
    position
        LPS millimetres of the centre of the first voxel.
    row_cosine, column_cosine
        Unit vectors along a row (growing column index) and along a column (growing row index).
    spacing
        ``(between rows, between columns)`` in mm.
    size
        ``(rows, columns)``.
    """

    position: Vector
    row_cosine: Vector
    column_cosine: Vector
    spacing: tuple[float, float]
    size: tuple[int, int]

    @property
    def normal(self) -> Vector:
        """Unit vector along which slices are ordered: row cosine x column cosine."""
        normal: Vector = np.cross(self.row_cosine, self.column_cosine)
        return normal


@dataclass(frozen=True, eq=False)
class Stack:
    """Planes as one grid: ``order[k]`` is the index, in what was given, of the plane that is slice ``k``."""

    order: tuple[int, ...]
    geometry: Geometry


def planes_of(ds: Dataset) -> list[Plane]:
    """Read the planes of one instance: one, or one a frame where the frames have functional groups (PS3.3 C.7.6.16).

    Raises
    ------
    GeometryRefused
        If a plane does not say where it lies.
    """
    if "PerFrameFunctionalGroupsSequence" not in ds:
        if int(ds.get("NumberOfFrames") or 1) > 1:
            raise GeometryRefused("a multi-frame image without functional groups does not say where its frames lie")
        return [_plane(ds, [ds])]
    shared = list(ds.get("SharedFunctionalGroupsSequence") or [])
    frames = list(ds.PerFrameFunctionalGroupsSequence)
    if len(frames) != int(ds.get("NumberOfFrames") or 1):
        raise GeometryRefused("the number of frames is not that of the per-frame functional groups")
    return [_plane(ds, [frame, *shared]) for frame in frames]


def stack(planes: Sequence[Plane]) -> Stack:
    """Order planes along their normal and put them on one grid.

    Returns
    -------
    Stack
        The affine's columns are the slice step, the row step and the column step, in LPS mm.

    Raises
    ------
    GeometryRefused
        If the planes do not form one regular, rectangular grid.
    """
    if len(planes) < MIN_SLICES:
        raise GeometryRefused(f"a volume needs at least {MIN_SLICES} slices, there are {len(planes)}")
    first = planes[0]
    _check_alike(planes)
    positions = np.stack([plane.position for plane in planes])
    heights = positions @ first.normal
    order = tuple(int(index) for index in np.argsort(heights, kind="stable"))
    ordered = positions[list(order)]
    _check_apart(heights[list(order)])
    step = (ordered[-1] - ordered[0]) / (len(planes) - 1)
    _check_regular(ordered, step, first.normal)
    affine = np.eye(4)
    affine[:3, 0] = step
    affine[:3, 1] = first.column_cosine * first.spacing[0]
    affine[:3, 2] = first.row_cosine * first.spacing[1]
    affine[:3, 3] = ordered[0]
    return Stack(order, Geometry(affine, (len(planes), *first.size)))


def _plane(ds: Dataset, groups: Sequence[Dataset]) -> Plane:
    """Read a plane from the first of ``groups`` that has an attribute, at its root or in its functional group."""
    position = _numbers(groups, "PlanePositionSequence", "ImagePositionPatient", 3)
    cosines = _numbers(groups, "PlaneOrientationSequence", "ImageOrientationPatient", 6)
    spacing = _numbers(groups, "PixelMeasuresSequence", "PixelSpacing", 2)
    row, column = cosines[:3], cosines[3:]
    lengths = np.array([np.linalg.norm(row), np.linalg.norm(column)])
    if np.abs(lengths - 1).max() > ORIENTATION_TOLERANCE or abs(float(row @ column)) > ORIENTATION_TOLERANCE:
        raise GeometryRefused("Image Orientation (Patient) is not two unit vectors at a right angle")
    if spacing.min() <= 0:
        raise GeometryRefused("Pixel Spacing is not positive")
    size = (int(ds.get("Rows") or 0), int(ds.get("Columns") or 0))
    return Plane(position, row / lengths[0], column / lengths[1], (float(spacing[0]), float(spacing[1])), size)


def _numbers(groups: Sequence[Dataset], macro: str, keyword: str, count: int) -> Vector:
    """Find ``count`` finite numbers under ``keyword``."""
    for group in groups:
        items = group.get(macro)
        holder = items[0] if items else group
        if holder.get(keyword) is None:
            continue
        try:
            values = np.array([float(value) for value in holder[keyword].value], dtype=np.float64)
        except (TypeError, ValueError) as exc:
            raise GeometryRefused(f"{keyword} holds something that is not a number") from exc
        if values.size != count or not np.isfinite(values).all():
            raise GeometryRefused(f"{keyword} does not have {count} finite values")
        return values
    raise GeometryRefused(f"{keyword} is missing")


def _check_alike(planes: Sequence[Plane]) -> None:
    """Refuse planes of several sizes, orientations or pixel spacings."""
    first = planes[0]
    if any(plane.size != first.size for plane in planes):
        raise GeometryRefused("the slices have different numbers of rows or columns")
    cosines = np.stack([np.concatenate([plane.row_cosine, plane.column_cosine]) for plane in planes])
    if np.abs(cosines - cosines[0]).max() > ORIENTATION_TOLERANCE:
        raise GeometryRefused("the slices have different orientations (a localiser, or several stacks)")
    if not np.allclose([plane.spacing for plane in planes], first.spacing, rtol=PIXEL_SPACING_TOLERANCE, atol=0):
        raise GeometryRefused("the slices have different pixel spacings")


def _check_apart(heights: Vector) -> None:
    """Refuse several slices at one place along the normal."""
    same = int((np.diff(heights) < SAME_POSITION_MM).sum())
    if same:
        raise GeometryRefused(
            f"{same} of {len(heights)} slices lie where another one lies (several phases, echoes or stacks, or copies)"
        )


def _check_regular(ordered: Vector, step: Vector, normal: Vector) -> None:
    """Refuse a stack that leans (gantry tilt, shear) or whose slices are not evenly spaced along its line."""
    along = float(step @ normal)
    lean = float(np.linalg.norm(step - along * normal)) / along
    if lean > SHEAR_TOLERANCE:
        degrees = float(np.degrees(np.arctan(lean)))
        raise GeometryRefused(f"the stack leans by {degrees:.1f} degrees against its slices (gantry tilt)")
    allowed = max(SPACING_TOLERANCE * along, ROUNDING_MM)
    off = ordered - (ordered[0] + np.arange(len(ordered))[:, None] * step)
    if np.abs(off @ normal).max() > allowed:
        gaps = np.diff(ordered @ normal)
        raise GeometryRefused(
            f"the slices are {gaps.min():.2f} to {gaps.max():.2f} mm apart, not evenly (uneven steps or missing slices)"
        )
    if np.linalg.norm(off - np.outer(off @ normal, normal), axis=1).max() > allowed:
        raise GeometryRefused("the slices are shifted sideways against each other")
