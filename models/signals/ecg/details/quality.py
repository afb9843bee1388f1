"""Numbers of how clean a strip is: spectrum, distribution, level over time, two ways of finding beats."""

from __future__ import annotations

import math

import numpy as np
from scipy import signal

from models.signals.filters import Array
from models.signals.qrs import Beats

_BANDS_HZ = ((0, 1), (1, 5), (5, 15), (15, 25), (25, 45))

#: Level is looked at in stretches of this many seconds.
_STRETCH_S = 2.0

#: Two ways of finding beats agree within this many seconds.
_NEAR_S = 0.08


def describe_quality(lead: Array, beats: Beats, rate_hz: float) -> dict[str, float]:
    """Numbers of one standardised lead of two seconds or more; needs no beats."""
    return {**_spectrum(lead, rate_hz), **_levels(lead, rate_hz), **_agreement(lead, beats, rate_hz)}


def _spectrum(lead: Array, rate_hz: float) -> dict[str, float]:
    frequency, power = signal.welch(lead, rate_hz, nperseg=min(512, lead.size))
    whole = float(power.sum()) + 1e-9
    found = {
        f"power_{low}_hz": float(power[(frequency >= low) & (frequency < high)].sum()) / whole
        for low, high in _BANDS_HZ
    }
    return found | {
        "strip_skew": abs(float(np.mean(lead**3))),
        "strip_peaked": math.log(max(1e-3, float(np.mean(lead**4)))),
        "crossings": float(np.mean(np.diff(np.sign(lead)) != 0)),
    }


def _levels(lead: Array, rate_hz: float) -> dict[str, float]:
    size = round(_STRETCH_S * rate_hz)
    parts = np.lib.stride_tricks.sliding_window_view(lead, size)[:: size // 2]
    spread, height = parts.std(axis=1), np.abs(parts).max(axis=1)
    slope = np.abs(np.diff(lead))
    second = round(rate_hz)
    quiet = np.median(slope[: slope.size // second * second].reshape(-1, second), axis=1)
    low, middle, high = np.quantile(slope, (0.2, 0.5, 0.9))
    return {
        "spread_most": float(spread.max() / max(float(np.median(spread)), 1e-3)),
        "spread_least": float(spread.min() / max(float(np.median(spread)), 1e-3)),
        "height_most": float(height.max() / max(float(np.median(height)), 1e-3)),
        "height_least": float(height.min() / max(float(np.median(height)), 1e-3)),
        "slope_low": float(low),
        "slope_middle": float(middle),
        "slope_high": float(high),
        "unrest_most": float(quiet.max()),
        "unrest_least": float(quiet.min()),
    }


def _agreement(lead: Array, beats: Beats, rate_hz: float) -> dict[str, float]:
    """Share of beats that are also plain peaks of at least half their height, and the other way round."""
    height = float(np.median(np.abs(lead[beats]))) if beats.size else 1.0
    peaks, _ = signal.find_peaks(np.abs(lead), height=0.5 * height, distance=max(1, round(0.2 * rate_hz)))
    reach = round(_NEAR_S * rate_hz)
    return {
        "peaks_are_beats": _share_near(peaks, beats, reach),
        "beats_are_peaks": _share_near(beats, peaks, reach),
        "peaks_per_second": peaks.size * rate_hz / lead.size,
    }


def _share_near(these: Beats, those: Beats, reach: int) -> float:
    if not these.size or not those.size:
        return 0.0
    after = np.searchsorted(those, these).clip(0, those.size - 1)
    before = (after - 1).clip(0)
    near = np.minimum(np.abs(those[after] - these), np.abs(those[before] - these))
    return float(np.mean(near <= reach))
