"""Scores of segmented cases, calibration of volume intervals, and the report made of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.contracts import LabelArray
from models.imaging.quantify import CONFIDENCE, PartVolume, half_widths_ml, part_volume
from models.training.metrics import conformal_factor, coverage, dice, summarise


@dataclass(frozen=True, slots=True)
class PartScore:
    """One part of one case: Dice, measured and true volume."""

    dice: float
    found: PartVolume
    true_ml: float

    @property
    def error_ml(self) -> float:
        """Measured minus true volume."""
        return self.found.value_ml - self.true_ml


@dataclass(frozen=True, eq=False)
class CaseScore:
    """All parts of one case by their key, and the seconds its prediction took."""

    case: str
    parts: Mapping[str, PartScore]
    seconds: float


def score_parts(
    probabilities: np.ndarray[Any, np.dtype[np.float32]],
    labels: LabelArray,
    reference: LabelArray,
    parts: Mapping[str, tuple[int, ...]],
    voxel_ml: float,
) -> dict[str, PartScore]:
    """Score every part of a case; arrays as in :func:`models.imaging.quantify.part_volume`."""
    scores = {}
    for key, segments in parts.items():
        true = np.isin(reference, segments)
        found = part_volume(probabilities, labels, segments, voxel_ml)
        scores[key] = PartScore(dice(np.isin(labels, segments), true), found, float(true.sum()) * voxel_ml)
    return scores


def calibrate(scores: Sequence[CaseScore], keys: Sequence[str]) -> dict[str, float]:
    """Interval factor of each of some parts, from cases that were not trained on (:func:`conformal_factor`)."""
    factors = {}
    for key in keys:
        errors = [score.parts[key].error_ml for score in scores]
        doubts = [max(score.parts[key].found.doubt_ml, 1e-6) for score in scores]
        factors[key] = round(conformal_factor(errors, doubts, CONFIDENCE), 4)
    return factors


def volume_range(volumes: Sequence[float]) -> list[float]:
    """Smallest and largest of some volumes in ml."""
    return [round(min(volumes), 3), round(max(volumes), 3)]


def report_part(scores: Sequence[PartScore], half_widths: Sequence[float]) -> dict[str, Any]:
    """Summary of one part over cases.

    Returns
    -------
    dict
        ``dice``, ``volume_error_ml`` and ``volume_absolute_error_ml`` (see
        :func:`models.training.metrics.summarise`), ``volume_correlation`` (Pearson), ``interval_coverage`` and
        ``interval_half_width_ml`` (mean).
    """
    values = np.array([score.found.value_ml for score in scores])
    truth = np.array([score.true_ml for score in scores])
    half = np.array(half_widths)
    errors = [score.error_ml for score in scores]
    varied = len(scores) > 1 and values.std() > 0 and truth.std() > 0
    return {
        "dice": summarise([score.dice for score in scores]),
        "volume_true_ml": summarise(truth.tolist()),
        "volume_error_ml": summarise(errors),
        "volume_absolute_error_ml": summarise([abs(error) for error in errors]),
        "volume_correlation": round(float(np.corrcoef(values, truth)[0, 1]), 4) if varied else None,
        "interval_coverage": round(coverage(truth.tolist(), (values - half).tolist(), (values + half).tolist()), 4),
        "interval_half_width_ml": round(float(half.mean()), 4),
    }


def report(scores: Sequence[CaseScore], factors: Mapping[str, float]) -> dict[str, Any]:
    """Summary by part, with the time of a prediction."""
    halves = [half_widths_ml({key: part.found for key, part in score.parts.items()}, factors) for score in scores]
    parts = {
        key: report_part([score.parts[key] for score in scores], [half[key] for half in halves])
        for key in scores[0].parts
    }
    return {"cases": len(scores), "seconds_per_case": summarise([score.seconds for score in scores]), "parts": parts}
