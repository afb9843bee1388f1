"""Regions of findings on a slice: points, lines and outlines, brought from patient coordinates to the picture."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from models.contracts import Finding, Prediction, Region, RegionKind
from workers.reading.volume.geometry import Layout
from workers.results.graphics import Graphic, region_graphics

Colour = tuple[int, int, int]

#: Colour of a finding that no segment draws.
UNSEGMENTED: Colour = (255, 225, 70)

#: Half the size of the cross at a point, and the width of lines, in pixels of the picture.
ARM, LINE = 9, 2

#: Corners of the polygon that stands for the ellipse in which a slice cuts an ellipsoid.
CORNERS = 72

#: Who is drawn does not matter in a picture.
NOBODY = ("", "")

#: Points farther outside the picture than this, in pixels, are pulled in: the drawing library counts in 32 bits.
FARTHEST = 1e5

Points = npt.NDArray[np.float64]


def colour_of(prediction: Prediction, finding: Finding) -> Colour:
    """Colour of a finding: its segment's, if one draws it."""
    return next((spec.rgb for spec in prediction.segments if spec.label == finding.segment), UNSEGMENTED)


def marked(finding: Finding, layout: Layout, index: int) -> bool:
    """Whether a finding has a region that is drawn on slice ``index``."""
    return any(True for region in finding.regions for _ in _graphics(region, layout, index))


def mark(picture: Image.Image, prediction: Prediction, layout: Layout, index: int) -> None:
    """Draw every region that lies on slice ``index`` into a picture of the whole slice."""
    pen = ImageDraw.Draw(picture)
    for finding in prediction.findings:
        colour = colour_of(prediction, finding)
        for region in finding.regions:
            for graphic in _graphics(region, layout, index):
                _draw(pen, graphic, _scaled(graphic.points, layout, picture.size), colour)


def _draw(pen: ImageDraw.ImageDraw, graphic: Graphic, points: list[tuple[float, float]], colour: Colour) -> None:
    if graphic.kind == "POLYLINE":
        pen.line(points, colour, LINE)
        return
    for x, y in points:
        pen.line((x - ARM, y, x + ARM, y), colour, LINE)
        pen.line((x, y - ARM, x, y + ARM), colour, LINE)


def _graphics(region: Region, layout: Layout, index: int) -> Iterator[Graphic]:
    """What a region is on one slice: as a presentation state has it, and the cut through an ellipsoid."""
    if region.kind is RegionKind.ELLIPSOID:
        yield from _cut(region, layout, index)
        return
    for place, graphic in region_graphics(region, layout, NOBODY):
        if place == index:
            yield graphic


def _cut(region: Region, layout: Layout, index: int) -> Iterator[Graphic]:
    """Ellipse in which a slice's plane cuts an ellipsoid.

    Its six points are the ends of its axes (PS3.3 C.18.9.1.2). In coordinates along the axes it is the unit sphere,
    which every plane cuts in a circle.
    """
    ends = np.array(region.points, dtype=np.float64).reshape(-1, 3)
    if len(ends) != 6 or not np.isfinite(ends).all():
        return
    middle, axes = ends.mean(axis=0), (ends[1::2] - ends[::2]) / 2
    normal = axes @ layout.normal  # of the plane, in the sphere's coordinates
    length = float(np.linalg.norm(normal))
    distance = float((layout.positions[index] - middle) @ layout.normal)
    if length == 0 or abs(distance) >= length:
        return
    nearest = distance / length * normal / length
    across = np.cross(normal, np.eye(3)[int(np.argmin(np.abs(normal)))])
    across /= np.linalg.norm(across)
    along = np.cross(normal / length, across)
    angles = np.linspace(0, 2 * np.pi, CORNERS + 1)[:, None]
    radius = np.sqrt(1 - (distance / length) ** 2)
    circle = nearest + radius * (np.cos(angles) * across + np.sin(angles) * along)
    yield Graphic("POLYLINE", _placed(middle + circle @ axes, index, layout), NOBODY)


def _placed(points: Points, index: int, layout: Layout) -> Points:
    """``[point, 2]`` (column, row) of points in a slice's plane; the centre of the first pixel is (0.5, 0.5)."""
    down, right = layout.affine[:3, 1], layout.affine[:3, 2]
    apart = points - layout.positions[index]
    return np.stack([apart @ right / (right @ right), apart @ down / (down @ down)], axis=1) + 0.5


def _scaled(points: Points, layout: Layout, size: tuple[int, int]) -> list[tuple[float, float]]:
    """Slice's pixels to those of a picture of the whole slice, whose drawing counts from the middle of the first."""
    _, rows, columns = layout.shape
    drawn = points * (size[0] / columns, size[1] / rows) - 0.5
    return [(float(x), float(y)) for x, y in np.clip(drawn, -FARTHEST, FARTHEST)]
