"""Numbers of what lies between the beats: f waves, flutter waves, P waves, noise."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from scipy import ndimage, signal

from models.signals.ecg.details.intervals import entropy
from models.signals.ecg.details.shapes import AFTER_S, Shapes, straightened
from models.signals.filters import Array
from models.signals.qrs import Beats

_BANDS_HZ = ((0.8, 3.0), (3.0, 5.0), (5.0, 8.0), (8.0, 12.0), (12.0, 20.0), (20.0, 40.0))

#: Where the waves of fibrillation and flutter lie, in Hz, and the time from one to the next that is looked for.
_F_WAVES_HZ = (3.5, 10.0)
_PERIOD_S = (0.12, 0.36)
_PERIOD_BAND_HZ = (3.0, 15.0)

#: From T to P: from this share of the interval (at most of the second number, in seconds) to so long before the next
#: R peak, if that leaves as many seconds as the last number says.
_AFTER_T, _LONGEST_S, _BEFORE_R_S, _SHORTEST_S = 0.42, 1.1, 0.08, 0.15

#: A wave between the beats stands out by this share of the R peak.
_WAVE = 0.03


def describe_rest(lead: Array, beats: Beats, shapes: Shapes) -> dict[str, float]:
    """Numbers of a lead whose usual beat is subtracted, and of its stretches from T wave to P wave."""
    rest = lead.copy()
    before, after = shapes.at, round(AFTER_S * shapes.rate_hz)
    for beat in beats[shapes.whole]:
        rest[beat - before : beat + after] -= shapes.usual
    left = shapes.beats - shapes.usual
    each = left.std(axis=1) / shapes.height
    low, high = np.quantile(each, (0.1, 0.9))
    return {
        "left_of_usual": float(left.std()) / max(float(shapes.usual.std()), 1e-3),
        "left_low": float(low),
        "left_high": float(high),
        **_bands(rest / shapes.height, shapes.rate_hz),
        **_period(rest / shapes.height, shapes.rate_hz),
        **_between(lead, beats, shapes),
    }


def _bands(rest: Array, rate_hz: float) -> dict[str, float]:
    frequency, power = signal.welch(rest, rate_hz, nperseg=min(256, rest.size))
    whole = float(power[(frequency >= _BANDS_HZ[0][0]) & (frequency <= _BANDS_HZ[-1][1])].sum()) + 1e-9
    found = {}
    for low, high in _BANDS_HZ:
        band = float(power[(frequency >= low) & (frequency < high)].sum())
        found[f"rest_{low:g}_hz"] = math.log10(band + 1e-7)
        found[f"rest_share_{low:g}_hz"] = band / whole
    inside = (frequency >= _F_WAVES_HZ[0]) & (frequency <= _F_WAVES_HZ[1])
    waves, top = power[inside], int(np.argmax(power[inside]))
    total = max(float(waves.sum()), 1e-9)
    return found | {
        "f_waves_at_hz": float(frequency[inside][top]),
        "f_waves_narrow": float(waves[max(0, top - 1) : top + 2].sum()) / total,
        "f_waves_entropy": entropy(waves),
    }


def _period(rest: Array, rate_hz: float) -> dict[str, float]:
    """How much the rest repeats itself after the time from one flutter wave to the next."""
    sections = signal.butter(2, _PERIOD_BAND_HZ, btype="bandpass", fs=rate_hz, output="sos")
    waves = signal.sosfiltfilt(sections, rest)
    first, last = (round(edge * rate_hz) for edge in _PERIOD_S)
    whole = max(float(waves @ waves), 1e-9)
    again = np.array([float(waves[lag:] @ waves[:-lag]) for lag in range(first, last)]) / whole
    return {"repeats": float(again.max()), "repeats_after_s": (first + int(np.argmax(again))) / rate_hz}


def _between(lead: Array, beats: Beats, shapes: Shapes) -> dict[str, float]:
    """From T to P: unrest, and waves that stand out; one of them is a P wave, none is none, several are f waves."""
    hz = shapes.rate_hz
    parts = []
    for beat, following in pairwise(beats):
        first = int(beat) + int(_AFTER_T * min(int(following - beat), round(_LONGEST_S * hz)))
        last = int(following) - round(_BEFORE_R_S * hz)
        if last - first >= round(_SHORTEST_S * hz):
            parts.append(lead[first:last] * shapes.sign / shapes.height)
    if not parts:
        return {}
    unrest = [float(straightened(part[None]).std()) for part in parts]
    waves = np.array(
        [signal.find_peaks(ndimage.uniform_filter1d(part, 5), prominence=_WAVE)[0].size for part in parts], dtype=float
    )
    each_second = waves * hz / np.array([part.size for part in parts])
    return {
        "between_unrest": float(np.median(unrest)),
        "between_unrest_high": float(np.quantile(unrest, 0.9)),
        "between_waves": float(each_second.mean()),
        "between_waves_spread": float(each_second.std()),
        "between_one": float(np.mean(waves == 1)),
        "between_none": float(np.mean(waves == 0)),
    }
