"""What the network sees of a candidate: a near cube of 30 mm and a wide one of 60 mm around it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from models.contracts import FloatArray
from models.imaging.lung.candidates import Candidate
from models.imaging.lung.grid import Working
from models.imaging.lung.network import PATCH

#: Values are cut to these and brought to 0 to 1.
WINDOW_HU = (-1000.0, 400.0)

#: The wide cube takes every second voxel of a smoothed image.
WIDE = 2


def extract(working: Working, candidates: Sequence[Candidate], size: int = PATCH) -> npt.NDArray[np.float16]:
    """Cut cubes around candidates; beyond the image its border is repeated.

    Returns
    -------
    numpy.ndarray
        ``[n, 2, size, size, size]``: near and wide, 0 to 1.
    """
    low, high = WINDOW_HU
    near = np.clip((working.array - low) / (high - low), 0, 1).astype(np.float32)
    wide = ndimage.uniform_filter(near, WIDE, mode="nearest")[::WIDE, ::WIDE, ::WIDE]
    found = np.empty((len(candidates), 2, size, size, size), np.float16)
    for number, candidate in enumerate(candidates):
        found[number, 0] = _cube(near, candidate.index, size)
        z, y, x = candidate.index
        found[number, 1] = _cube(wide, (z // WIDE, y // WIDE, x // WIDE), size)
    return found


def describe(candidates: Sequence[Candidate]) -> FloatArray:
    """Scale and strength ``[n, 2]``, each about one in size."""
    rows = [(np.log2(item.scale / 3.0), np.tanh(item.strength / 150.0)) for item in candidates]
    return np.array(rows, dtype=np.float32).reshape(-1, 2)


def _cube(array: FloatArray, centre: tuple[int, int, int], size: int) -> FloatArray:
    axes = [
        np.clip(np.arange(at - size // 2, at - size // 2 + size), 0, length - 1)
        for at, length in zip(centre, array.shape, strict=True)
    ]
    cube: FloatArray = array[np.ix_(*axes)]
    return cube
