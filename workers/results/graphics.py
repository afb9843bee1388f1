"""What a presentation state draws on a slice: outlines of a mask, and the regions of a finding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.contracts import Region, RegionKind
from workers.reading.volume.geometry import Layout
from workers.results.keys import slices_at
from workers.results.outlines import Points, outlines

Track = tuple[str, str]
"""Tracking Identifier and Tracking Unique Identifier."""

POINTS = frozenset({RegionKind.POINT, RegionKind.MULTIPOINT})

#: Corners of the polygon that is drawn for an ellipse: one in the patient is none in pixels that are not square.
CORNERS = 48


@dataclass(frozen=True, eq=False)
class Graphic:
    """One graphic: its Graphic Type (PS3.3 C.10.5.1.2), ``[point, 2]`` (column, row) in the unit PIXEL, and whose."""

    kind: str
    points: Points
    track: Track


def outlined(mask: npt.NDArray[np.bool_], track: Track) -> list[Graphic]:
    """Outlines of a mask ``[row, column]``."""
    return [Graphic("POLYLINE", points, track) for points in outlines(mask)]


def region_graphics(region: Region, layout: Layout, track: Track) -> Iterator[tuple[int, Graphic]]:
    """Graphics of a region on the slices that it lies in, with the slices' indices.

    What is not within half a slice of one slice, or reaches out of the image, has none: an ellipsoid, or a line across
    slices, cannot be drawn in a plane without saying something else.
    """
    points = _corners(region)
    parts = points[:, None] if region.kind in POINTS else points[None]
    for part in parts:
        slices = set(slices_at((part - layout.positions[0]) @ layout.normal, layout).tolist())
        if len(slices) != 1 or (index := slices.pop()) < 0:
            continue
        placed = _placed(part, index, layout)
        if (placed >= 0).all() and (placed <= (layout.shape[2], layout.shape[1])).all():
            yield index, Graphic("POINT" if region.kind in POINTS else "POLYLINE", placed, track)


def _corners(region: Region) -> Points:
    """Points of a shape as ``[point, 3]`` LPS millimetres; none of a shape that has no outline in a plane."""
    points = np.array(region.points, dtype=np.float64).reshape(-1, 3)
    needed = 4 if region.kind is RegionKind.ELLIPSE else 1 if region.kind in POINTS else 2
    if region.kind is RegionKind.ELLIPSOID or len(points) < needed or not np.isfinite(points).all():
        return np.empty((0, 3))
    if region.kind is not RegionKind.ELLIPSE:
        return points
    middle, (major, minor) = points[:4].mean(axis=0), (points[1:4:2] - points[0:4:2]) / 2
    angles = np.linspace(0, 2 * np.pi, CORNERS + 1)[:, None]
    return np.asarray(middle + np.cos(angles) * major + np.sin(angles) * minor)


def _placed(points: Points, index: int, layout: Layout) -> Points:
    """``[point, 2]`` (column, row) of points of a slice; the centre of the first pixel is (0.5, 0.5)."""
    down, right = layout.affine[:3, 1], layout.affine[:3, 2]
    apart = points - layout.positions[index]
    return np.stack([apart @ right / (right @ right), apart @ down / (down @ down)], axis=1) + 0.5
