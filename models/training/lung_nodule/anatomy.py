"""Shapes of a generated thorax: which part of each voxel is body, lung, bone or heart. No torch; lengths in mm, LPS.

A shape is a level function: positive inside, negative outside, roughly the distance from the surface in mm. Shapes are
cut by taking the smaller level and joined by taking the larger one; :func:`cover` makes shares of voxels of a level.
The forms and sizes are those of an adult by rule of thumb, varied at random; they are no anatomy of anybody.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True, slots=True)
class Build:
    """Lengths that make one thorax differ from another, in mm; z = 0 is the base of the lungs.

    Parameters
    ----------
    cage_x, cage_y
        Half axes of the inner chest wall.
    height
        From the base to the apex of the lungs.
    wall, fat
        Thickness of chest wall (with its fat) and of the fat alone.
    dome
        Height of the right and of the left dome of the diaphragm.
    heart
        Half axes of the heart.
    carina
        Height at which the trachea divides.
    """

    cage_x: float
    cage_y: float
    height: float
    wall: float
    fat: float
    dome: tuple[float, float]
    heart: tuple[float, float, float]
    carina: float


def random_build(rng: np.random.Generator, height: float) -> Build:
    """Draw the lengths of one thorax; ``height`` is that of its lungs in mm."""
    return Build(
        cage_x=float(rng.uniform(112, 138)),
        cage_y=float(rng.uniform(78, 98)),
        height=height,
        wall=float(rng.uniform(22, 34)),
        fat=float(rng.uniform(6, 16)),
        dome=(float(rng.uniform(35, 60)), float(rng.uniform(25, 50))),
        heart=(float(rng.uniform(44, 56)), float(rng.uniform(36, 46)), float(rng.uniform(48, 60))),
        carina=float(rng.uniform(0.58, 0.68)) * height,
    )


@dataclass(frozen=True, eq=False)
class Grid:
    """Open axes ``z [k, 1, 1]``, ``y [1, r, 1]``, ``x [1, 1, c]`` of voxel centres, and the step along each, in mm."""

    z: Field
    y: Field
    x: Field
    step: tuple[float, float, float]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along each axis."""
        return self.z.size, self.y.size, self.x.size

    def box(self, low: npt.NDArray[np.float64], high: npt.NDArray[np.float64]) -> Box | None:
        """Voxels between two corners ``(x, y, z)``, None where there are none."""
        parts = []
        for axis, step, least, most in zip((self.z, self.y, self.x), self.step, low[::-1], high[::-1], strict=True):
            first = int(np.ceil((least - float(axis.flat[0])) / step))
            last = int(np.floor((most - float(axis.flat[0])) / step)) + 1
            parts.append(slice(max(first, 0), min(max(last, 0), axis.size)))
        return None if any(part.start >= part.stop for part in parts) else (parts[0], parts[1], parts[2])

    def axes(self, box: Box) -> tuple[Field, Field, Field]:
        """Open axes of a part of the grid."""
        return self.z[box[0]], self.y[:, box[1]], self.x[:, :, box[2]]


def cover(level: Field, width: float) -> Field:
    """Share of a voxel that a shape fills, from its level: 0 to 1 over ``width`` mm around the surface."""
    share: Field = np.clip(level / np.float32(width) + np.float32(0.5), 0, 1)
    return share


def ellipse(grid: Grid, centre: tuple[float, float], axes: tuple[Field | float, Field | float]) -> Field:
    """Level of an upright elliptic cylinder; half axes ``(x, y)`` may change with z."""
    radius = np.sqrt(((grid.x - centre[0]) / axes[0]) ** 2 + ((grid.y - centre[1]) / axes[1]) ** 2)
    level: Field = ((1 - radius) * np.minimum(axes[0], axes[1])).astype(np.float32)
    return level


def ellipsoid(grid: Grid, centre: tuple[float, float, float], axes: tuple[float, float, float]) -> Field:
    """Level of an ellipsoid; centre and half axes are ``(x, y, z)``."""
    x, y, z = (
        ((axis - middle) / half) ** 2 for axis, middle, half in zip((grid.x, grid.y, grid.z), centre, axes, strict=True)
    )
    level: Field = ((1 - np.sqrt(x + y + z)) * min(axes)).astype(np.float32)
    return level


