"""Volumes of segmented parts with an interval, from class probabilities."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.contracts import Code, LabelArray, Measurement

#: PS3.16 CID 7469 and others name the property; UCUM the unit.
VOLUME = Code("118565006", "SCT", "Volume")
MILLILITRE = Code("mL", "UCUM", "milliliter")

#: Confidence that intervals are calibrated for.
CONFIDENCE = 0.95

#: The half width never falls below this, so that a volume without a doubtful voxel does not claim to be exact.
LEAST_HALF_WIDTH_ML = 0.01


@dataclass(frozen=True, slots=True)
class PartVolume:
    """Volume of one part.

    Parameters
    ----------
    value_ml
        Volume of the voxels that carry the part's label, so that it agrees with the drawn segment.
    doubt_ml
        Expected volume of voxels whose membership is a toss: the sum of ``p (1 - p)`` over all voxels.
    certainty
        Mean probability of the part over its own voxels; None where it has none.
    """

    value_ml: float
    doubt_ml: float
    certainty: float | None


def part_volume(
    probabilities: npt.NDArray[np.float32], labels: LabelArray, parts: tuple[int, ...], voxel_ml: float
) -> PartVolume:
    """Measure the union of some classes.

    Parameters
    ----------
    probabilities
        ``[class, slice, row, column]``.
    labels
        ``[slice, row, column]``, the same grid.
    parts
        Classes whose union is measured.
    voxel_ml
        Volume of one voxel in ml.
    """
    probability = probabilities[list(parts)].sum(axis=0, dtype=np.float64)
    mask = np.isin(labels, parts)
    count = int(mask.sum())
    doubt = float((probability * (1 - probability)).clip(min=0).sum()) * voxel_ml
    certainty = float(probability[mask].mean().clip(0, 1)) if count else None
    return PartVolume(count * voxel_ml, doubt, certainty)


def half_widths_ml(parts: Mapping[str, PartVolume], factors: Mapping[str, float]) -> dict[str, float]:
    """Half widths of the intervals, by part.

    A part with a factor of its own gets its doubtful volume times that factor, which is calibrated on cases that were
    not trained on. A part without one is the union of those that have one; the errors of these are taken as
    independent, so that their half widths add in squares.
    """
    own = {key: max(factor * parts[key].doubt_ml, LEAST_HALF_WIDTH_ML) for key, factor in factors.items()}
    union = math.hypot(*own.values())
    return {key: own.get(key, union) for key in parts}


def volume_measurement(part: PartVolume, half_width: float) -> Measurement:
    """Make the measurement of a part from its half width in ml; the interval is cut at zero."""
    return Measurement(
        name=VOLUME,
        value=part.value_ml,
        unit=MILLILITRE,
        lower=max(0.0, part.value_ml - half_width),
        upper=part.value_ml + half_width,
        confidence=CONFIDENCE,
        method="Voxel count; interval from class probabilities, scaled on validation cases (split conformal)",
    )


def outside_range(value_ml: float, limits: object) -> bool:
    """Whether a volume lies outside ``[lowest, highest]`` of a card's metrics; False where the card gives none."""
    if not isinstance(limits, Sequence) or len(limits) != 2:
        return False
    return not float(limits[0]) <= value_ml <= float(limits[1])


def interval_factors(metrics: Mapping[str, object]) -> dict[str, float]:
    """Calibrated factors by part, from a card's metrics; empty where the card has none."""
    factors = metrics.get("interval_factor")
    return {str(name): float(value) for name, value in factors.items()} if isinstance(factors, Mapping) else {}
