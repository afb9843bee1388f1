"""Lung lesions made up and inserted into a CT volume, with their true size. No torch; lengths in mm, LPS.

A lesion is a star-shaped body: its radius in each direction is a random field around the nominal one, stretched along
the axes, with thin spicules where wanted. It is sampled finer than the voxels, so that each voxel gets the share that
it fills (partial volume), blurred as the scanner blurs, and mixed into what is there: the noise of the image is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from models.contracts import LabelArray
from models.imaging.lung.diameters import diameters_of

Array = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float32]
Affine = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Index = npt.NDArray[np.int64]

#: Samples across a lesion, and the bounds of their distance in mm.
SAMPLES = 34
FINEST_MM, COARSEST_MM = 0.2, 0.5

#: Places for lesions are drawn from a grid of about this step in mm.
PLACING_MM = 2.8

#: How far a spicule may reach beyond the surface, in nominal radii.
SPICULE_REACH = 0.9


class Kind(StrEnum):
    """Type by density."""

    SOLID = "solid"
    PART_SOLID = "part-solid"
    NON_SOLID = "non-solid"


@dataclass(frozen=True, slots=True)
class Lesion:
    """What is to be inserted.

    Parameters
    ----------
    centre
        ``(x, y, z)`` LPS.
    diameter
        Nominal, in mm.
    kind
        Type by density.
    hu, core_hu
        Of the body, and of the solid component of a part-solid one.
    core
        Radius of the solid component, as a share of the whole.
    spiculated
        Whether it has spicules.
    seed
        Of its shape.
    """

    centre: tuple[float, float, float]
    diameter: float
    kind: Kind = Kind.SOLID
    hu: float = 30.0
    core_hu: float = 30.0
    core: float = 0.5
    spiculated: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Inserted:
    """A lesion with its truth: sizes of the sampled body without spicules, as far as it lies in the lung.

    Parameters
    ----------
    long_mm, short_mm
        Long axis in the axial plane with the largest area, and the axis at right angles to it (RECIST 1.1).
    volume_ml
        Of the whole body, without spicules.
    solid_mm
        Mean diameter of the solid component; 0 where there is none.
    """

    lesion: Lesion
    long_mm: float
    short_mm: float
    volume_ml: float
    solid_mm: float


def random_lesion(
    rng: np.random.Generator, centre: tuple[float, float, float], smallest: float = 3.5, largest: float = 30.0
) -> Lesion:
    """Draw a lesion; diameters are spread evenly over their logarithm."""
    diameter = float(np.exp(rng.uniform(np.log(smallest), np.log(largest))))
    kind = (Kind.SOLID, Kind.PART_SOLID, Kind.NON_SOLID)[int(rng.choice(3, p=[0.6, 0.2, 0.2]))]
    if kind is not Kind.SOLID:
        diameter = max(diameter, 6.0)
    return Lesion(
        centre=centre,
        diameter=diameter,
        kind=kind,
        hu=float(rng.uniform(-40, 80) if kind is Kind.SOLID else rng.uniform(-700, -500)),
        core_hu=float(rng.uniform(-40, 60)),
        core=float(rng.uniform(0.35, 0.7)),
        spiculated=bool(kind is not Kind.NON_SOLID and diameter >= 8 and rng.random() < 0.3),
        seed=int(rng.integers(2**31)),
    )


@dataclass(frozen=True, eq=False)
class _Body:
    """A lesion sampled on a part of the image, each voxel divided ``parts`` times: the body, its spicules, its core."""

    whole: Mask
    spicules: Mask
    core: Mask
    parts: tuple[int, int, int]
    steps: tuple[float, float, float]

    def share(self, mask: Mask) -> Array:
        """Share of each voxel that a mask fills."""
        (a, b, c), (z, y, x) = self.parts, mask.shape
        divided = mask.reshape(z // a, a, y // b, b, x // c, c)
        mean: Array = divided.mean((1, 3, 5), dtype=np.float32)
        return mean


def _reach(lesion: Lesion) -> float:
    """How far a lesion may reach from its centre, in mm."""
    return lesion.diameter / 2 * (1.5 + (SPICULE_REACH if lesion.spiculated else 0.0))


def _sample(lesion: Lesion, low: Index, high: Index, affine: Affine) -> _Body:
    """Sample the lesion on voxels from ``low`` up to ``high``."""
    spacing = np.diag(affine[:3, :3][::-1])
    step = float(np.clip(lesion.diameter / SAMPLES, FINEST_MM, COARSEST_MM))
    parts = np.maximum(np.ceil(spacing / step), 1).astype(int)
    axes = [
        affine[2 - i, 3] + spacing[i] * (low[i] + (np.arange((high[i] - low[i]) * parts[i]) + 0.5) / parts[i] - 0.5)
        for i in range(3)
    ]
    z, y, x = np.meshgrid(
        *((a - c).astype(np.float32) for a, c in zip(axes, lesion.centre[::-1], strict=True)),
        indexing="ij",
        sparse=True,
    )
    masks = _shape(lesion, x, y, z)
    a, b, c = (int(n) for n in parts)
    dz, dy, dx = (float(v) for v in spacing / parts)
    return _Body(*masks, (a, b, c), (dz, dy, dx))


def _shape(lesion: Lesion, x: Floats, y: Floats, z: Floats) -> tuple[Mask, Mask, Mask]:
    """Whether points lie in the body, in its spicules, in its core; open axes relative to the centre, in mm."""
    rng = np.random.default_rng(lesion.seed)
    radius = lesion.diameter / 2
    stretch = rng.uniform(0.85, 1.12, 3).astype(np.float32)
    distance = np.sqrt((x / stretch[0]) ** 2 + (y / stretch[1]) ** 2 + (z / stretch[2]) ** 2)
    unit = [axis / np.maximum(distance, 1e-6) for axis in (x, y, z)]
    limit = np.full(distance.shape, radius, np.float32)
    for _ in range(6):
        wave = (rng.normal(size=3) * 2.2).tolist()
        limit += radius * 0.06 * np.cos(sum(k * u for k, u in zip(wave, unit, strict=True)) + rng.uniform(0, 6.28))
    whole = distance < limit
    spicules = np.zeros_like(whole)
    if lesion.spiculated:
        spicules = (distance < limit + _spicules(rng, radius, unit)) & ~whole
    core = (distance < limit * lesion.core) if lesion.kind is Kind.PART_SOLID else np.zeros_like(whole)
    return whole, spicules, core


def _spicules(rng: np.random.Generator, radius: float, unit: list[Floats]) -> Floats:
    """How far spicules lengthen the radius in each direction; each is about a millimetre and a half wide."""
    longer = np.zeros(np.broadcast_shapes(*(part.shape for part in unit)), np.float32)
    for _ in range(int(rng.integers(8, 16))):
        way = rng.normal(size=3)
        way /= np.linalg.norm(way)
        cosine = sum(k * u for k, u in zip(way.tolist(), unit, strict=True))
        width = 0.8 / radius
        reach = float(radius * rng.uniform(0.35, SPICULE_REACH))
        np.maximum(longer, reach * np.exp((cosine - 1) / width**2), out=longer)
    return longer


def insert(
    array: Array,
    affine: Affine,
    lung: Array,
    lesion: Lesion,
    *,
    psf_mm: float = 0.5,
    slab_mm: float = 0.0,
    labels: LabelArray | None = None,
    label: int = 1,
) -> Inserted | None:
    """Insert a lesion into ``array`` in place.

    Parameters
    ----------
    array
        ``[slice, row, column]`` HU.
    affine
        Voxel index to LPS mm; its axes are those of the canonical orientation.
    lung
        Share of each voxel that is lung, 0 to 1: the lesion is drawn only there, so that the chest wall stays.
    psf_mm, slab_mm
        Spread (standard deviation) of the scanner's blur in the plane; thickness of a slice beyond the grid's own step.
    labels, label
        Where the voxels that are more than half lesion are marked, and with what.

    Returns
    -------
    Inserted or None
        None where less than a third of the lesion lies in the lung.

    Raises
    ------
    ValueError
        If the image is not axial in canonical orientation.
    """
    if not np.allclose(affine[:3, :3], np.diag(np.diag(affine[:3, :3][::-1]))[::-1]):
        raise ValueError("lesions are inserted into axial images in canonical orientation only")
    spacing = np.diag(affine[:3, :3][::-1])
    middle = np.linalg.inv(affine)[:3] @ [*lesion.centre, 1.0]
    low = np.maximum(np.floor(middle - _reach(lesion) / spacing).astype(int) - 2, 0)
    high = np.minimum(np.ceil(middle + _reach(lesion) / spacing).astype(int) + 3, array.shape)
    if (low >= high).any():
        return None
    place = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    body = _sample(lesion, low, high, affine)
    inside = _divided(lung[place], body.parts) > 0.5
    if not body.whole.any() or (body.whole & inside).sum() < body.whole.sum() / 3:
        return None
    blur = np.array([slab_mm / np.sqrt(12), psf_mm, psf_mm]) / spacing

    def share(mask: Mask) -> Array:
        filled: Array = ndimage.gaussian_filter(body.share(mask & inside), blur, mode="constant")
        return filled

    _mix(array[place], share(body.whole | body.spicules), lesion.hu, spacing)
    if lesion.kind is Kind.PART_SOLID:
        _mix(array[place], share(body.core), lesion.core_hu, spacing)
    if labels is not None:
        labels[place][body.share(body.whole & inside) > 0.5] = label
    return _truth(lesion, body, inside)


def _divided(array: Array, parts: tuple[int, int, int]) -> Array:
    """Values between voxel centres, linearly, at the points of :func:`_sample`."""
    at = [(np.arange(n * k) + 0.5) / k - 0.5 for n, k in zip(array.shape, parts, strict=True)]
    points = np.meshgrid(*at, indexing="ij")
    values: Array = ndimage.map_coordinates(array, points, order=1, mode="nearest")
    return values


def _mix(array: Array, share: Array, hu: float, spacing: npt.NDArray[np.float64]) -> None:
    """Bring the smoothed image to ``hu`` by the share; what is not smooth, the noise, stays."""
    smooth = ndimage.gaussian_filter(array, np.array([0.0, 1.5, 1.5]) * min(1.0, 1.0 / float(spacing[1:].min())))
    array += share * (np.float32(hu) - np.where(share > 0, smooth, 0))


def _truth(lesion: Lesion, body: _Body, inside: Mask) -> Inserted:
    long, short = _axes(body.whole & inside, body)
    core = body.core & inside
    return Inserted(
        lesion,
        long,
        short,
        float((body.whole & inside).sum()) * float(np.prod(body.steps)) / 1000,
        sum(_axes(core, body)) / 2 if core.any() else 0.0,
    )


def _axes(mask: Mask, body: _Body) -> tuple[float, float]:
    """Long and short axis in the axial plane with the largest area."""
    found = diameters_of(mask[int(mask.sum((1, 2)).argmax())], body.steps[1:])
    return found.long_mm, found.short_mm


def place(
    rng: np.random.Generator,
    lung: Array,
    affine: Affine,
    count: int,
    *,
    smallest: float = 3.5,
    largest: float = 30.0,
    taken: Sequence[Lesion] = (),
) -> list[Lesion]:
    """Draw lesions at random places of the lung, a third of them next to its surface, none touching another.

    Parameters
    ----------
    lung
        ``[slice, row, column]``, more than a half is lung.
    count
        How many are tried for; fewer where there is no room.
    taken
        Lesions that are there already.
    """
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    every = [max(1, int(PLACING_MM / step)) for step in spacing]
    thinned = lung[:: every[0], :: every[1], :: every[2]] > 0.5
    depth = ndimage.distance_transform_edt(thinned, sampling=spacing * every)
    found: list[Lesion] = []
    for _ in range(count):
        lesion = random_lesion(rng, (0.0, 0.0, 0.0), smallest, largest)
        radius = lesion.diameter / 2
        least, most = (0.15 * radius, radius) if rng.random() < 0.35 else (radius, np.inf)
        rooms = np.flatnonzero((depth > least) & (depth <= most))
        for _ in range(10 if rooms.size else 0):
            index = (
                np.array(np.unravel_index(int(rng.choice(rooms)), depth.shape)) + rng.uniform(-0.5, 0.5, 3)
            ) * every
            centre = (affine @ [*index, 1.0])[:3]
            others = [*taken, *found]
            gaps = [np.linalg.norm(centre - o.centre) - radius - o.diameter / 2 for o in others]
            if min(gaps, default=np.inf) > 8:
                x, y, z = (float(v) for v in centre)
                found.append(replace(lesion, centre=(x, y, z)))
                break
    return found
