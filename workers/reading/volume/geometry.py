"""Where the slices of a series lie in the patient: from DICOM headers to planes, and from planes to a grid.

PS3.3 equation C.7.6.2.1-1 puts the centre of the pixel in column ``c`` and row ``r`` at::

    position + row_cosine * column_spacing * c + column_cosine * row_spacing * r

``position`` is Image Position (Patient), ``row_cosine`` and ``column_cosine`` are the first and last three values of
Image Orientation (Patient); Pixel Spacing names the distance between *rows* first (PS3.3 10.7.1.3). What is not regular
is measured here; whether it is read all the same is decided by :mod:`workers.reading.volume.gate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

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

#: Value 3 of Image Type and Frame Type of a localiser (PS3.3 C.8.2.1.1.1, C.8.16.1.3).
LOCALIZER = "LOCALIZER"

#: Functional group that holds Frame Type, by modality (PS3.3 C.8.15.3.1, C.8.13.5.1, C.8.22.5.1).
FRAME_TYPE_MACROS = MappingProxyType(
    {"CT": "CTImageFrameTypeSequence", "MR": "MRImageFrameTypeSequence", "PT": "PETFrameTypeSequence"}
)


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
    scout
        Whether the header calls it a localiser.
    """

    position: Vector
    row_cosine: Vector
    column_cosine: Vector
    spacing: tuple[float, float]
    size: tuple[int, int]
    scout: bool = False

    @property
    def normal(self) -> Vector:
        """Unit vector along which slices are ordered: row cosine x column cosine."""
        normal: Vector = np.cross(self.row_cosine, self.column_cosine)
        return normal


@dataclass(frozen=True, eq=False)
class Layout(Geometry):
    """Parallel planes in order along their normal, and how regular they are.

    As a :class:`~models.contracts.Geometry` it is the straight line of equal steps from the first to the last plane:
    exact where the planes are even and not shifted, whether they lean or not.

    Parameters
    ----------
    positions
        ``[slice, 3]``: where each plane's first voxel lies, LPS mm.
    normal
        Unit vector of the first plane.
    """

    positions: Vector
    normal: Vector

    @cached_property
    def heights(self) -> Vector:
        """Distance of each plane from the first, in mm along the normal."""
        heights: Vector = (self.positions - self.positions[0]) @ self.normal
        return heights

    @cached_property
    def offsets(self) -> Vector:
        """``[slice, 2]``: displacement of each plane against the first, in mm along the columns and along the rows."""
        along = self.affine[:3, 1:3] / np.linalg.norm(self.affine[:3, 1:3], axis=0)
        offsets: Vector = (self.positions - self.positions[0]) @ along
        return offsets

    @cached_property
    def gaps(self) -> Vector:
        """Distances between neighbouring planes, in mm along the normal."""
        return np.diff(self.heights)

    @property
    def step_mm(self) -> float:
        """Mean distance of neighbouring planes, in mm along the normal."""
        return float(self.heights[-1]) / (len(self.heights) - 1)

    @property
    def usual_gap_mm(self) -> float:
        """Distance that half of the gaps do not exceed: one that occurs."""
        return float(np.quantile(self.gaps, 0.5, method="lower"))

    @property
    def repeated(self) -> int:
        """How many planes lie at the height of another one."""
        return int((self.gaps < SAME_POSITION_MM).sum())

    @property
    def tilt_deg(self) -> float:
        """Angle between the normal and the line from the first to the last plane; 0 within the tolerance."""
        lean = float(np.linalg.norm(self.offsets[-1])) / float(self.heights[-1])
        return float(np.degrees(np.arctan(lean))) if lean > SHEAR_TOLERANCE else 0.0

    @property
    def even(self) -> bool:
        """Whether the distances along the normal are equal."""
        off = self.heights - np.arange(len(self.heights)) * self.step_mm
        return bool(np.abs(off).max() <= self._allowed)

    @property
    def missing(self) -> int:
        """How many slices are missing of a regular stack; 0 where the uneven steps have another cause."""
        if self.even:
            return 0
        parts = self.gaps / self.usual_gap_mm
        whole = np.rint(parts)
        fits = np.abs(parts - whole) * self.usual_gap_mm <= max(SPACING_TOLERANCE * self.usual_gap_mm, ROUNDING_MM)
        return int((whole - 1).sum()) if fits.all() and whole.min() >= 1 else 0

    @property
    def straight(self) -> bool:
        """Whether all planes lie on one line, perpendicular to them or not."""
        line = np.outer(self.heights / self.heights[-1], self.offsets[-1])
        return bool(np.linalg.norm(self.offsets - line, axis=1).max() <= self._allowed)

    @property
    def _allowed(self) -> float:
        return max(SPACING_TOLERANCE * self.step_mm, ROUNDING_MM)


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


