"""Regions of findings as coordinates of a report: in pixels of the image that shows them, else in the patient.

A region that lies flat in a source image is written on that image (SCOORD, PS3.3 C.18.6), where every viewer draws it;
any other in the frame of reference (SCOORD3D, PS3.3 C.18.9). PS3.16 TID 1410 and TID 1411 take one or the other, never
both. Source images without a frame of reference have no regions yet; theirs would be on the image from the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from highdicom.sr import (
    ContentSequence,
    CoordinatesForMeasurement,
    CoordinatesForMeasurement3D,
    GraphicTypeValues,
    GraphicTypeValues3D,
    ImageRegion,
    ImageRegion3D,
    RelationshipTypeValues,
    Scoord3DContentItem,
    ScoordContentItem,
    SourceImageForRegion,
    SourceSeriesForSegmentation,
    VolumeSurface,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from models.contracts import Region, RegionKind
from workers.reading.pixels import frame_count
from workers.reading.volume.geometry import Layout
from workers.results.common import ResultInput
from workers.results.headers import grid

Points = npt.NDArray[np.float64]

#: How far, in mm, points may be off one plane and still be in it: less than any image resolves, so that nothing is
#: visibly flattened.
FLAT_MM = 0.1

#: Sine of the angle between two planes that count as parallel.
PARALLEL = 1e-3

#: Relative difference of row and column spacing under which an ellipse in the patient is one in pixels too.
SQUARE = 1e-4

#: Purpose of coordinates that are no region of interest of their template (CID 7551).
PURPOSE = codes.cid7551.SourceOfMeasurement

#: Kinds that can be drawn in an image, and what they are there (PS3.3 C.18.6.1.2): a polygon is a closed polyline.
ON_IMAGE = {
    RegionKind.POINT: GraphicTypeValues.POINT,
    RegionKind.MULTIPOINT: GraphicTypeValues.MULTIPOINT,
    RegionKind.POLYLINE: GraphicTypeValues.POLYLINE,
    RegionKind.POLYGON: GraphicTypeValues.POLYLINE,
    RegionKind.ELLIPSE: GraphicTypeValues.ELLIPSE,
}

#: Kinds whose points are one plane by definition (PS3.3 C.18.9.1.2).
OUTLINES = frozenset({RegionKind.POLYGON, RegionKind.ELLIPSE})

#: Kinds that TID 1410 takes as an image region, if they are flat.
PLANAR = OUTLINES | {RegionKind.POINT, RegionKind.POLYLINE}


@dataclass(frozen=True, eq=False)
class Space:
    """Where the source images lie.

    Parameters
    ----------
    layout
        The slices.
    frames
        Instance and frame number of each slice; the number is None where the instance has no frames.
    """

    layout: Layout
    frames: tuple[tuple[Dataset, int | None], ...]

    @classmethod
    def of(cls, inp: ResultInput) -> Space:
        """Read it from the source headers."""
        layout, order = grid(inp.sources)
        planes = [
            (ds, number + 1 if "PerFrameFunctionalGroupsSequence" in ds else None)
            for ds in inp.sources
            for number in range(frame_count(ds))
        ]
        return cls(layout, tuple(planes[plane] for plane in order))

    @property
    def frame_of_reference(self) -> str:
        """Frame of reference in which regions are given."""
        return str(self.frames[0][0].FrameOfReferenceUID)

    @property
    def series(self) -> SourceSeriesForSegmentation:
        """Series of the images."""
        return SourceSeriesForSegmentation(str(self.frames[0][0].SeriesInstanceUID))

    def image(self, index: int) -> SourceImageForRegion:
        """Refer to the image, or the frame, that shows slice ``index``."""
        ds, frame = self.frames[index]
        return SourceImageForRegion(ds.SOPClassUID, ds.SOPInstanceUID, None if frame is None else [frame])

    def slice_of(self, points: Points) -> tuple[int, Points] | None:
        """Find the slice that flat points lie in.

        Returns
        -------
        tuple of int and numpy.ndarray, or None
            Slice and ``[point, (column, row)]``, counted from the corner of its first pixel (PS3.3 C.18.6.1.1). None
            where the points are not parallel to the slices, farther from the nearest one than half the usual distance
            of two slices, or outside its borders.
        """
        layout = self.layout
        heights = (points - layout.positions[0]) @ layout.normal
        index = int(np.abs(layout.heights - heights.mean()).argmin())
        near = abs(layout.heights[index] - heights.mean()) <= layout.usual_gap_mm / 2
        if np.ptp(heights) > FLAT_MM or not near:
            return None
        steps = layout.affine[:3, [2, 1]]  # of a column and of a row
        pixels: Points = (points - layout.positions[index]) @ (steps / (steps**2).sum(axis=0)) + 0.5
        _, rows, columns = layout.shape
        return (index, pixels) if np.all((pixels >= 0) & (pixels <= (columns, rows))) else None


@dataclass(frozen=True, eq=False)
class Placed:
    """A region and, where it lies flat in a source image, its place there.

    Parameters
    ----------
    kind
        Its shape.
    points
        ``[point, (x, y, z)]`` LPS mm.
    space
        Where the images lie.
    slice
        Slice that it lies in, or None.
    pixels
        ``[point, (column, row)]``; the corner of the first pixel is ``(0, 0)``, its centre ``(0.5, 0.5)`` (PS3.3
        C.18.6.1.1). Empty where ``slice`` is None.
    """

    kind: RegionKind
    points: Points
    space: Space
    slice: int | None
    pixels: Points

    @property
    def is_planar(self) -> bool:
        """Whether TID 1410 can hold it."""
        return self.kind in PLANAR and (self.slice is not None or is_flat(self.points))

    def region(self) -> ImageRegion | ImageRegion3D:
        """Give the image region of TID 1410 (rows 5 to 7b)."""
        if self.slice is None:
            return ImageRegion3D(self._kind3d, self.points, self.space.frame_of_reference)
        return ImageRegion(ON_IMAGE[self.kind], self.pixels, self.space.image(self.slice))

    def of_measurement(self) -> CoordinatesForMeasurement | CoordinatesForMeasurement3D:
        """Give the coordinates that a measurement is inferred from (TID 320)."""
        if self.slice is None:
            return CoordinatesForMeasurement3D(
                self._kind3d, self.points, self.space.frame_of_reference, purpose=PURPOSE
            )
        return CoordinatesForMeasurement(
            ON_IMAGE[self.kind], self.pixels, self.space.image(self.slice), purpose=PURPOSE
        )

    def of_group(self) -> ScoordContentItem | Scoord3DContentItem:
        """Give the coordinates of a measurement group (TID 1501 rows 10c to 10e)."""
        contains = RelationshipTypeValues.CONTAINS
        if self.slice is None:
            return Scoord3DContentItem(
                PURPOSE, self._kind3d, self.points, self.space.frame_of_reference, relationship_type=contains
            )
        item = ScoordContentItem(PURPOSE, ON_IMAGE[self.kind], self.pixels, relationship_type=contains)
        item.ContentSequence = ContentSequence([self.space.image(self.slice)])
        return item

    @property
    def _kind3d(self) -> GraphicTypeValues3D:
        return GraphicTypeValues3D(self.kind.value)


def place(region: Region, space: Space) -> Placed:
    """Find where a region lies.

    It lies in a source image if it is flat and parallel to it, no farther away than half the distance to the next
    image, and within its borders (:meth:`Space.slice_of`); its shape on the image is then its shape in the patient.

    Raises
    ------
    ValueError
        If an outline is not flat: PS3.3 C.18.9.1.2 wants its points in one plane.
    """
    points = np.array(region.points, dtype=np.float64).reshape(-1, 3)
    if region.kind in OUTLINES:
        points = _flattened(points)
    index, pixels = _on_image(region.kind, points, space) or (None, np.empty((0, 2)))
    return Placed(region.kind, points, space, index, pixels)


def _on_image(kind: RegionKind, points: Points, space: Space) -> tuple[int, Points] | None:
    _, between_rows, between_columns = space.layout.spacing
    stretched = abs(between_rows - between_columns) > SQUARE * between_rows
    if kind not in ON_IMAGE or (kind is RegionKind.ELLIPSE and stretched):
        return None  # a stretched ellipse has no longer its axes at right angles
    return space.slice_of(points)


def volume(placed: Sequence[Placed]) -> dict[str, Any] | None:
    """Give what TID 1411 takes regions as, for highdicom's constructor; None where they bound no volume.

    An ellipsoid, or outlines in several parallel planes: on the images where all lie on images (rows 5 and 6), else as
    a volume surface (rows 10 and 12).
    """
    if len(placed) == 1 and placed[0].kind is RegionKind.ELLIPSOID:
        return {"referenced_volume_surface": _surface(placed)}
    kinds = {item.kind for item in placed}
    if len(kinds) != 1 or not kinds <= OUTLINES or not _is_stack([item.points for item in placed]):
        return None
    if all(item.slice is not None for item in placed):
        return {"referenced_regions": [item.region() for item in placed]}
    return {"referenced_volume_surface": _surface(placed)}


def _surface(placed: Sequence[Placed]) -> VolumeSurface:
    space = placed[0].space
    return VolumeSurface(
        GraphicTypeValues3D(placed[0].kind.value),
        [item.points for item in placed],
        space.frame_of_reference,
        source_series=space.series,
    )


def length(placed: Placed) -> float:
    """Length of a polyline in mm."""
    return float(np.linalg.norm(np.diff(placed.points, axis=0), axis=1).sum())


def is_flat(points: Points) -> bool:
    """Whether points lie in one plane."""
    return len(points) < 4 or bool(np.abs((points - points.mean(axis=0)) @ _normal(points)).max() <= FLAT_MM)


def _flattened(points: Points) -> Points:
    """Put points that are all but in one plane into it; highdicom allows no more than what rounding makes."""
    if len(points) < 4:
        return points
    if not is_flat(points):
        raise ValueError("the points of an outline are not in one plane")
    normal = _normal(points)
    off = (points - points.mean(axis=0)) @ normal
    flat: Points = points - np.outer(off, normal) if np.abs(off).max() > FLAT_MM / 1e4 else points.copy()
    if np.array_equal(points[0], points[-1]):
        flat[-1] = flat[0]
    return flat


def _is_stack(outlines: Sequence[Points]) -> bool:
    """Whether outlines lie in parallel planes, more than one."""
    normals = [_normal(points) for points in outlines]
    if any(np.linalg.norm(np.cross(normals[0], normal)) > PARALLEL for normal in normals[1:]):
        return False
    heights = [float(points.mean(axis=0) @ normals[0]) for points in outlines]
    return max(heights) - min(heights) > FLAT_MM


def _normal(points: Points) -> Points:
    """Unit vector at right angles to the plane that fits points best."""
    normal: Points = np.linalg.svd(points - points.mean(axis=0))[2][-1]
    return normal
