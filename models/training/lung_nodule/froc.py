"""Sensitivity over false positives per scan (free-response operating characteristic), with intervals over scans.

A detection counts for a lesion if it lies in it; of several in one lesion the surest counts, the others count neither
way, as in LUNA16 (Setio AAA et al., Med Image Anal 2017;42:1-13).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.training.framework.metrics import bootstrap_all

#: Bounds of the size classes by true long axis, in mm.
SIZES: Mapping[str, tuple[float, float]] = {
    "under 6 mm": (0.0, 6.0),
    "6 to 10 mm": (6.0, 10.0),
    "10 to 20 mm": (10.0, 20.0),
    "20 mm and more": (20.0, 1000.0),
}


@dataclass(frozen=True, slots=True)
class LesionScore:
    """One lesion: its true long axis, its type, the probability of its surest detection (-1: none)."""

    long_mm: float
    kind: str
    score: float


@dataclass(frozen=True, slots=True)
class ScanScore:
    """One scan: its lesions, and the probabilities of detections that hit none."""

    case: str
    lesions: tuple[LesionScore, ...]
    false: tuple[float, ...]


Chosen = Callable[[LesionScore], bool]


def threshold_at(scans: Sequence[ScanScore], rate: float) -> float:
    """Probability above which there are at most ``rate`` false positives per scan."""
    false = sorted((score for scan in scans for score in scan.false), reverse=True)
    allowed = int(rate * len(scans) + 1e-9)
    return false[allowed] if allowed < len(false) else 0.0


def sensitivity(scans: Sequence[ScanScore], above: float, chosen: Chosen = lambda lesion: True) -> float:
    """Share of the chosen lesions whose detection is surer than ``above``; not a number without any."""
    scores = [lesion.score for scan in scans for lesion in scan.lesions if chosen(lesion)]
    return float(np.mean([score > above for score in scores])) if scores else float("nan")


def classes() -> dict[str, Chosen]:
    """All lesions, those of each size class, and those of each type."""

    def sized(low: float, high: float) -> Chosen:
        return lambda lesion: low <= lesion.long_mm < high

    def typed(kind: str) -> Chosen:
        return lambda lesion: lesion.kind == kind

    found: dict[str, Chosen] = {"all": lambda lesion: True}
    found |= {name: sized(*bounds) for name, bounds in SIZES.items()}
    return found | {kind: typed(kind) for kind in ("solid", "part-solid", "non-solid")}


def report(
    scans: Sequence[ScanScore], rates: Sequence[float], operating: float, resamples: int = 1000
) -> dict[str, Any]:
    """Report scans.

    Parameters
    ----------
    rates
        False positives per scan at which the sensitivity is given.
    operating
        Probability from which on the model states a finding.

    Returns
    -------
    dict
        ``scans``, ``lesions``, ``false_positives_per_scan`` at the operating threshold, and ``sensitivity`` by class
        and rate (``"1 per scan"``, ``"operating"``), each with a 95 % bootstrap interval over scans.
    """
    chosen = classes()

    def measure(index: npt.NDArray[np.int64]) -> dict[str, float]:
        drawn = [scans[int(i)] for i in index]
        limits = {f"{rate:g} per scan": threshold_at(drawn, rate) for rate in rates}
        limits["operating"] = float(np.nextafter(operating, -1))
        found = {f"{name}|{at}": sensitivity(drawn, limit, wanted)
                 for name, wanted in chosen.items() for at, limit in limits.items()}  # fmt: skip
        false = [sum(score >= operating for score in scan.false) for scan in drawn]
        return found | {"false": float(np.mean(false))}

    figures = bootstrap_all(measure, np.arange(len(scans)), resamples=resamples)
    counts = {name: sum(wanted(x) for scan in scans for x in scan.lesions) for name, wanted in chosen.items()}
    return {
        "scans": len(scans),
        "lesions": counts["all"],
        "false_positives_per_scan": figures["false"],
        "sensitivity": {
            name: {
                "n": counts[name],
                **{key.split("|")[1]: v for key, v in figures.items() if key.split("|")[0] == name},
            }
            for name in chosen
            if counts[name]
        },
    }


def curve(scans: Sequence[ScanScore], most: float = 8.0) -> tuple[list[float], list[float]]:
    """Points of the curve: false positives per scan, and sensitivity."""
    rates = [float(rate) for rate in np.linspace(0, most, 65)]
    return rates, [sensitivity(scans, threshold_at(scans, rate)) for rate in rates]
