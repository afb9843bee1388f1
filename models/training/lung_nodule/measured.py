"""What the model finds and measures in scans with known lesions, and the summary of its errors of size."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from models.imaging.lung.classifier import apart, score
from models.imaging.lung.findings import CONFIDENCE, LEAST_SHARE, interval
from models.imaging.lung.measuring import Measured, measure
from models.training.framework.agreement import conformal_factor
from models.training.framework.fit import TrainingError
from models.training.framework.metrics import bootstrap_all
from models.training.lung_nodule.data import Scan, hits, places
from models.training.lung_nodule.lesions import Inserted

#: Fewer lesions calibrate no interval.
FEWEST = 8


@dataclass(frozen=True, slots=True)
class Sized:
    """One detected lesion: its truth, and sizes by the border halfway and by the other borders.

    Parameters
    ----------
    long_mm, volume_ml
        ``(measured, smallest, largest)``.
    kind
        Type that was told, "" where none was.
    """

    truth: Inserted
    long_mm: tuple[float, float, float]
    short_mm: float
    volume_ml: tuple[float, float, float]
    kind: str
    solid_mm: float


@dataclass(frozen=True, eq=False)
class Examined:
    """One scan after the network: detections that are apart, by logit, with the lesion that each hits (-1: none).

    Parameters
    ----------
    at
        Place of each detection, ``[n, 3]`` LPS mm.
    sized
        Measured lesions by their number.
    seconds
        For network and measuring.
    """

    case: str
    nodules: tuple[Inserted, ...]
    logits: tuple[float, ...]
    hit: tuple[int, ...]
    at: npt.NDArray[np.float64]
    sized: dict[int, Sized]
    seconds: float


def examine(network: torch.nn.Module, scan: Scan, device: torch.device) -> Examined:
    """Score a scan and measure each lesion at its surest detection."""
    started = time.perf_counter()
    scored = apart(score(network, scan.working, scan.candidates, device), scan.working)
    at = places(scan, [item.candidate for item in scored])
    hit = hits(scan, at)
    sized: dict[int, Sized] = {}
    for number in range(len(scan.nodules)):
        mine = np.flatnonzero(hit == number)
        if mine.size:
            first = int(mine[0])
            found = measure(scan.volume, scan.working, scan.lungs, at[first], scored[first].candidate.diameter)
            if found is not None:
                sized[number] = _sized(scan.nodules[number], found)
    return Examined(
        scan.case,
        scan.nodules,
        tuple(item.logit for item in scored),
        tuple(int(number) for number in hit),
        at,
        sized,
        time.perf_counter() - started,
    )


def _sized(truth: Inserted, found: Measured) -> Sized:
    return Sized(
        truth,
        (found.size.long_mm, found.smallest.long_mm, found.largest.long_mm),
        found.size.short_mm,
        (found.size.volume_ml, found.smallest.volume_ml, found.largest.volume_ml),
        "" if found.density is None else str(found.density),
        found.solid_mm,
    )


def surest(scan: Examined, number: int) -> float | None:
    """Logit of the surest detection of a lesion; None where there is none."""
    return next((logit for logit, hit in zip(scan.logits, scan.hit, strict=True) if hit == number), None)


def detections(scans: Sequence[Examined]) -> tuple[list[float], list[int]]:
    """Logits and truth of detections, for calibration; a second one of a lesion counts neither way."""
    logits, truth = [], []
    for scan in scans:
        seen: set[int] = set()
        for logit, hit in zip(scan.logits, scan.hit, strict=True):
            if hit not in seen:
                logits.append(logit)
                truth.append(int(hit >= 0))
            if hit >= 0:
                seen.add(hit)
    return logits, truth


def interval_factors(scans: Sequence[Examined], least_logit: float) -> dict[str, float]:
    """Factors that make the intervals of sizes hold their share of validation lesions (split conformal).

    Of lesions whose detection is sure enough; of all that were measured where fewer than :data:`FEWEST` are. What the
    network takes for a vessel is mostly one with a vessel, and measured as such.
    """
    items = detected(scans, least_logit)
    items = items if len(items) >= FEWEST else detected(scans, -np.inf)
    if not items:
        raise TrainingError("no lesion of the validation scans was found: train longer, or on more scans")
    pairs = {
        "long_axis": [(item.long_mm, item.truth.long_mm) for item in items],
        "volume": [(item.volume_ml, item.truth.volume_ml) for item in items],
    }
    return {
        name: round(
            conformal_factor(
                [values[0] - true for values, true in rows],
                [max(values[0] - values[1], values[2] - values[0], LEAST_SHARE * values[0]) for values, _ in rows],
                CONFIDENCE,
            ),
            4,
        )
        for name, rows in pairs.items()
    }


def detected(scans: Sequence[Examined], least_logit: float) -> list[Sized]:
    """Measured lesions whose detection is sure enough."""
    found = []
    for scan in scans:
        for number, item in scan.sized.items():
            logit = surest(scan, number)
            if logit is not None and logit >= least_logit:
                found.append(item)
    return found


def size_report(scans: Sequence[Examined], least_logit: float, factors: dict[str, float]) -> dict[str, Any]:
    """Errors of sizes over detected lesions, by size and in all.

    Returns
    -------
    dict
        By class: ``n``; ``long_axis_mm`` with mean error (``bias``), limits of agreement (bias plus and minus 1.96
        standard deviations, Bland and Altman, Lancet 1986;1:307-310), median absolute error and the share that the
        intervals hold; ``volume_percent`` the same in per cent of the true volume.
    """
    items = detected(scans, least_logit)
    groups = {
        "all": items,
        "under 10 mm": [item for item in items if item.truth.long_mm < 10],
        "10 mm and more": [item for item in items if item.truth.long_mm >= 10],
    }
    return {name: _errors(rows, factors) for name, rows in groups.items() if len(rows) > 1}


def _errors(items: Sequence[Sized], factors: dict[str, float]) -> dict[str, Any]:
    long = np.array([item.long_mm[0] - item.truth.long_mm for item in items])
    volume = np.array([100 * (item.volume_ml[0] / item.truth.volume_ml - 1) for item in items])
    inside = {
        "long_axis": [_holds(item.long_mm, factors["long_axis"], item.truth.long_mm) for item in items],
        "volume": [_holds(item.volume_ml, factors["volume"], item.truth.volume_ml) for item in items],
    }
    return {
        "n": len(items),
        "long_axis_mm": {**_agreement(long), "interval_holds": round(float(np.mean(inside["long_axis"])), 4)},
        "volume_percent": {**_agreement(volume), "interval_holds": round(float(np.mean(inside["volume"])), 4)},
    }


def _holds(values: tuple[float, float, float], factor: float, true: float) -> bool:
    lower, upper = interval(values, factor)
    return lower <= true <= upper


def _agreement(errors: npt.NDArray[np.float64]) -> dict[str, Any]:
    spread = float(errors.std(ddof=1))
    figures = bootstrap_all(
        lambda index: {"bias": float(errors[index].mean()), "median_absolute": float(np.median(np.abs(errors[index])))},
        np.arange(errors.size),
    )
    bias = float(errors.mean())
    return {**figures, "limits_of_agreement": [round(bias - 1.96 * spread, 3), round(bias + 1.96 * spread, 3)]}


def type_table(scans: Sequence[Examined], least_logit: float) -> dict[str, dict[str, int]]:
    """How often each true type was called what."""
    table: dict[str, dict[str, int]] = {}
    for item in detected(scans, least_logit):
        row = table.setdefault(str(item.truth.lesion.kind), {})
        called = {"ground-glass": "non-solid", "": "not told"}.get(item.kind, item.kind)
        row[called] = row.get(called, 0) + 1
    return table
