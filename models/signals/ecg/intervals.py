"""What the beats of a strip say of its rhythm: intervals, shapes, and what lies before each QRS complex.

The network gets these numbers beside the signal. Intervals: coefficient of variation, successive differences and
coefficient of sample entropy (Lake DE, Moorman JR, Am J Physiol Heart Circ Physiol 2011;300:H319-H325). Shape: likeness
of each beat to the usual one. P wave: how much of what comes before the QRS complex repeats from beat to beat.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import signal

from models.signals.filters import Array
from models.signals.qrs import Beats

#: Names of the numbers, in the order of :func:`describe`.
NAMES = (
    "beats_per_second",
    "rr_mean_s",
    "rr_cv",
    "rr_mad",
    "rmssd",
    "successive_over_10_percent",
    "entropy",
    "turning_points",
    "shortest",
    "longest",
    "premature",
    "successive_correlation",
    "likeness_mean",
    "likeness_low",
    "unlike_beats",
    "p_wave",
    "p_repeats",
    "crossings",
    "noise",
    "short_intervals",
    "long_intervals",
    "premature_beats",
    "most_unlike",
    "qrs_width_s",
    "f_wave_share",
    "f_wave_power",
)

#: Fewer intervals than this say nothing of the rhythm: the numbers are 0.
FEWEST_INTERVALS = 3

#: Two intervals are alike within this share of the median interval (sample entropy).
ALIKE = 0.1

#: Counts of odd beats are cut here: more of them say no more.
MOST = 6.0

#: Around the R peak, in seconds: the QRS complex with its T wave, the PR segment with the P wave, and the whole beat.
_QRS_S = (-0.10, 0.30)
_P_S = (-0.28, -0.08)
_BEAT_S = (-0.30, 0.45)

#: Where the waves of fibrillation lie, and the band they are compared with, in Hz.
_F_WAVES_HZ = (4.0, 10.0)
_ALL_HZ = (0.5, 20.0)


def rate_per_minute(beats: Beats, rate_hz: float) -> float | None:
    """Ventricular rate: 60 over the mean interval; None with fewer than two beats."""
    if beats.size < 2:
        return None
    return 60.0 * rate_hz * (beats.size - 1) / float(beats[-1] - beats[0])


def describe(samples: Array, beats: Beats, rate_hz: float, gap: tuple[int, int] | None = None) -> Array:
    """Numbers of :data:`NAMES` for one strip.

    Parameters
    ----------
    samples
        ``[lead, sample]`` as :func:`models.signals.ecg.preparing.prepare` gives it.
    beats
        Sample index of each beat.
    gap
        A blanked stretch, as first sample and first one after it: it has no beats, and the interval over it is none.

    Returns
    -------
    array
        ``[len(NAMES)]``, finite.
    """
    first, last = gap or (0, 0)
    beats = beats[(beats < first) | (beats >= last)]
    seconds = (samples.shape[-1] - (last - first)) / rate_hz
    values = np.zeros(len(NAMES))
    values[0] = beats.size / max(seconds, 1.0)
    whole = ~((beats[:-1] < first) & (beats[1:] >= last)) if gap else np.ones(max(0, beats.size - 1), dtype=bool)
    intervals = np.diff(beats)[whole] / rate_hz
    if intervals.size < FEWEST_INTERVALS:
        return values
    values[1:12] = _of_intervals(intervals)
    lead = samples[int(np.argmax(np.abs(samples[:, beats]).mean(axis=1)))]
    values[12:15] = _of_shapes(lead, beats, rate_hz)
    values[15:19] = _of_rest(lead, beats, rate_hz)
    values[19:22] = _odd_intervals(intervals)
    values[22:26] = _of_usual_beat(lead, beats, rate_hz)
    return np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)


def _of_intervals(intervals: Array) -> Array:
    median = float(np.median(intervals))
    relative = intervals / median
    steps = np.diff(relative)
    premature = (relative[:-1] < 0.85) & (relative[1:] > 1.05)
    turns = (steps[:-1] * steps[1:] < 0).mean() if steps.size > 1 else 0.0
    return np.array(
        [
            intervals.mean(),
            intervals.std() / intervals.mean(),
            np.median(np.abs(relative - 1.0)),
            math.sqrt(float(np.mean(steps**2))),
            np.mean(np.abs(steps) > 0.1),
            sample_entropy(relative),
            turns,
            relative.min(),
            min(relative.max(), 4.0),
            premature.mean(),
            _correlation(relative[:-1], relative[1:]),
        ]
    )


def sample_entropy(relative: Array) -> float:
    """Coefficient of sample entropy of intervals (relative to their median), templates of one interval.

    The negative logarithm of how often two intervals that are alike are followed by two that are alike again. Pairs
    that never are count as half a pair.
    """
    alike = np.abs(relative[:, None] - relative[None, :]) <= ALIKE
    first = np.triu(alike[:-1, :-1], 1)
    both = first & np.triu(alike[1:, 1:], 1)
    return math.log(max(0.5, float(first.sum())) / max(0.5, float(both.sum())))


def _correlation(a: Array, b: Array) -> float:
    if a.size < 3 or a.std() < 1e-6 or b.std() < 1e-6:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _around(lead: Array, beats: Beats, rate_hz: float, span: tuple[float, float]) -> Array:
    """Samples around each beat, ``[beat, sample]``; beats too near to an end are left out."""
    first, last = (round(edge * rate_hz) for edge in span)
    kept = beats[(beats + first >= 0) & (beats + last < lead.size)]
    picked: Array = lead[kept[:, None] + np.arange(first, last)[None, :]]
    return picked


def _of_shapes(lead: Array, beats: Beats, rate_hz: float) -> Array:
    shapes = _around(lead, beats, rate_hz, _QRS_S)
    if len(shapes) < 2:
        return np.zeros(3)
    likeness = _likeness(shapes, np.median(shapes, axis=0))
    return np.array([likeness.mean(), np.quantile(likeness, 0.1), np.mean(likeness < 0.8)])


def _of_rest(lead: Array, beats: Beats, rate_hz: float) -> Array:
    """P wave (height of the mean before the QRS), how much of it repeats, f waves and noise between the beats."""
    before = _around(lead, beats, rate_hz, _P_S)
    if len(before) < 2:
        return np.zeros(4)
    before = before - before.mean(axis=1, keepdims=True)
    mean = before.mean(axis=0)
    rest = before - mean
    quiet = np.abs(np.diff(lead))
    steep = float(np.quantile(quiet, 0.5))
    crossings = float(np.mean(np.diff(np.sign(rest), axis=1) != 0)) * rate_hz / 2
    return np.array([np.ptp(mean), mean.var() / max(float(before.var()), 1e-9), crossings, steep])


def _odd_intervals(intervals: Array) -> Array:
    """How many intervals are short, how many long, and how many short ones are followed by a long one."""
    relative = intervals / np.median(intervals)
    premature = (relative[:-1] < 0.85) & (relative[1:] > 1.05)
    return np.minimum([np.sum(relative < 0.8), np.sum(relative > 1.5), premature.sum()], MOST)


def _of_usual_beat(lead: Array, beats: Beats, rate_hz: float) -> Array:
    """Likeness of the three least like beats, width of the QRS complex, and waves that are left between the beats."""
    shapes = _around(lead, beats, rate_hz, _BEAT_S)
    if len(shapes) < 3:
        return np.zeros(4)
    usual = np.median(shapes, axis=0)
    return np.array(
        [np.sort(_likeness(shapes, usual))[:3].mean(), _width(usual, rate_hz), *_f_waves(lead, beats, usual, rate_hz)]
    )


def _likeness(shapes: Array, usual: Array) -> Array:
    """Correlation of each beat with the usual one."""
    a = shapes - shapes.mean(axis=1, keepdims=True)
    b = usual - usual.mean()
    norm = np.sqrt((a**2).sum(axis=1) * (b**2).sum())
    return np.asarray((a @ b) / np.maximum(norm, 1e-9))


def _width(usual: Array, rate_hz: float) -> float:
    """Time for which the usual beat stands above a quarter of its height, about the R peak."""
    at = round(-_BEAT_S[0] * rate_hz)
    near = np.abs(usual - np.median(usual))[at - round(0.1 * rate_hz) : at + round(0.2 * rate_hz)]
    high = np.flatnonzero(near > 0.25 * near.max())
    return float(high[-1] - high[0]) / rate_hz if high.size else 0.0


def _f_waves(lead: Array, beats: Beats, usual: Array, rate_hz: float) -> tuple[float, float]:
    """Share and power (decimal logarithm) of 4 to 10 Hz in what is left when the usual beat is subtracted."""
    first, last = (round(edge * rate_hz) for edge in _BEAT_S)
    rest = lead.copy()
    for beat in beats[(beats + first >= 0) & (beats + last < lead.size)]:
        rest[beat + first : beat + last] -= usual
    frequency, power = signal.welch(rest, rate_hz, nperseg=min(512, rest.size))
    waves = float(power[(frequency >= _F_WAVES_HZ[0]) & (frequency <= _F_WAVES_HZ[1])].sum())
    whole = float(power[(frequency >= _ALL_HZ[0]) & (frequency <= _ALL_HZ[1])].sum())
    return waves / max(whole, 1e-9), math.log10(waves + 1e-6)
