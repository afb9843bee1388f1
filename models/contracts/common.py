"""Codes, sides, arrays and where a volume lies."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
LabelArray = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept (PS3.3 section 8): value, coding scheme designator, meaning."""

    value: str
    scheme: str
    meaning: str


class Side(StrEnum):
    """Side of the body."""

    LEFT = "left"
    RIGHT = "right"


@dataclass(frozen=True, eq=False)
class Geometry:
    """Where a volume lies in the patient.

    Parameters
    ----------
    affine
        4x4, voxel index ``(slice, row, column, 1)`` to LPS millimetres (PS3.3 equation C.7.6.2.1-1, columns
        reordered to the array's axes).
    shape
        ``(slices, rows, columns)``.
    """

    affine: npt.NDArray[np.float64]
    shape: tuple[int, int, int]

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxel centres along ``(slice, row, column)`` axes, in mm."""
        a, b, c = (float(np.linalg.norm(self.affine[:3, axis])) for axis in range(3))
        return a, b, c

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in ml (the determinant, so that a sheared grid is measured right)."""
        return abs(float(np.linalg.det(self.affine[:3, :3]))) / 1000.0
