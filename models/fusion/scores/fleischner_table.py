"""Table 1 of the Fleischner Society's guideline of 2017, as data.

MacMahon H et al., Radiology 2017;284:228-243.
"""

from __future__ import annotations

import math
from enum import IntEnum

from models.fusion.scores.nodules import Density


class SizeClass(IntEnum):
    """Classes of table 1."""

    UNDER_6 = 0
    FROM_6_TO_8 = 1
    OVER_8 = 2


SIZE_NAMES = {SizeClass.UNDER_6: "< 6 mm", SizeClass.FROM_6_TO_8: "6-8 mm", SizeClass.OVER_8: "> 8 mm"}

_SOLID_NOTHING = "no routine follow-up"
_SOLID_OPTIONAL = "optional CT at 12 months"

#: Table 1, solid nodules: ``(multiple, size, high risk)`` to what is recommended.
SOLID = {
    (False, SizeClass.UNDER_6, False): _SOLID_NOTHING,
    (False, SizeClass.UNDER_6, True): _SOLID_OPTIONAL,
    (False, SizeClass.FROM_6_TO_8, False): "CT at 6-12 months, then consider CT at 18-24 months",
    (False, SizeClass.FROM_6_TO_8, True): "CT at 6-12 months, then CT at 18-24 months",
    (False, SizeClass.OVER_8, False): "consider CT at 3 months, PET/CT or tissue sampling",
    (False, SizeClass.OVER_8, True): "consider CT at 3 months, PET/CT or tissue sampling",
    (True, SizeClass.UNDER_6, False): _SOLID_NOTHING,
    (True, SizeClass.UNDER_6, True): _SOLID_OPTIONAL,
    (True, SizeClass.FROM_6_TO_8, False): "CT at 3-6 months, then consider CT at 18-24 months",
    (True, SizeClass.FROM_6_TO_8, True): "CT at 3-6 months, then CT at 18-24 months",
    (True, SizeClass.OVER_8, False): "CT at 3-6 months, then consider CT at 18-24 months",
    (True, SizeClass.OVER_8, True): "CT at 3-6 months, then CT at 18-24 months",
}

#: Table 1, subsolid nodules: ``(multiple, density, 6 mm or more)``; the risk does not matter.
SUBSOLID = {
    (False, Density.NON_SOLID, False): "no routine follow-up",
    (False, Density.NON_SOLID, True): "CT at 6-12 months to confirm persistence, then CT every 2 years until 5 years",
    (False, Density.PART_SOLID, False): "no routine follow-up",
    (False, Density.PART_SOLID, True): "CT at 3-6 months to confirm persistence; if unchanged and the solid component "
    "remains < 6 mm, CT every year for 5 years",
    (True, Density.NON_SOLID, False): "CT at 3-6 months; if stable, consider CT at 2 and 4 years",
    (True, Density.NON_SOLID, True): "CT at 3-6 months, then by the most suspicious nodule",
    (True, Density.PART_SOLID, False): "CT at 3-6 months; if stable, consider CT at 2 and 4 years",
    (True, Density.PART_SOLID, True): "CT at 3-6 months, then by the most suspicious nodule",
}


def size_class(mean_mm: float | None, volume_mm3: float | None) -> SizeClass | None:
    """Class by the diameter, rounded to the millimetre, else by the volume (100 and 250 cubic millimetres)."""
    if mean_mm is not None:
        rounded = math.floor(mean_mm + 0.5)
        return SizeClass(0 if rounded < 6 else 1 if rounded <= 8 else 2)
    if volume_mm3 is not None:
        return SizeClass(0 if volume_mm3 < 100 else 1 if volume_mm3 <= 250 else 2)
    return None


def recommendation(density: Density, size: SizeClass, *, multiple: bool, high_risk: bool) -> str:
    """What table 1 recommends."""
    if density is Density.SOLID:
        return SOLID[multiple, size, high_risk]
    return SUBSOLID[multiple, density, size >= SizeClass.FROM_6_TO_8]
