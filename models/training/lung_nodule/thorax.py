"""A generated CT of the thorax, with lesions whose size is known: for training, tests and demonstrations. No torch.

It has a body with fat and muscle, ribs and spine, heart and aorta, two lungs with branching vessels, airways, fissures,
scars and flat thickenings of the pleura, the blur and the noise of a scanner. It is no anatomy of anybody, and simpler
than any: what it measures of a model has to be measured on real images too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from models.contracts import Geometry, LabelArray, Volume
from models.training.lung_nodule import anatomy, vessels
from models.training.lung_nodule.anatomy import Build, Field, Grid
from models.training.lung_nodule.lesions import Inserted, Lesion, insert, place

#: Thicker slices are drawn in parts of at most this, in mm, and averaged.
PART_MM = 1.3

AIR, FAT, MUSCLE, BLOOD, BONE = -1000.0, -95.0, 50.0, 42.0, 450.0


@dataclass(frozen=True, slots=True)
class Scanner:
    """How the images are blurred and how noisy they are.

    Parameters
    ----------
    psf_mm
        Standard deviation of the blur in the plane.
    noise_hu
        Standard deviation of the noise.
    sharpness
        0 to 1: how much a kernel takes out the noise's low frequencies.
    """

    psf_mm: float = 0.6
    noise_hu: float = 25.0
    sharpness: float = 0.3


def random_scanner(rng: np.random.Generator) -> Scanner:
    """Draw a kernel and a dose."""
    sharpness = float(rng.uniform(0, 0.9))
    return Scanner(0.9 - 0.5 * sharpness, float(rng.uniform(8, 30) * (1 + 1.5 * sharpness)), sharpness)


@dataclass(frozen=True, eq=False)
class Truth:
    """What was drawn.

    Parameters
    ----------
    nodules
        Lesions with their sizes.
    labels
        ``[slice, row, column]``: the number of the lesion, from 1, in voxels that are more than half lesion.
    lung
        ``[slice, row, column]``: share of each voxel that is lung (with its vessels and lesions).
    """

    nodules: tuple[Inserted, ...]
    labels: LabelArray
    lung: Field


def thorax(
    seed: int,
    shape: tuple[int, int, int] = (120, 256, 256),
    spacing: tuple[float, float, float] = (2.5, 1.4, 1.4),
    nodules: int | Sequence[Lesion] = 3,
    scanner: Scanner | None = None,
) -> tuple[Volume, Truth]:
    """Generate a CT of the thorax; the same for the same arguments.

    Parameters
    ----------
    seed
        Of the anatomy, the lesions and the noise.
    shape, spacing
        Of the volume ``[slice, row, column]`` (canonical orientation: to the head, to the posterior, to the left), in
        mm. 260 to 340 mm along each axis hold a thorax; the lungs' height follows from the slices.
    nodules
        How many are put at random places, or the lesions themselves.
    scanner
        None draws one.

    Returns
    -------
    Volume, Truth
        HU, float32; z = 0 is the base of the lungs, x = y = 0 the middle of the body.
    """
    rng = np.random.default_rng(seed)
    machine = scanner or random_scanner(rng)
    grid, parts, affine = _grid(shape, spacing)
    length = shape[0] * spacing[0]
    build = anatomy.random_build(rng, float(np.clip(length - rng.uniform(20, 45), 120, 290)))
    image, lung = _draw(rng, grid, build, width=max(1.0, 1.2 * spacing[1]))
    image, lung = _averaged(image, parts), _averaged(lung, parts)
    image = ndimage.gaussian_filter(image, (0, machine.psf_mm / spacing[1], machine.psf_mm / spacing[2]))
    wanted = place(rng, lung, affine, nodules) if isinstance(nodules, int) else list(nodules)
    labels = np.zeros(shape, np.uint8)
    inserted: list[Inserted] = []
    for lesion in wanted:
        found = insert(image, affine, lung, lesion, psf_mm=machine.psf_mm, labels=labels, label=len(inserted) + 1)
        if found is not None:
            inserted.append(found)
    image += noise(rng, shape, machine)
    volume = Volume(np.clip(image, -1024, 3071), Geometry(affine, shape), "CT", {"BodyPartExamined": "CHEST"})
    return volume, Truth(tuple(inserted), labels, lung)


def _grid(
    shape: tuple[int, int, int], spacing: tuple[float, float, float]
) -> tuple[Grid, int, npt.NDArray[np.float64]]:
    """Grid in which slices are divided into parts, how many parts, and the affine of the volume."""
    parts = max(1, int(np.ceil(spacing[0] / PART_MM)))
    below = -12.0
    first = (-(shape[2] - 1) / 2 * spacing[2], -(shape[1] - 1) / 2 * spacing[1], below)
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2] = spacing
    affine[:3, 3], affine[3, 3] = first, 1
    step = spacing[0] / parts
    z = below + (np.arange(shape[0] * parts) - (parts - 1) / 2) * step
    y, x = first[1] + np.arange(shape[1]) * spacing[1], first[0] + np.arange(shape[2]) * spacing[2]
    axes = (z[:, None, None], y[None, :, None], x[None, None, :])
    z32, y32, x32 = (axis.astype(np.float32) for axis in axes)
    return Grid(z32, y32, x32, (step, spacing[1], spacing[2])), parts, affine


def _averaged(array: Field, parts: int) -> Field:
    """Mean over the parts of each slice."""
    if parts == 1:
        return array
    mean: Field = array.reshape(-1, parts, *array.shape[1:]).mean(1, dtype=np.float32)
    return mean


def _draw(rng: np.random.Generator, grid: Grid, build: Build, width: float) -> tuple[Field, Field]:
    """Draw the anatomy: HU, and the share that is lung."""
    outer, inner = anatomy.body(grid, build)
    image = np.broadcast_to(AIR + anatomy.cover(outer, width) * np.float32(FAT - AIR), grid.shape).copy()
    image += anatomy.cover(inner, width) * (np.float32(MUSCLE) - image)
    wobble = anatomy.smooth_field(rng, grid, 70) * np.float32(2.0)
    level = anatomy.lungs(grid, build, wobble)
    bones = np.maximum(anatomy.ribs(grid, build), anatomy.ellipse(grid, (0, build.cage_y + 4), (17.0, 15.0)))
    image += anatomy.cover(np.minimum(bones, -level - 1), width) * (np.float32(BONE) - image)
    lung = anatomy.cover(level, width)
    image += lung * (_parenchyma(rng, grid, build) - image)
    image += _vessels(rng, grid, build, level, width) * lung * (np.float32(BLOOD) - image)
    _sheets(rng, grid, build, image, lung)
    _airways(rng, grid, build, image, width)
    return image, lung


def _parenchyma(rng: np.random.Generator, grid: Grid, build: Build) -> Field:
    """HU of lung: denser behind, where a lying patient's blood is, and uneven."""
    base, slope = rng.uniform(-890, -820), rng.uniform(10, 45)
    uneven = anatomy.smooth_field(rng, grid, 18) * np.float32(rng.uniform(6, 16))
    tissue: Field = np.float32(base) + np.float32(slope) * (grid.y / np.float32(build.cage_y)) + uneven
    return tissue


