"""How every electrocardiogram is brought to what the network reads; training, evaluation and the model use this."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.signals.filters import Array, bandpass, fill_gaps, resample, standardise

#: What the network reads, in Hz; the P wave and the f waves of atrial fibrillation (4 to 9 Hz) lie far below half.
RATE_HZ = 100.0

#: The band of diagnostic ECG without baseline wander and mains hum; what the 12-lead training set was stored in.
BAND_HZ = (0.5, 40.0)

#: Standardised samples beyond this many standard deviations are cut: artefacts, not heart beats.
LARGEST = 12.0


def prepare(samples: npt.NDArray[np.floating], rate_hz: float) -> Array:
    """Fill gaps, resample to :data:`RATE_HZ`, keep :data:`BAND_HZ`, and standardise each lead.

    Parameters
    ----------
    samples
        ``[lead, sample]`` in any unit.
    rate_hz
        Of ``samples``.

    Returns
    -------
    array
        ``[lead, sample]``; a flat lead is zero.
    """
    filled = fill_gaps(samples)
    filtered = bandpass(resample(filled, rate_hz, RATE_HZ), RATE_HZ, *BAND_HZ)
    flat = np.ptp(filled, axis=-1, keepdims=True) <= 0
    return np.clip(standardise(np.where(flat, 0.0, filtered)), -LARGEST, LARGEST)
