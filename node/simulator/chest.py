"""A made-up frontal radiograph of the chest: shapes from formulae, no patient's image in it.

What is drawn is how much of the beam each path loses: soft tissue of an oval trunk, less of it in the lungs, more where
heart, spine, diaphragm, ribs and clavicles lie; bone is bright. Proportions follow common knowledge of the anatomy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
SHAPE = (640, 560)
"""Rows and columns."""
RIBS = 9


@dataclass(frozen=True, eq=False)
class Chest:
    """An image and what it shows.

    Parameters
    ----------
    image
        ``[row, column]``, 0 (black) to 1 (white); the patient's left is on the right.
    opacity
        Centre ``(row, column)`` and radius of a consolidation in pixels, None where there is none.
    """

    image: Array
    opacity: tuple[float, float, float] | None = None


def draw(seed: int, *, opacity: bool = False, shape: tuple[int, int] = SHAPE) -> Chest:
    """Draw a chest; the same arguments give the same image.

    Parameters
    ----------
    seed
        Chooses size, position and noise.
    opacity
        Whether one lower lung is filled in part, as in pneumonia.
    """
    rng = np.random.default_rng(seed)
    rows, columns = shape
    y, x = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
    x = (x - rng.uniform(-0.03, 0.03)) / rng.uniform(0.95, 1.05)
    trunk = _oval(x, y + 0.1, 0.0, 0.25, 0.92, 1.35, 0.05)
    lungs = np.clip(_lung(x, y, -1) + _lung(x, y, 1), 0, 1)
    loss = 0.62 * trunk - 0.44 * lungs
    loss += 0.10 * _smooth_noise(rng, shape, 24) * lungs  # vessels
    heart = _oval(x, y, 0.13, 0.30, 0.34 * rng.uniform(0.92, 1.08), 0.36, 0.06)
    loss += 0.34 * heart * lungs + 0.05 * heart
    loss += _bones(x, y, trunk)
    place = _add_opacity(rng, loss, lungs, x, y) if opacity else None
    image = np.clip(loss + 0.012 * rng.standard_normal(shape), 0, 1)
    return Chest(image, place)


def _oval(x: Array, y: Array, cx: float, cy: float, rx: float, ry: float, edge: float) -> Array:
    """1 inside an ellipse, 0 outside, over a border of ``edge`` of its radius."""
    distance = np.sqrt(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2)
    inside: Array = 1 / (1 + np.exp(np.clip((distance - 1) / edge, -50, 50)))
    return inside


def _lung(x: Array, y: Array, side: int) -> Array:
    """One lung: an egg with its tip above, cut off below by the diaphragm; ``side`` is -1 on the left of the image."""
    across = np.abs(x - side * (0.40 + 0.04 * y))
    width = 0.30 * np.sqrt(np.clip(1 - ((y + 0.02) / 0.78) ** 2, 0, 1)) * (0.82 + 0.22 * (y + 0.8))
    within = (width > 0) / (1 + np.exp(np.clip((across - width) / 0.015, -50, 50)))
    dome = 0.52 - 0.06 * (side < 0) + 0.9 * (x - side * 0.36) ** 2
    above = 1 / (1 + np.exp(np.clip((y - dome) / 0.012, -50, 50)))
    lung: Array = within * above
    return lung


def _bones(x: Array, y: Array, trunk: Array) -> Array:
    spine = np.exp(-0.5 * (x / 0.085) ** 2) * (0.16 + 0.02 * np.sin(2 * np.pi * y / 0.13))
    ribs = np.zeros_like(x)
    for number in range(RIBS):
        top = -0.78 + 0.16 * number
        behind = top + 0.35 * np.clip(np.abs(x) - 0.1, 0, None) ** 1.4
        before = top + 0.52 - 0.42 * np.abs(x)
        cage = (np.abs(x) < 0.74 - 0.02 * abs(number - 4)) * trunk
        ribs += 0.09 * np.exp(-0.5 * ((y - behind) / 0.018) ** 2) * cage * (np.abs(x) > 0.07)
        ribs += 0.05 * np.exp(-0.5 * ((y - before) / 0.022) ** 2) * cage * (np.abs(x) > 0.3) * (y < 0.45)
    slant = -0.74 - 0.12 * (np.abs(x) - 0.1)
    clavicle = 0.12 * np.exp(-0.5 * ((y - slant) / 0.022) ** 2) * (np.abs(x) > 0.07) * (np.abs(x) < 0.62)
    return spine * trunk + ribs + clavicle * trunk


def _add_opacity(rng: np.random.Generator, loss: Array, lungs: Array, x: Array, y: Array) -> tuple[float, float, float]:
    """Fill a part of a lower lung, with a ragged border; give its centre and radius in pixels."""
    side, radius = rng.choice([-1, 1]), rng.uniform(0.16, 0.22)
    cx, cy = side * rng.uniform(0.36, 0.46), rng.uniform(0.16, 0.30)
    ragged = 0.35 * _smooth_noise(rng, loss.shape, 12)
    distance = np.hypot((x - cx), (y - cy) * loss.shape[0] / loss.shape[1]) / radius
    loss += 0.30 * lungs / (1 + np.exp(np.clip((distance - 1 + ragged) / 0.12, -50, 50)))
    column = int(np.argmin(np.abs(x[0] - cx)))
    row = int(np.argmin(np.abs(y[:, 0] - cy)))
    return float(row), float(column), radius * loss.shape[1] / 2


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, int], cells: int) -> Array:
    """Noise between about -1 and 1 that varies over ``1 / cells`` of the image."""
    coarse = rng.standard_normal((cells + 1, cells + 1))
    at = [np.linspace(0, cells, n) for n in shape]
    along = np.stack([np.interp(at[1], np.arange(cells + 1), row) for row in coarse])
    smooth: Array = np.stack([np.interp(at[0], np.arange(cells + 1), column) for column in along.T], axis=1)
    return smooth / 2