def body(grid: Grid, build: Build) -> tuple[Field, Field]:
    """Levels of the body and of what lies under its fat; the section narrows little towards the neck."""
    shrink = 1 - 0.25 * np.clip(grid.z / build.height - 0.75, 0, 1)
    outer = ellipse(grid, (0, 0), ((build.cage_x + build.wall) * shrink, (build.cage_y + build.wall) * shrink))
    return outer, outer - np.float32(build.fat)


def cage(grid: Grid, build: Build) -> Field:
    """Level of the inner chest wall: an elliptic cylinder that closes towards the apex."""
    rise = np.clip(grid.z / build.height, 0, 1)
    shrink = np.sqrt(np.clip(1 - rise**3.2, 1e-4, 1))
    top = build.height - grid.z
    level: Field = np.minimum(ellipse(grid, (0, 0), (build.cage_x * shrink, build.cage_y * shrink)), top)
    return level


def mediastinum(grid: Grid, build: Build) -> Field:
    """Level of heart, great vessels and spine, with a septum that is thin in front."""
    front = np.clip((grid.y + build.cage_y) / build.cage_y, 0, 1)
    septum = 3 + 21 * front - np.abs(grid.x)
    rx, ry, rz = build.heart
    heart = ellipsoid(grid, (22, -24, 0.28 * build.height), (rx, ry, rz))
    spine = ellipse(grid, (0, build.cage_y - 4), (22.0, 26.0))
    aorta = np.minimum(ellipse(grid, (20, build.cage_y - 38), (12.0, 12.0)), build.carina + 12 - grid.z)
    arch = ellipsoid(grid, (14, 10, build.carina + 12), (20, 30, 13))
    hila = np.maximum(*(ellipsoid(grid, (side * 32, 8, build.carina - 22), (14, 16, 20)) for side in (-1, 1)))
    joined: Field = np.maximum.reduce([np.broadcast_to(part, grid.shape) for part in (septum, heart, spine, aorta)])
    return np.maximum(joined, np.maximum(arch, hila)).astype(np.float32)


def diaphragm(grid: Grid, build: Build) -> Field:
    """Level of what lies above the domes of the diaphragm."""
    right, left = (
        height * (1 - ((grid.x - side * 68) / 78) ** 2 - (grid.y / (build.cage_y * 1.25)) ** 2)
        for side, height in zip((-1, 1), build.dome, strict=True)
    )
    level: Field = ((grid.z - np.where(grid.x < 0, right, left)) * 0.8).astype(np.float32)
    return level


def lungs(grid: Grid, build: Build, wobble: Field) -> Field:
    """Level of both lungs; ``wobble`` (mm) moves their surface so that no two thoraces have the same."""
    inside = np.minimum(cage(grid, build), diaphragm(grid, build))
    level: Field = np.minimum(inside, -mediastinum(grid, build)) + wobble
    return level


def ribs(grid: Grid, build: Build) -> Field:
    """Level of the ribs: bands in the chest wall that fall towards the front, twelve to the height of a thorax."""
    shrink = np.sqrt(np.clip(1 - np.clip(grid.z / build.height, 0, 1) ** 3.2, 0.05, 1))
    depth = np.abs(ellipse(grid, (0, 0), ((build.cage_x + 8) * shrink, (build.cage_y + 8) * shrink)))
    pitch = build.height / 11
    fall = 0.30 * (build.cage_y - grid.y)
    phase = np.abs((grid.z + fall) % pitch - pitch / 2)
    level: Field = np.minimum(4.5 - depth, 5.0 - phase).astype(np.float32)
    return level


def smooth_field(rng: np.random.Generator, grid: Grid, scale: float) -> Field:
    """Random field of unit spread that changes over about ``scale`` mm, by waves of random direction."""
    total = np.zeros(grid.shape, np.float32)
    for _ in range(WAVES):
        direction = rng.normal(size=3)
        direction *= 2 * np.pi / (scale * rng.uniform(0.7, 1.6)) / np.linalg.norm(direction)
        parts = [
            np.exp(1j * k * axis).astype(np.complex64)
            for k, axis in zip(direction, (grid.z, grid.y, grid.x), strict=True)
        ]
        plane = (parts[1] * parts[2]) * np.complex64(np.exp(1j * rng.uniform(0, 2 * np.pi)))
        total += parts[0].real * plane.real - parts[0].imag * plane.imag
    return total * np.float32(np.sqrt(2 / WAVES))


#: Waves of a random field: enough that it does not look like one, few enough to be quick.
WAVES = 5
