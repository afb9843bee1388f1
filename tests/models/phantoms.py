"""Made-up volumes for tests of the image models."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models import geometry
from models.contracts import Geometry, Volume


def grid(
    shape: tuple[int, int, int], spacing: float = 1.0, origin: tuple[float, float, float] = (10, -40, -30)
) -> Geometry:
    """Canonical grid: slices to the head, rows to the posterior, columns to the left."""
    affine = np.zeros((4, 4))
    affine[2, 0] = affine[1, 1] = affine[0, 2] = spacing
    affine[:3, 3] = origin
    affine[3, 3] = 1
    return Geometry(affine, shape)


def blob(shape: tuple[int, int, int] = (36, 50, 34), spacing: float = 1.0, seed: int = 0) -> Volume:
    """Noise with a bright ellipsoid in the middle."""
    rng = np.random.default_rng(seed)
    array = rng.normal(100, 10, shape)
    axes = np.meshgrid(*(np.linspace(-1, 1, count) for count in shape), indexing="ij")
    array[sum((axis / 0.5) ** 2 for axis in axes) < 1] += 80
    return Volume(array.astype(np.float32), grid(shape, spacing), "MR")


def rearranged(volume: Volume, axes: tuple[int, int, int], flips: tuple[bool, bool, bool]) -> Volume:
    """The same patient volume stored with permuted and flipped axes."""
    orientation = geometry.Orientation(axes, flips)
    array = np.ascontiguousarray(geometry.to_canonical(volume.array, orientation))
    affine = geometry.canonical_affine(volume.geometry.affine, volume.geometry.shape, orientation)
    shape = (int(array.shape[0]), int(array.shape[1]), int(array.shape[2]))
    return Volume(array, Geometry(affine, shape), volume.modality, volume.attributes)


def same_arrangement(
    labels: npt.NDArray[np.uint8], axes: tuple[int, int, int], flips: tuple[bool, bool, bool]
) -> npt.NDArray[np.uint8]:
    """Bring labels of a rearranged volume back to the arrangement that it was made of."""
    return geometry.from_canonical(labels, geometry.Orientation(axes, flips))
