"""How well predicted labels agree with reference labels; how well intervals hold what they promise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def dice(predicted: npt.NDArray[Any], reference: npt.NDArray[Any]) -> float:
    """Dice coefficient of two masks, ``2 |A and B| / (|A| + |B|)``; 1 where both are empty."""
    total = int(np.count_nonzero(predicted)) + int(np.count_nonzero(reference))
    if total == 0:
        return 1.0
    return 2 * int(np.count_nonzero(np.logical_and(predicted, reference))) / total


def summarise(values: Sequence[float], seed: int = 0, resamples: int = 2000) -> dict[str, float | int]:
    """Mean with its spread.

    Returns
    -------
    dict
        ``n``, ``mean``, ``sd`` (of the cases, n - 1), ``min``, ``q25``, ``median``, ``q75``, ``max``, and ``ci_low``
        and ``ci_high``: the 95 % percentile bootstrap interval of the mean over cases.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        raise ValueError("nothing to summarise")
    draws = np.random.default_rng(seed).choice(array, size=(resamples, array.size)).mean(axis=1)
    low, high = np.percentile(draws, (2.5, 97.5))
    q25, median, q75 = np.percentile(array, (25, 50, 75))
    named = {
        "mean": array.mean(),
        "sd": array.std(ddof=1) if array.size > 1 else 0.0,
        "ci_low": low,
        "ci_high": high,
        "min": array.min(),
        "q25": q25,
        "median": median,
        "q75": q75,
        "max": array.max(),
    }
    return {"n": int(array.size), **{name: round(float(value), 5) for name, value in named.items()}}


def coverage(truth: Sequence[float], lower: Sequence[float], upper: Sequence[float]) -> float:
    """Share of true values that lie within their intervals, borders included."""
    inside = [low <= value <= high for value, low, high in zip(truth, lower, upper, strict=True)]
    return sum(inside) / len(inside)


def conformal_factor(errors: Sequence[float], scales: Sequence[float], confidence: float) -> float:
    """Smallest factor by which ``scales`` must be multiplied to hold ``errors`` with the wanted confidence.

    Split conformal prediction: the ``ceil((n + 1) * confidence)``-th smallest ratio ``|error| / scale``, or the largest
    one where there are too few cases for that rank (Lei et al., J Am Stat Assoc 2018;113:1094).

    Parameters
    ----------
    errors
        Predicted minus true value per case.
    scales
        Half width that the model would give with a factor of one, per case; positive.
    confidence
        Between 0 and 1.
    """
    ratios = np.sort(np.abs(np.asarray(errors)) / np.asarray(scales))
    rank = min(int(np.ceil((ratios.size + 1) * confidence)), ratios.size)
    return float(ratios[rank - 1])
