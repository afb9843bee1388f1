"""The log-mel spectrogram: how loud each band is over time, in decibels."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import signal

from models.signals.filters import Array
from models.signals.heart_sound.denoise import BAND_HZ, RATE_HZ

#: Samples of a frame (64 ms), between frames (16 ms), and of the transform.
FRAME = 128
HOP = 32
TRANSFORM = 256

#: Bands of the mel scale over :data:`~models.signals.heart_sound.denoise.BAND_HZ`.
BANDS = 32

#: Decibels below the loudest that are told apart.
RANGE_DB = 80.0

#: Seconds between the columns of the spectrogram.
STEP_S = HOP / RATE_HZ


def hertz_to_mel(hertz: float | Array) -> Array:
    """Mel scale, 2595 log10(1 + f / 700) (O'Shaughnessy 1987)."""
    return np.asarray(2595.0 * np.log10(1.0 + np.asarray(hertz) / 700.0))


def mel_to_hertz(mel: float | Array) -> Array:
    """Undo :func:`hertz_to_mel`."""
    return np.asarray(700.0 * (10.0 ** (np.asarray(mel) / 2595.0) - 1.0))


@cache
def mel_filters() -> Array:
    """Triangles of :data:`BANDS` bands, ``[band, frequency]``; each sums to 1."""
    low, high = (float(hertz_to_mel(edge)) for edge in BAND_HZ)
    edges = mel_to_hertz(np.linspace(low, high, BANDS + 2))
    frequencies = np.fft.rfftfreq(TRANSFORM, 1 / RATE_HZ)
    rising = (frequencies[None] - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - frequencies[None]) / (edges[2:] - edges[1:-1])[:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return np.asarray(triangles / np.maximum(triangles.sum(axis=1, keepdims=True), 1e-9))


def log_mel(sound: Array) -> npt.NDArray[np.float32]:
    """Log-mel spectrogram in decibels.

    Parameters
    ----------
    sound
        ``[sample]`` at :data:`~models.signals.heart_sound.denoise.RATE_HZ`, of standard deviation 1.

    Returns
    -------
    array
        ``[band, frame]`` float32; a frame every :data:`STEP_S`, the first one centred on the first sample.
    """
    _, _, spectrum = signal.stft(sound, RATE_HZ, nperseg=FRAME, noverlap=FRAME - HOP, nfft=TRANSFORM, padded=False)
    power = mel_filters() @ (np.abs(spectrum) ** 2)
    floor = max(float(power.max()), 1e-12) * 10 ** (-RANGE_DB / 10)
    return np.asarray(10.0 * np.log10(np.maximum(power, floor)), dtype=np.float32)


def centred(spectrogram: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Take each band's mean over time out, and scale by 10 dB.

    What a microphone or a stethoscope adds to a band is a constant in decibels: without it the network sees how the
    sound changes with the heart beat, not which device recorded it.
    """
    return np.asarray((spectrogram - spectrogram.mean(axis=1, keepdims=True)) / 10.0, dtype=np.float32)
