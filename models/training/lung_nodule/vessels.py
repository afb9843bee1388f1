"""Vessels and airways of a generated thorax: trees of straight, tapering tubes, grown at random. No torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.training.lung_nodule.anatomy import Build, Field, Grid

Point = npt.NDArray[np.float64]

#: Radius under which a branch is not drawn, in mm.
THINNEST_MM = 0.45

#: Most tubes of one tree.
MOST_TUBES = 700


@dataclass(frozen=True, eq=False)
class Tube:
    """A straight tube between two points ``(x, y, z)`` with a radius at each end, in mm."""

    start: Point
    end: Point
    radius: tuple[float, float]


def grow(
    rng: np.random.Generator,
    start: Point,
    direction: Point,
    radius: float,
    allowed: Callable[[Point], bool],
) -> list[Tube]:
    """Grow one tree: each tube divides in two, whose radii cubed add up to its own (Murray's law).

    Parameters
    ----------
    start, direction, radius
        Of the trunk; the direction is a unit vector.
    allowed
        Whether a point may be reached; a branch that leaves turns once and then ends.
    """
    tubes: list[Tube] = []
    queue = [(start, direction, radius)]
    while queue and len(tubes) < MOST_TUBES:
        at, along, wide = queue.pop(0)
        length = float(rng.uniform(2.0, 4.0) * wide + rng.uniform(5, 13))
        end = at + along * length
        if not allowed(end):
            along = _bent(rng, along, 0.9)
            end = at + along * length * 0.6
            if not allowed(end):
                continue
        share = float(rng.uniform(0.3, 0.7))
        narrow = wide * 0.95
        tubes.append(Tube(at, end, (wide, narrow)))
        for part in (share, 1 - share):
            child = narrow * part ** (1 / 3)
            if child >= THINNEST_MM:  # the larger child goes on, the smaller one turns away
                queue.append((end, _bent(rng, along, (1.1 - part) * float(rng.uniform(0.3, 0.9))), child))
    return tubes


def _bent(rng: np.random.Generator, along: Point, tangent: float) -> Point:
    """Turn a unit vector by an angle of the given tangent into a random direction."""
    (a, b, c), (x, y, z) = along.tolist(), rng.normal(size=3).tolist()
    side = (b * z - c * y, c * x - a * z, a * y - b * x)
    size = max(math.hypot(*side), 1e-9)
    turned = [way + tangent * part / size for way, part in zip((a, b, c), side, strict=True)]
    unit: Point = np.array(turned) / math.hypot(*turned)
    return unit


def vessel_trees(rng: np.random.Generator, build: Build, allowed: Callable[[Point], bool]) -> list[Tube]:
    """Arteries and veins of both lungs, from the hila outwards."""
    tubes: list[Tube] = []
    for side in (-1, 1):
        hilum = np.array([side * 38.0, 8.0, build.carina - 22])
        for _ in range(int(rng.integers(8, 13))):
            direction = np.array([side * rng.uniform(0.2, 1), rng.uniform(-0.8, 0.8), rng.uniform(-1, 1)])
            start = hilum + rng.uniform(-8, 8, 3)
            tubes += grow(rng, start, direction / np.linalg.norm(direction), float(rng.uniform(2.2, 4.5)), allowed)
        for _ in range(int(rng.integers(15, 35))):  # what the trunks do not reach
            low, high = (side * 35.0, -0.8 * build.cage_y, 20.0), (side * build.cage_x, build.cage_y, build.height)
            start = rng.uniform(np.minimum(low, high), np.maximum(low, high))
            outwards = start - hilum + rng.normal(size=3) * 15
            unit = outwards / np.linalg.norm(outwards)
            tubes += grow(rng, start, unit, float(rng.uniform(0.7, 2.0)), allowed) if allowed(start) else []
    return tubes


def airways(rng: np.random.Generator, build: Build) -> list[Tube]:
    """Trachea, main bronchi and the first divisions in each lung."""
    fork = np.array([0.0, 14.0, build.carina])
    tubes = [Tube(np.array([0.0, 8.0, build.height + 60]), fork, (8.5, 8.0))]
    for side, drop in ((-1, 24.0), (1, 18.0)):
        hilum = np.array([side * 40.0, 10.0, build.carina - drop])
        tubes.append(Tube(fork, hilum, (6.5, 5.0)))
        for _ in range(5):
            direction = np.array([side * rng.uniform(0.3, 1), rng.uniform(-0.7, 0.7), rng.uniform(-1, 1)])
            tubes += grow(rng, hilum, direction / np.linalg.norm(direction), 2.6, lambda _: True)[:14]
    return tubes


def draw(tubes: Iterable[Tube], grid: Grid, width: float, extra: float = 0.0) -> Field:
    """Share of each voxel that tubes fill.

    Parameters
    ----------
    width
        Blur of the edge in mm, as of :func:`~models.training.lung_nodule.anatomy.cover`.
    extra
        Added to every radius, such as the thickness of a wall.
    """
    share = np.zeros(grid.shape, np.float32)
    for tube in tubes:
        _draw_one(share, tube, grid, width, extra)
    return share


def _draw_one(share: Field, tube: Tube, grid: Grid, width: float, extra: float) -> None:
    widest = max(tube.radius) + extra + width
    box = grid.box(np.minimum(tube.start, tube.end) - widest, np.maximum(tube.start, tube.end) + widest)
    if box is None:
        return
    place, (z, y, x) = share[box], grid.axes(box)
    along = tube.end - tube.start
    squared = max(float(along @ along), 1e-9)
    offset = (x - tube.start[0]) * along[0] + (y - tube.start[1]) * along[1] + (z - tube.start[2]) * along[2]
    part = np.clip(offset / squared, 0, 1)
    distance = np.sqrt(
        (x - tube.start[0] - part * along[0]) ** 2
        + (y - tube.start[1] - part * along[1]) ** 2
        + (z - tube.start[2] - part * along[2]) ** 2
    )
    radius = tube.radius[0] + (tube.radius[1] - tube.radius[0]) * part + extra
    filled = np.clip((radius - distance) / width + 0.5, 0, 1) * np.minimum(1, 2 * radius / width)
    np.maximum(place, filled, out=place, casting="unsafe")
