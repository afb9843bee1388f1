"""Numbers of the intervals between beats: irregularity, and beats that come early or late."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from models.signals.filters import Array

#: Fewer intervals than this say nothing.
FEWEST = 4

#: An interval is early below the first and late above the second share of the usual one around it.
EARLY, LATE = 0.87, 1.12

#: The usual interval around one is the median of so many.
_AROUND = 7

#: Counts of odd beats and ratios of intervals are cut here: more says no more.
MOST, LONGEST = 8, 3.0

_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_STEPS = (0.02, 0.05, 0.2)

#: Differences below this, in seconds, are none, and the cell of the plot of differences (Sarkar S, Ritscher D, Mehra R,
#: A detector for a chronic implantable atrial tachyarrhythmia monitor, IEEE Trans Biomed Eng 2008;55:1219-1224; the
#: measures here are after its idea, not its exact ones).
_NO_STEP_S, _CELL_S, _EDGE_S = 0.08, 0.04, 0.6


def usual_around(intervals: Array) -> Array:
    """Median of the intervals around each one."""
    return np.asarray(ndimage.median_filter(intervals, _AROUND, mode="nearest"))


def describe_intervals(intervals: Array) -> dict[str, float]:
    """Numbers of intervals in seconds; empty with fewer than :data:`FEWEST`."""
    if intervals.size < FEWEST:
        return {}
    return {**_spread(intervals), **_order(intervals), **_odd(intervals), **_local(intervals)}


def _spread(intervals: Array) -> dict[str, float]:
    relative = intervals / np.median(intervals)
    steps = np.abs(np.diff(relative))
    short = math.sqrt(float(np.mean(steps**2)) / 2)
    short_sd = float(np.diff(relative).std()) / math.sqrt(2)
    long_sd = math.sqrt(max(0.0, 2 * float(relative.var()) - short_sd**2))
    centred = relative - relative.mean()
    found = {f"interval_q{share:g}_s": float(np.quantile(intervals, share)) for share in _QUANTILES}
    found |= {f"step_over_{share:g}": float(np.mean(steps > share)) for share in _STEPS}
    return found | {
        "cv": float(intervals.std() / intervals.mean()),
        "rmssd_s": math.sqrt(float(np.mean(np.diff(intervals) ** 2))),
        "rmssd_relative": short * math.sqrt(2),
        "step_median": float(np.median(steps)),
        "step_upper": float(np.quantile(steps, 0.75)),
        "step_most": float(steps.max()),
        "poincare_short": short_sd,
        "poincare_long": long_sd,
        "poincare_ratio": short_sd / max(long_sd, 1e-3),
        "alike": float(np.mean(np.abs(relative - 1) < 0.05)),
        "skew": float(np.mean(centred**3)) / max(float(relative.std()) ** 3, 1e-6),
    }


def _order(intervals: Array) -> dict[str, float]:
    relative = intervals / np.median(intervals)
    steps = np.diff(relative)
    none, cells, early, evidence = _plot_of_differences(intervals)
    return {
        "differences_none": none,
        "differences_cells": cells,
        "differences_early": early,
        "differences_evidence": evidence,
        "entropy_of_intervals": entropy(np.histogram(relative, np.arange(0.3, 2.5, 0.06))[0]),
        "entropy_of_steps": entropy(np.histogram(steps, np.arange(-1, 1.01, 0.05))[0]),
        "sample_entropy_1": _sample_entropy(relative, 0.05, 1),
        "sample_entropy_2": _sample_entropy(relative, 0.1, 2),
        **{f"lag_{lag}": correlation(relative[:-lag], relative[lag:]) for lag in (1, 2, 3)},
        "steps_lag_1": correlation(steps[:-1], steps[1:]),
    }


def _plot_of_differences(intervals: Array) -> tuple[float, float, float, float]:
    """Share of pairs without a difference, of cells that are met, of early beats, and what they come to together."""
    steps = np.diff(intervals)
    x, y = steps[:-1], steps[1:]
    none = (np.abs(x) < _NO_STEP_S) & (np.abs(y) < _NO_STEP_S)
    edges = np.arange(-_EDGE_S, _EDGE_S + 0.001, _CELL_S)
    inside = _EDGE_S - 0.001
    plot, _, _ = np.histogram2d(x[~none].clip(-inside, inside), y[~none].clip(-inside, inside), bins=[edges, edges])
    cells, early, count = int((plot > 0).sum()), int(((x < -0.1) & (y > 0.1)).sum()), x.size
    evidence = cells - int(none.sum()) - 2 * early
    return float(none.sum()) / count, cells / count, early / count, evidence / count


def _odd(intervals: Array) -> dict[str, float]:
    """Early and late beats, and how regular the rest is."""
    usual = usual_around(intervals)
    relative = intervals / usual
    early, late = relative < EARLY, relative > LATE
    rest = ~(early | late)
    rest[1:] &= ~early[:-1]
    kept, ordered = intervals[rest], np.sort(relative)
    steps = np.diff(relative[rest]) if kept.size > 2 else np.ones(1)
    return {
        "early": _count(early),
        "late": _count(late),
        "early_then_late": _count(early[:-1] & late[1:]),
        "early_twice": _count(early[:-1] & early[1:]),
        "earliest": float(ordered[0]),
        "second_earliest": float(ordered[1]),
        "latest": min(LONGEST, float(ordered[-1])),
        "second_latest": min(LONGEST, float(ordered[-2])),
        "rest_cv": float(kept.std() / kept.mean()) if kept.size > 2 else 1.0,
        "rest_share": float(rest.mean()),
        "rest_rmssd": math.sqrt(float(np.mean(steps**2))),
        "slow": float(usual.std() / usual.mean()),
        "slow_share": float(usual.std()) / max(float(intervals.std()), 1e-4),
    }


def _local(intervals: Array) -> dict[str, float]:
    """Irregularity of the most and the least regular third."""
    size = max(3, intervals.size // 3)
    parts = [intervals[at : at + size] for at in range(0, intervals.size - size + 1, max(1, size // 2))]
    found = [float(np.median(np.abs(np.diff(part))) / np.median(part)) for part in parts]
    return {"local_least": min(found), "local_most": max(found)}


def _count(flags: npt.NDArray[np.bool_]) -> float:
    return float(min(MOST, int(flags.sum())))


def correlation(a: Array, b: Array) -> float:
    """Pearson's correlation; 0 where there is none to speak of."""
    if a.size < 3 or a.std() < 1e-6 or b.std() < 1e-6:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def entropy(counts: npt.NDArray[np.number]) -> float:
    """Shannon's entropy of counts, in nats."""
    share = counts / max(float(counts.sum()), 1e-12)
    met = share[share > 0]
    return float(-(met * np.log(met)).sum())


def _sample_entropy(relative: Array, alike: float, length: int) -> float:
    """Sample entropy, templates of ``length`` intervals; pairs that never are count as half a pair."""
    count = relative.size - length
    if count < 3:
        return 0.0
    near = np.abs(relative[:, None] - relative[None, :]) <= alike
    both = np.triu(np.ones((count, count), dtype=bool), 1)
    for lag in range(length):
        both &= near[lag : lag + count, lag : lag + count]
    first = float(both.sum())
    both &= near[length:, length:]
    return math.log(max(0.5, first) / max(0.5, float(both.sum())))
