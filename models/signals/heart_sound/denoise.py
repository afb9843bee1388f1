"""What is taken out of a heart sound before it is looked at: rumble, hiss, rubbing of the stethoscope, steady noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import signal

from models.signals.filters import Array, bandpass, fill_gaps, resample

#: What everything is brought to, in Hz; the training set's own rate.
RATE_HZ = 2000.0

#: Where heart sounds and murmurs lie (Schmidt SE et al., Physiol Meas 2010;31:513-529).
BAND_HZ = (25.0, 400.0)

#: Frames in which spikes are looked for, in seconds, and how far above the usual frame's peak a spike stands.
SPIKE_FRAME_S = 0.5
SPIKE_FACTOR = 3.0

#: What is put in the place of a spike.
_SPIKE_VALUE = 0.0001

#: Spectral subtraction: length of its frames in samples, the share of quiet frames whose spectrum is taken for the
#: noise, and what is left of a bin at least.
_FRAME = 128
_QUIET_SHARE = 0.1
_FLOOR = 0.1


def remove_spikes(samples: Array, rate_hz: float = RATE_HZ) -> Array:
    """Remove spikes of friction, after Schmidt et al. 2010.

    While the peak of a half-second frame exceeds three times the median peak of all frames, the samples around it, out
    to where the signal crosses zero, are flattened.

    Parameters
    ----------
    samples
        ``[sample]``.
    """
    size = round(SPIKE_FRAME_S * rate_hz)
    whole = samples.size // size * size
    if whole < 2 * size:
        return samples
    frames = samples[:whole].reshape(-1, size).copy()
    for _ in range(frames.size):  # each round flattens at least one sample, so it ends
        peaks = np.abs(frames).max(axis=1)
        worst = int(np.argmax(peaks))
        if peaks[worst] <= SPIKE_FACTOR * max(float(np.median(peaks)), _SPIKE_VALUE):
            break
        _flatten_peak(frames[worst])
    return np.concatenate([frames.reshape(-1), samples[whole:]])


def _flatten_peak(frame: Array) -> None:
    """Flatten the highest peak of a frame, between the crossings of zero around it, in place."""
    at = int(np.argmax(np.abs(frame)))
    crossings = np.flatnonzero(np.diff(np.signbit(frame)))
    before, after = crossings[crossings < at], crossings[crossings >= at]
    first = int(before[-1]) + 1 if before.size else 0
    last = int(after[0]) + 1 if after.size else frame.size
    frame[first:last] = _SPIKE_VALUE


def subtract_noise(samples: Array, rate_hz: float = RATE_HZ) -> Array:
    """Subtract the steady part of the spectrum (Boll SF, IEEE Trans Acoust 1979;27:113-120).

    The noise's magnitude in each bin is the mean over the quietest frames.
    """
    if samples.size < 4 * _FRAME:
        return samples
    _, _, spectrum = signal.stft(samples, rate_hz, nperseg=_FRAME)
    magnitude = np.abs(spectrum)
    loudness = magnitude.sum(axis=0)
    quiet = magnitude[:, loudness <= np.quantile(loudness, _QUIET_SHARE)].mean(axis=1, keepdims=True)
    gain = np.maximum(1 - quiet / np.maximum(magnitude, 1e-12), _FLOOR)
    _, cleaned = signal.istft(spectrum * gain, rate_hz, nperseg=_FRAME)
    out: Array = np.asarray(cleaned[: samples.size], dtype=np.float64)
    return np.pad(out, (0, samples.size - out.size))


def prepare(samples: npt.NDArray[np.floating], rate_hz: float, *, subtract: bool = False) -> Array:
    """Bring one channel to :data:`RATE_HZ`, the band of heart sounds, and the height 1 (standard deviation).

    Parameters
    ----------
    samples
        ``[sample]``; what is not a number is joined by a line.
    subtract
        Whether steady noise is subtracted too.
    """
    filled = fill_gaps(np.asarray(samples, dtype=np.float64)[None])[0]
    sound = remove_spikes(bandpass(resample(filled, rate_hz, RATE_HZ), RATE_HZ, *BAND_HZ, order=2))
    if subtract:
        sound = subtract_noise(sound)
    spread = float(sound.std())
    return sound / spread if spread > 1e-9 else np.zeros_like(sound)