def _vessels(rng: np.random.Generator, grid: Grid, build: Build, level: Field, width: float) -> Field:
    step, first = np.array(grid.step), np.array([grid.z.flat[0], grid.y.flat[0], grid.x.flat[0]])
    last = np.array(grid.shape) - 1

    def allowed(point: vessels.Point) -> bool:
        k, r, c = (int(i) for i in np.clip(np.rint((point[::-1] - first) / step), 0, last))
        return bool(level[k, r, c] > 2.5) or float(np.abs(point[0])) < 45

    return vessels.draw(vessels.vessel_trees(rng, build, allowed), grid, width)


def _airways(rng: np.random.Generator, grid: Grid, build: Build, image: Field, width: float) -> None:
    tubes = vessels.airways(rng, build)
    wall = vessels.draw(tubes, grid, width, extra=1.0)
    image += np.maximum(wall - 0.2, 0) * np.where(image < -300, np.float32(0) - image, np.float32(0))
    image += vessels.draw(tubes, grid, width) * (np.float32(AIR + 10) - image)


def _sheets(rng: np.random.Generator, grid: Grid, build: Build, image: Field, lung: Field) -> None:
    """Fissures through each lung, and flat discs: scars, and thickenings of the pleura."""
    for side in (-1, 1):
        normal = (0.05 * side, float(rng.uniform(0.5, 0.8)), float(rng.uniform(0.5, 0.8)))
        offset = (grid.y - 10) * normal[1] + (grid.z - 0.45 * build.height) * normal[2] + grid.x * normal[0]
        thin = np.exp(-((offset / 0.9) ** 2)) * np.float32(0.3) * (grid.x * side > 0)
        image += thin * lung * (np.float32(0) - image)
    for _ in range(int(rng.integers(3, 9))):
        centre = (
            rng.uniform(-1, 1) * build.cage_x,
            rng.uniform(-1, 1) * build.cage_y,
            rng.uniform(0.1, 0.9) * build.height,
        )
        axes = np.array([rng.uniform(6, 16), rng.uniform(6, 16), rng.uniform(0.7, 1.4)])
        _disc(grid, image, lung, np.array(centre), rng.permutation(axes))


def _disc(grid: Grid, image: Field, lung: Field, centre: vessels.Point, axes: vessels.Point) -> None:
    box = grid.box(centre - axes - 2, centre + axes + 2)
    if box is None:
        return
    part = Grid(*grid.axes(box), grid.step)
    x, y, z = (float(v) for v in centre)
    level = anatomy.ellipsoid(part, (x, y, z), (float(axes[0]), float(axes[1]), float(axes[2])))
    image[box] += anatomy.cover(level, 1.2) * lung[box] * (np.float32(20) - image[box])


def noise(rng: np.random.Generator, shape: tuple[int, int, int], machine: Scanner) -> Field:
    """Noise with the texture of a kernel: a soft one smooths it, a sharp one takes out what is coarse."""
    white = rng.standard_normal(shape, dtype=np.float32)
    fine = ndimage.gaussian_filter(white, (0, 0.75, 0.75))
    textured = fine - np.float32(machine.sharpness) * ndimage.gaussian_filter(white, (0, 1.8, 1.8))
    scaled: Field = textured * np.float32(machine.noise_hu / max(float(textured.std()), 1e-6))
    return scaled
