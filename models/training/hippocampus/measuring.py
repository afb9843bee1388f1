"""Scores of segmented cases, calibration of volume intervals, and the report made of both."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from rich.progress import track

from models.contracts import LabelArray
from models.imaging.hippocampus import segment
from models.imaging.hippocampus_parts import PARTS, SEGMENTS, SINGLE_PARTS
from models.imaging.quantify import CONFIDENCE, PartVolume, half_widths_ml, part_volume
from models.training.framework.agreement import conformal_factor, coverage, dice, summarise
from models.training.framework.data import LabelledVolume


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


def mean_dice(network: torch.nn.Module, items: Sequence[LabelledVolume], device: torch.device) -> dict[str, float]:
    """Mean Dice over cases: of each part (``dice_anterior``...), and of the parts together (``dice``)."""
    rows = []
    for item in items:
        labels = segment(network, item.volume, device).labels
        rows.append([dice(labels == spec.label, item.labels == spec.label) for spec in SEGMENTS])
    means = np.mean(rows, axis=0)
    parts = {f"dice_{key}": float(value) for key, value in zip(SINGLE_PARTS, means, strict=True)}
    return {"dice": float(means.mean()), **parts}


def score_cases(
    network: torch.nn.Module, items: Sequence[LabelledVolume], device: torch.device, *, progress: bool = False
) -> list[CaseScore]:
    """Score each case for every measured part, with a progress bar where wanted."""
    parts = {part.key: part.segments for part in PARTS}
    scores = []
    for item in track(items, "scoring", disable=not progress):
        started = time.perf_counter()
        found = segment(network, item.volume, device)
        seconds = time.perf_counter() - started
        by_part = score_parts(found.probabilities, found.labels, item.labels, parts, item.volume.geometry.voxel_ml)
        scores.append(CaseScore(item.case, by_part, seconds))
    return scores


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


def volume_ranges(items: Sequence[LabelledVolume]) -> dict[str, list[float]]:
    """Smallest and largest labelled volume of each part, in ml."""
    found = {}
    for part in PARTS:
        volumes = [np.isin(item.labels, part.segments).sum() * item.volume.geometry.voxel_ml for item in items]
        found[part.key] = [round(float(min(volumes)), 3), round(float(max(volumes)), 3)]
    return found


def report_part(scores: Sequence[PartScore], half_widths: Sequence[float]) -> dict[str, Any]:
    """Summary of one part over cases.

    Returns
    -------
    dict
        ``dice``, ``volume_error_ml`` and ``volume_absolute_error_ml`` (see
        :func:`models.training.framework.agreement.summarise`), ``volume_correlation`` (Pearson), ``interval_coverage``
        and ``interval_half_width_ml`` (mean).
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


def by_case(scores: Iterable[CaseScore]) -> dict[str, dict[str, dict[str, float]]]:
    """Dice and volumes of each part of each case, as the report has them and plots draw them."""
    return {
        score.case: {
            key: {
                "dice": round(part.dice, 5),
                "found_ml": round(part.found.value_ml, 4),
                "true_ml": round(part.true_ml, 4),
                "doubt_ml": round(part.found.doubt_ml, 5),
            }
            for key, part in score.parts.items()
        }
        for score in scores
    }
