"""Which side of the body a structure lies on, where the data tell it; a pure function with its reason.

Rule, first that applies:

1. The attribute ``Laterality`` or ``ImageLaterality`` (PS3.3 C.7.3.1 and others) says ``L`` or ``R``: that side.
2. A corner of the grid lies at the origin of the patient's coordinates, to :data:`SYNTHETIC_CORNER_MM` in x and y: the
   positions were made up when the image was cropped or converted, so they tell nothing.
3. The structure's centre lies between :data:`NEAREST_MM` and :data:`FARTHEST_MM` from the plane x = 0: the side of the
   sign of x, which grows to the left. The plane goes through the scanner's isocentre, which is only roughly the
   patient's midline; the nearest distance leaves room for that.
4. Otherwise it cannot be told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.contracts import Geometry, Side

#: A corner this close to (0, 0) was not measured by a scanner: a crop there would touch the isocentre by chance.
SYNTHETIC_CORNER_MM = 2.0

#: Nearer to x = 0 than this, a patient lying off centre may put the structure on the wrong side.
NEAREST_MM = 12.0

#: Farther from x = 0 than this, no structure of the head lies in a patient who is centred.
FARTHEST_MM = 60.0

_BY_ATTRIBUTE = {"L": Side.LEFT, "R": Side.RIGHT}


@dataclass(frozen=True, slots=True)
class SideVerdict:
    """A side, or None, and one sentence why."""

    side: Side | None
    reason: str


def _from_attributes(attributes: Mapping[str, str]) -> Side | None:
    values = {attributes.get(keyword, "").strip().upper() for keyword in ("Laterality", "ImageLaterality")}
    sides = {_BY_ATTRIBUTE[value] for value in values if value in _BY_ATTRIBUTE}
    return sides.pop() if len(sides) == 1 else None


def has_synthetic_position(grid: Geometry) -> bool:
    """Whether a corner of the grid lies at x = 0, y = 0 of the patient (centre of the corner voxel)."""
    last = np.array(grid.shape) - 1
    corners = np.array([[k, r, c, 1] for k in (0, last[0]) for r in (0, last[1]) for c in (0, last[2])])
    points = corners @ np.asarray(grid.affine).T
    return bool((np.abs(points[:, :2]).max(axis=1) <= SYNTHETIC_CORNER_MM).any())


def tell_side(attributes: Mapping[str, str], grid: Geometry, centre: tuple[float, float, float]) -> SideVerdict:
    """Tell the side of a structure of the head; see the rule of this module.

    Parameters
    ----------
    attributes
        Of the volume, by DICOM keyword.
    grid
        Geometry of the volume.
    centre
        Voxel index ``(slice, row, column)`` of the structure's centre.
    """
    side = _from_attributes(attributes)
    if side is not None:
        return SideVerdict(side, f"The image says that it shows the {side} side.")
    if has_synthetic_position(grid):
        return SideVerdict(
            None,
            "The side could not be told: the image positions start at the origin, so they were made up when the image "
            "was cropped or converted, and no attribute names the side.",
        )
    x = float((np.asarray(grid.affine) @ [*centre, 1.0])[0])
    if NEAREST_MM <= abs(x) <= FARTHEST_MM:
        side = Side.LEFT if x > 0 else Side.RIGHT
        return SideVerdict(side, f"The {side} side, by the position {abs(x):.0f} mm from the scanner's midline.")
    return SideVerdict(
        None,
        f"The side could not be told: the structure lies {abs(x):.0f} mm from the scanner's midline, where its "
        f"position says nothing (told between {NEAREST_MM:.0f} and {FARTHEST_MM:.0f} mm).",
    )
