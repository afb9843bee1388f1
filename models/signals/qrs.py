"""QRS complexes and the intervals between them.

After Pan J, Tompkins WJ, A real-time QRS detection algorithm (IEEE Trans Biomed Eng 1985;32:230-236) as simplified by
Hamilton P, Open source ECG analysis (Computers in Cardiology 2002;29:101-104): band-pass, slope, moving mean, peaks
above a threshold that follows the signal. The threshold here is a share of the local level of peaks, not a running
mean of those before, so the first beats of a strip are found like the rest.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage, signal

from models.signals.filters import Array, bandpass, moving_mean

Beats = npt.NDArray[np.int64]

#: Where most of a QRS complex's energy lies, in Hz.
QRS_BAND_HZ = (8.0, 20.0)

#: Width of a QRS complex, over which its slope is averaged, in seconds (Hamilton 2002: 80 ms).
QRS_WIDTH_S = 0.08

#: No two ventricular beats are nearer to each other, in seconds.
REFRACTORY_S = 0.24

#: A peak counts above this share of the local level.
THRESHOLD = 0.38

#: The level is that of the highest peaks within this many seconds.
LEVEL_WINDOW_S = 4.0

#: A QRS complex lies within this many seconds of the peak of its averaged slope.
SEARCH_S = 0.08


def slope_energy(samples: Array, rate_hz: float) -> Array:
    """Averaged absolute slope in the QRS band, summed over the channels.

    Parameters
    ----------
    samples
        ``[channel, sample]``, each channel in the same unit or standardised.

    Returns
    -------
    array
        ``[sample]``.
    """
    filtered = bandpass(samples, rate_hz, *QRS_BAND_HZ)
    slope = np.abs(np.gradient(filtered, axis=-1)).sum(axis=0)
    return moving_mean(slope, max(1, round(QRS_WIDTH_S * rate_hz)))


def find_beats(samples: Array, rate_hz: float) -> Beats:
    """Find the QRS complexes of one strip.

    Parameters
    ----------
    samples
        ``[channel, sample]``, 0.5 to 40 Hz, standardised.

    Returns
    -------
    array
        Sample index of each complex, in order: where the channel with the strongest complexes is steepest about.
    """
    if samples.shape[-1] < 2 * rate_hz:
        return np.zeros(0, dtype=np.int64)
    energy = slope_energy(samples, rate_hz)
    peaks, _ = signal.find_peaks(energy, distance=max(1, round(REFRACTORY_S * rate_hz)))
    if not peaks.size:
        return np.zeros(0, dtype=np.int64)
    chosen = peaks[energy[peaks] > THRESHOLD * _level(energy, peaks, rate_hz)]
    return _to_extremes(samples, chosen, rate_hz)


def _level(energy: Array, peaks: Beats, rate_hz: float) -> Array:
    """Local level of QRS peaks at each peak: between the highest within seconds and the usual one of the strip.

    A spike of noise raises the level of its surroundings only up to twice the strip's own.
    """
    highest = ndimage.maximum_filter1d(energy, max(1, round(LEVEL_WINDOW_S * rate_hz)))
    smooth = moving_mean(highest, max(1, round(LEVEL_WINDOW_S * rate_hz)))
    usual = float(np.median(highest))
    level: Array = np.clip(smooth, 0.3 * usual, 1.5 * usual)[peaks]
    return level


def _to_extremes(samples: Array, peaks: Beats, rate_hz: float) -> Beats:
    """Move each peak of the energy to the largest deflection of the channel that shows the beats best."""
    reach = max(1, round(SEARCH_S * rate_hz))
    size = samples.shape[-1]
    spans = [(max(0, int(peak) - reach), min(size, int(peak) + reach + 1)) for peak in peaks]
    if not spans:
        return np.zeros(0, dtype=np.int64)
    heights = [np.median([np.abs(channel[a:b]).max() for a, b in spans]) for channel in samples]
    best = np.abs(samples[int(np.argmax(heights))])
    return np.unique([a + int(np.argmax(best[a:b])) for a, b in spans]).astype(np.int64)