def in_order(planes: Sequence[Plane]) -> tuple[int, ...]:
    """Indices of parallel planes in order along their normal, the same whatever order they are given in.

    Planes at one height stay in the order given.
    """
    positions = np.stack([plane.position for plane in planes])
    first = planes[int(np.argmin(positions @ planes[0].normal))]  # rounded cosines differ: all agree on this one's
    return tuple(int(index) for index in np.argsort(positions @ first.normal, kind="stable"))


def lay_out(planes: Sequence[Plane]) -> Layout:
    """Measure how parallel planes of one size, in order along their normal, lie to each other.

    Returns
    -------
    Layout
        The affine's columns are the slice step, the row step and the column step, in LPS mm.

    Raises
    ------
    GeometryRefused
        If there are too few.
    """
    if len(planes) < MIN_SLICES:
        raise GeometryRefused(f"a volume needs at least {MIN_SLICES} slices, there are {len(planes)}")
    first = planes[0]
    positions = np.stack([plane.position for plane in planes])
    affine = np.eye(4)
    affine[:3, 0] = (positions[-1] - positions[0]) / (len(planes) - 1)
    affine[:3, 1] = first.column_cosine * first.spacing[0]
    affine[:3, 2] = first.row_cosine * first.spacing[1]
    affine[:3, 3] = positions[0]
    return Layout(affine, (len(planes), *first.size), positions, first.normal)


def _plane(ds: Dataset, groups: Sequence[Dataset]) -> Plane:
    """Read a plane from the first of ``groups`` that has an attribute, at its root or in its functional group."""
    position = _numbers(groups, "PlanePositionSequence", "ImagePositionPatient", 3)
    cosines = _numbers(groups, "PlaneOrientationSequence", "ImageOrientationPatient", 6)
    spacing = _numbers(groups, "PixelMeasuresSequence", "PixelSpacing", 2)
    row, column = _unit_vectors(cosines.tobytes())
    if spacing.min() <= 0:
        raise GeometryRefused("Pixel Spacing is not positive")
    size = (int(ds.get("Rows") or 0), int(ds.get("Columns") or 0))
    pixel = (float(spacing[0]), float(spacing[1]))
    return Plane(position, row, column, pixel, size, _is_scout(ds, groups))


@lru_cache(maxsize=64)
def _unit_vectors(cosines: bytes) -> tuple[Vector, Vector]:
    """Direction of rows and of columns, of exactly unit length; given as the bytes of six numbers."""
    row, column = np.frombuffer(cosines, np.float64).reshape(2, 3)
    lengths = np.array([np.linalg.norm(row), np.linalg.norm(column)])
    if np.abs(lengths - 1).max() > ORIENTATION_TOLERANCE or abs(float(row @ column)) > ORIENTATION_TOLERANCE:
        raise GeometryRefused("Image Orientation (Patient) is not two unit vectors at a right angle")
    return _kept(row / lengths[0]), _kept(column / lengths[1])


def _is_scout(ds: Dataset, groups: Sequence[Dataset]) -> bool:
    raw: Any = ds.get_item("ImageType") if "ImageType" in ds else None
    if isinstance(raw, RawDataElement) and LOCALIZER.encode() not in (raw.value or b""):
        raw = None  # not parsed for nothing: this is asked of every slice
    kinds = [ds.ImageType if raw is not None else None]
    macro = FRAME_TYPE_MACROS.get(str(ds.get("Modality"))) if groups[0] is not ds else None
    if macro is not None:
        kinds += [group[macro][0].get("FrameType") for group in groups if group.get(macro)]
    return any(isinstance(kind, MultiValue) and LOCALIZER in kind[2:3] for kind in kinds)


def _numbers(groups: Sequence[Dataset], macro: str, keyword: str, count: int) -> Vector:
    """Find ``count`` finite numbers under ``keyword``."""
    if len(groups) == 1 and (quickly := _unconverted(groups[0], macro, keyword, count)) is not None:
        return quickly
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


def _unconverted(ds: Dataset, macro: str, keyword: str, count: int) -> Vector | None:
    """Read numbers of a single-frame image as they stand in the file; None for what is to be read in the ordinary way.

    pydicom's conversion makes objects that keep the text of each number, in a third of the time that all headers of a
    series take.
    """
    if macro in ds or keyword not in ds:
        return None
    element: Any = ds.get_item(keyword)
    if not isinstance(element, RawDataElement) or element.VR != "DS" or not isinstance(element.value, bytes):
        return None
    try:
        values = _decimals(element.value)
    except ValueError:
        return None
    return values if values.size == count and np.isfinite(values).all() else None


@lru_cache(maxsize=1024)
def _decimals(text: bytes) -> Vector:
    return _kept(np.array([float(part) for part in text.split(b"\\")], dtype=np.float64))


def _kept(values: Vector) -> Vector:
    """Mark an array that several planes share as one that nobody writes to."""
    values.flags.writeable = False
    return values
