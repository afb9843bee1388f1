"""The size thresholds of ACR Lung-RADS v2022, as data.

American College of Radiology, Lung-RADS v2022 (November 2022); Christensen J et al., J Am Coll Radiol 2024;21:473-488.
Sizes are mean diameters in mm. Each ladder is read from the top: the last row whose threshold is reached gives the
category.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from models.fusion.scores.nodules import Density

#: Categories from the least to the most suspicious.
ORDER = ("1", "2", "3", "4A", "4B", "4X")


class Change(StrEnum):
    """How a nodule compares with earlier examinations."""

    BASELINE = "baseline"
    NEW = "new"
    GROWING = "growing"  # mean diameter more than 1.5 mm larger within 12 months
    SLOWLY_GROWING = "slowly growing"  # more than 1.5 mm larger, over a longer time
    STABLE = "stable"  # or smaller


Ladder = Sequence[tuple[float, str]]

SOLID: dict[Change, Ladder] = {
    Change.BASELINE: ((0, "2"), (6, "3"), (8, "4A"), (15, "4B")),
    Change.NEW: ((0, "2"), (4, "3"), (6, "4A"), (8, "4B")),
    Change.GROWING: ((0, "4A"), (8, "4B")),
}

#: By the solid component, of part-solid nodules of 6 mm or more in all.
PART_SOLID_BASELINE: Ladder = ((0, "3"), (6, "4A"), (8, "4B"))

#: By the solid component where it, or the whole nodule, is new or growing.
PART_SOLID_CHANGED: Ladder = ((0, "4A"), (4, "4B"))

NON_SOLID: Ladder = ((0, "2"), (30, "3"))

MANAGEMENT = {
    "1": "continue screening with low-dose CT in 12 months",
    "2": "continue screening with low-dose CT in 12 months",
    "3": "low-dose CT in 6 months",
    "4A": "low-dose CT in 3 months; PET/CT may be considered where a solid nodule or component is >= 8 mm",
    "4B": "referral for further evaluation: diagnostic chest CT, PET/CT where a solid nodule or component is >= 8 mm, "
    "tissue sampling",
    "4X": "referral for further evaluation: diagnostic chest CT, PET/CT where a solid nodule or component is >= 8 mm, "
    "tissue sampling",
}

#: Probability of malignancy that the table gives for a category.
MALIGNANCY = {"1": "< 1 %", "2": "< 1 %", "3": "1-2 %", "4A": "5-15 %", "4B": "> 15 %", "4X": "> 15 %"}


def climb(ladder: Ladder, size_mm: float) -> str:
    """Category of the last row whose threshold ``size_mm`` reaches."""
    return [category for threshold, category in ladder if size_mm >= threshold][-1]


def category(density: Density, mean_mm: float, solid_mm: float, change: Change) -> str:
    """Category of a nodule by type, size and change; ``solid_mm`` matters for part-solid nodules only."""
    if density is Density.NON_SOLID:
        return "2" if change in {Change.STABLE, Change.SLOWLY_GROWING} else climb(NON_SOLID, mean_mm)
    if change is Change.SLOWLY_GROWING:
        return "4B"  # v2022, on growth: slowly growing solid and part-solid nodules may be classified as 4B
    if density is Density.SOLID:
        return climb(SOLID.get(change, SOLID[Change.BASELINE]), mean_mm)
    if mean_mm < 6 and change is not Change.GROWING:
        return "3" if change is Change.NEW else "2"
    changed = change in {Change.NEW, Change.GROWING}
    return climb(PART_SOLID_CHANGED if changed else PART_SOLID_BASELINE, solid_mm)
