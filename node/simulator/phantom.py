"""A made-up T1-weighted MR crop around one hippocampus: shapes from formulae, no patient's image in it.

Arrays are ``[x, y, z]`` towards the patient's right, front and head (RAS), 1 mm. The proportions follow what is common
knowledge of the anatomy: a curved body, thick in front and below (head), thin behind and above (tail), grey, with white
matter under it, a slit of cerebrospinal fluid over and beside it, and folded cortex and cerebellum around.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from node.errors import InputError

Array = npt.NDArray[np.float64]

SHAPE = (35, 51, 35)
GREY, WHITE, FLUID, THALAMUS, VESSEL, CEREBELLUM, BONE = 0.74, 1.50, 0.22, 1.22, 0.12, 1.30, 0.30
"""Intensities relative to the crop's median, as T1 weighting orders them."""

# The long axis from tail to head: y, then x and z of the centre, then the half axes across (x) and up (z), in mm.
AXIS: Array = np.array(
    [
        (5.0, 11.5, 29.5, 3.0, 3.2),
        (9.0, 13.0, 26.0, 4.6, 3.8),
        (15.0, 14.5, 21.5, 5.6, 3.6),
        (21.0, 15.5, 17.5, 5.8, 3.3),
        (27.0, 16.0, 14.4, 6.2, 3.6),
        (33.0, 16.0, 12.0, 7.4, 4.6),
        (39.0, 15.8, 10.0, 7.8, 4.6),
        (43.0, 16.5, 8.6, 5.4, 3.0),
        (45.5, 17.0, 8.0, 2.2, 1.4),
    ]
)


@dataclass(frozen=True, eq=False)
class Phantom:
    """An image and what it shows.

    Parameters
    ----------
    image
        ``[x, y, z]`` uint16.
    hippocampus
        ``[x, y, z]``, True inside the body that was drawn.
    """

    image: npt.NDArray[np.uint16]
    hippocampus: npt.NDArray[np.bool_]


def make(seed: int, *, side: str = "right") -> Phantom:
    """Draw a crop; the same seed gives the same image.

    Parameters
    ----------
    seed
        Chooses size, position, folds and noise.
    side
        ``"right"`` or ``"left"``, which is its mirror image.
    """
    if side not in ("left", "right"):
        raise InputError("a side is left or right")
    rng = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*(np.arange(n, dtype=float) for n in SHAPE), indexing="ij")
    across, up, inside = _body(rng, x, y, z)
    tissue = _surroundings(rng, x, y, z)
    tissue = _cover(tissue, across, up, y)
    tissue[inside] = GREY
    image = _scan(rng, tissue, x, y, z)
    if side == "left":
        image, inside = image[::-1], inside[::-1]
    return Phantom(np.ascontiguousarray(image), np.ascontiguousarray(inside))


def _body(rng: np.random.Generator, x: Array, y: Array, z: Array) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
    """Return the distances from the long axis in units of the half axes, across and up, and what lies within one."""
    size = rng.uniform(0.98, 1.08)
    shift = rng.uniform(-1.0, 1.0, 3)
    along = (y - 25.0 - shift[1]) / size + 25.0
    cx, cz, rx, rz = (np.interp(along, AXIS[:, 0], AXIS[:, n]) for n in range(1, 5))
    across = (x - cx - shift[0]) / (rx * size)
    bent = 0.3 * (0.5 - np.clip(across, -1.2, 1.2) ** 2)  # a bean in cross-section, its hollow below
    up = (z - cz - shift[2]) / (rz * size) - bent
    within = (along >= AXIS[0, 0]) & (along <= AXIS[-1, 0])
    return across, up, within & (across**2 + up**2 < 1.0)


def _surroundings(rng: np.random.Generator, x: Array, y: Array, z: Array) -> Array:
    """Return white matter, folded cortex beneath, skull base, thalamus above and medial, cerebellum behind below."""
    tissue = np.full(SHAPE, WHITE)
    centre = np.interp(y, AXIS[:, 0], AXIS[:, 2])
    folds = _smooth(rng.standard_normal(SHAPE), 2.6)
    folds /= folds.std()
    arch = 0.012 * (x - 16.0) ** 2
    below = centre - z - arch
    tissue[(below > 7.5 + folds) & (below < 11.5 + 2.2 * folds)] = GREY
    tissue[below > 16.0 + 2.5 * folds] = BONE
    tissue[(below > 11.5) & (below < 13.5) & (folds > 1.2)] = FLUID + 0.2
    tissue[(z - centre > 9.0 + folds) & (x < 17 + 2 * folds)] = THALAMUS
    leaves = np.sin(1.5 * (z + 0.35 * y - arch) + 2.0 * folds) > 0.1
    behind = (y < 17) & (below > 9.5 + folds) & (x < 24 + 2 * folds)
    tissue[behind & leaves] = CEREBELLUM
    tissue[behind & ~leaves] = CEREBELLUM + 0.15
    lateral = x > 27.5 + 1.5 * folds
    tissue[lateral & (np.abs(folds) < 0.55)] = GREY
    tissue[(y > 45.5 + 1.5 * folds) & (z < 12)] = VESSEL + 0.15
    return tissue


def _cover(tissue: Array, across: Array, up: Array, y: Array) -> Array:
    """Lay fluid over and beside the body (temporal horn, choroid fissure), and the amygdala in front above it."""
    distance = np.sqrt(across**2 + up**2)
    over = (distance < 1.38) & (up > 0.05) & (across > -0.75) & (y > 6) & (y < 45)
    beside = (distance < 1.5) & (across > 0.75) & (up > -0.6) & (y > 8) & (y < 44)
    fissure = (distance < 1.6) & (across < -0.85) & (np.abs(up) < 0.6) & (y > 6) & (y < 44)
    covered = tissue.copy()
    covered[over | beside | fissure] = FLUID
    covered[(across**2 + (up - 2.5) ** 2 / 1.6 < 1.0) & (up >= 1.3) & (y > 33)] = GREY + 0.05
    return covered


def _scan(rng: np.random.Generator, tissue: Array, x: Array, y: Array, z: Array) -> npt.NDArray[np.uint16]:
    """Blur by the point spread, shade by the coil, add Rician noise (magnitude of complex noise), scale to integers."""
    blurred = _smooth(tissue, 0.6)
    tilt = rng.uniform(-0.12, 0.12, 3)
    shade = 1.0 + tilt[0] * (x / SHAPE[0] - 0.5) + tilt[1] * (y / SHAPE[1] - 0.5) + tilt[2] * (z / SHAPE[2] - 0.5)
    noise = 0.055 * rng.standard_normal((2, *SHAPE))
    magnitude = np.hypot(blurred * shade + noise[0], noise[1])
    scaled: npt.NDArray[np.uint16] = np.clip(magnitude * 400.0, 0, 4095).astype(np.uint16)
    return scaled


def _smooth(array: Array, sigma: float) -> Array:
    """Convolve with a Gaussian of ``sigma`` voxels, edges repeated."""
    reach = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    for axis in range(array.ndim):
        widths = [(reach, reach) if n == axis else (0, 0) for n in range(array.ndim)]
        padded = np.pad(array, widths, mode="edge")
        array = np.apply_along_axis(np.convolve, axis, padded, kernel, mode="valid")
    return array
