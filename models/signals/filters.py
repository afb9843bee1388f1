"""Filters and resampling of one-dimensional signals; arrays are ``[..., sample]``, rates in Hz."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt
from scipy import signal

Array = npt.NDArray[np.float64]

#: Largest numerator and denominator of a resampling; a rate such as 977 Hz is then met within one part in a thousand.
LARGEST_RATIO = 1000

#: Samples without a value are joined by a line up to this share of a channel; beyond it there is nothing to join.
LARGEST_GAP_SHARE = 0.5


def fill_gaps(samples: npt.NDArray[np.floating]) -> Array:
    """Replace what is not a number by a line between its neighbours.

    Parameters
    ----------
    samples
        ``[channel, sample]``; a channel of which more than :data:`LARGEST_GAP_SHARE` is missing becomes zero.
    """
    filled = np.array(samples, dtype=np.float64)
    for row in filled:
        missing = ~np.isfinite(row)
        if missing.mean() > LARGEST_GAP_SHARE:
            row[:] = 0.0
        elif missing.any():
            at = np.arange(row.size)
            row[missing] = np.interp(at[missing], at[~missing], row[~missing])
    return filled


def resample(samples: Array, rate_hz: float, wanted_hz: float) -> Array:
    """Bring the last axis to another rate, with a low-pass filter against aliases (polyphase).

    The first sample stays at time 0. The ends are continued by their own value, so that an offset makes no step there.
    """
    ratio = Fraction(wanted_hz / rate_hz).limit_denominator(LARGEST_RATIO)
    if ratio == 1:
        return samples
    out: Array = signal.resample_poly(samples, ratio.numerator, ratio.denominator, axis=-1, padtype="edge")
    return out


def bandpass(samples: Array, rate_hz: float, low_hz: float, high_hz: float, order: int = 3) -> Array:
    """Butterworth band-pass without delay (forwards and backwards).

    ``high_hz`` is lowered to 0.45 of the rate where it lies above what the rate can carry.
    """
    high = min(high_hz, 0.45 * rate_hz)
    sections = signal.butter(order, (low_hz, high), btype="bandpass", fs=rate_hz, output="sos")
    pad = min(samples.shape[-1] - 1, int(3 * rate_hz / low_hz))
    out: Array = signal.sosfiltfilt(sections, samples, axis=-1, padlen=max(0, pad))
    return out


def standardise(samples: Array, axis: int = -1) -> Array:
    """Mean 0 and standard deviation 1 along an axis; what is flat becomes zero."""
    centred = samples - samples.mean(axis=axis, keepdims=True)
    spread = centred.std(axis=axis, keepdims=True)
    return np.asarray(centred / np.where(spread > 1e-9, spread, np.inf))


def moving_mean(samples: Array, width: int) -> Array:
    """Mean over ``width`` samples around each, over fewer at the ends."""
    total = np.concatenate([[0.0], np.cumsum(samples)])
    at = np.arange(samples.size)
    first = np.maximum(at - width // 2, 0)
    last = np.minimum(at + width - width // 2, samples.size)
    mean: Array = (total[last] - total[first]) / (last - first)
    return mean
