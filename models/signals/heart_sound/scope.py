"""Whether a recording is one of heart sounds at all: loudness, clipping, rhythm, likeness to the training set."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import signal

from models.contracts import InputDeclined
from models.signals.filters import Array, bandpass, fill_gaps, moving_mean
from models.signals.heart_sound.denoise import RATE_HZ
from models.signals.heart_sound.parts import RATE_RANGE

#: Quieter than this (root mean square, part of full scale) is silence: the quietest training recording has 0.007.
SILENCE = 5e-4

#: More than this share of the samples at the largest value, next to another one there, is clipping.
CLIPPED = 0.01

#: Of the energy above 25 Hz, the share above 400 Hz: heart sounds have little there, speech has much. Of the training
#: recordings 99 % have less than 0.03.
LARGEST_HIGH_SHARE = 0.5

#: Steady noise: bands that vary by less than this over time, in dB (white noise by 4.5, of the training recordings 99 %
#: by more than 5.1), and an envelope whose autocorrelation at the period of beats is below this.
LEAST_MODULATION_DB = 5.0
LEAST_PERIODICITY = 0.45

#: Of two times after which the envelope repeats, the shorter one is the beat's if it does so this nearly as well.
NEARLY = 0.8

#: Rate of the envelope, in Hz.
_ENVELOPE_HZ = 50.0


def check_loudness(samples: npt.NDArray[np.floating], rate_hz: float) -> None:
    """Raise :class:`InputDeclined` for silence, clipping, and energy where heart sounds have none.

    Parameters
    ----------
    samples
        ``[sample]``, as recorded (-1 to 1).
    """
    filled = fill_gaps(np.asarray(samples, dtype=np.float64)[None])[0]
    filled = filled - filled.mean()
    if float(filled.std()) < SILENCE:
        raise InputDeclined("The recording is silent.")
    if clipped_share(filled) > CLIPPED:
        raise InputDeclined("The recording is clipped: it was too loud for the recorder.")
    if high_share(filled, rate_hz) > LARGEST_HIGH_SHARE:
        raise InputDeclined("Most of the sound lies above 400 Hz, where heart sounds have little: speech or noise.")


def clipped_share(samples: Array) -> float:
    """Share of the samples that lie on a plateau at the largest value."""
    size = np.abs(samples)
    peak = float(size.max())
    level = np.abs(np.diff(samples)) <= peak / 2**14
    return float(np.mean((size[1:] >= 0.995 * peak) & level))


def high_share(samples: Array, rate_hz: float) -> float:
    """Share of the energy above 25 Hz that lies above 400 Hz."""
    size = min(samples.size, max(64, round(rate_hz / 4)))
    frequency, power = signal.welch(samples, rate_hz, nperseg=size)
    return float(power[frequency > 400].sum() / max(float(power[frequency > 25].sum()), 1e-20))


def rhythm(sound: Array) -> tuple[float, float]:
    """Beats a minute and how periodic the sound is (0 to 1), by the autocorrelation of its envelope.

    Parameters
    ----------
    sound
        Denoised, at :data:`~models.signals.heart_sound.denoise.RATE_HZ`.

    Notes
    -----
    Two beats repeat as well as one, so the shortest time wins that repeats nearly as well as the best one.
    """
    step = round(RATE_HZ / _ENVELOPE_HZ)
    power = moving_mean(np.log(moving_mean(sound**2, step) + 1e-3), step)[::step]
    if power.size < 2 * _ENVELOPE_HZ:
        return 0.0, 0.0
    band = bandpass(power[None], _ENVELOPE_HZ, 0.5, 8.0, order=2)[0]
    correlation = signal.correlate(band, band, "full")[band.size - 1 :]
    counts = np.arange(band.size, 0, -1)
    correlation = correlation / counts / max(float(np.mean(band**2)), 1e-12)
    first, last = (round(60 * _ENVELOPE_HZ / rate) for rate in reversed(RATE_RANGE))
    last = min(last, band.size // 2)
    window = correlation[first : last + 1]
    peaks, _ = signal.find_peaks(window, height=NEARLY * float(window.max()))
    best = first + (int(peaks[0]) if peaks.size else int(np.argmax(window)))
    return 60.0 * _ENVELOPE_HZ / best, float(np.clip(correlation[best], 0, 1))


def check_steadiness(modulation_db: float, periodicity: float) -> None:
    """Raise :class:`InputDeclined` for steady noise: nothing in it comes and goes as heart beats do.

    Parameters
    ----------
    modulation_db
        Mean over the bands of their standard deviation over time.
    periodicity
        See :func:`rhythm`.
    """
    if modulation_db < LEAST_MODULATION_DB and periodicity < LEAST_PERIODICITY:
        raise InputDeclined("No heart beat can be heard: the recording is a steady noise.")


def describe(spectrogram: npt.NDArray[np.float32]) -> Array:
    """Numbers of a window that tell heart sounds from others: spread of each band over time, and shape over the bands.

    Parameters
    ----------
    spectrogram
        ``[band, frame]`` in decibels.

    Returns
    -------
    array
        ``[2 * band]``; loudness does not matter.
    """
    mean = spectrogram.mean(axis=1)
    return np.concatenate([spectrogram.std(axis=1), mean - mean.mean()]).astype(np.float64)
