"""What is done at random to a spectrogram before the network sees it in training, from one generator of numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from models.signals.heart_sound.spectrogram import BANDS, centred

Spectrogram = npt.NDArray[np.float32]

#: Frames of a training window (4 s of the 5).
FRAMES = 248

#: Largest standard deviation of the random tone colour, in dB, and of the number of its bends over the bands.
COLOUR_DB = 6.0
_BENDS = 5

#: Noise is added that lies this far below the loudest, in dB.
NOISE_DB = (-60.0, -15.0)

#: Widest stripe of bands and of frames that is blanked (SpecAugment, Park DS et al., Interspeech 2019).
_BLANK_BANDS = 5
_BLANK_FRAMES = 24


def numpy_generator(generator: torch.Generator) -> np.random.Generator:
    """Make a numpy generator that hangs on a torch generator alone."""
    return np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))


def augmented(spectrogram: Spectrogram, rng: np.random.Generator) -> Spectrogram:
    """Cut, colour, add noise, centre, blank.

    Parameters
    ----------
    spectrogram
        ``[band, frame]`` in decibels.

    Returns
    -------
    array
        ``[band, FRAMES]``, centred.
    """
    first = int(rng.integers(0, max(1, spectrogram.shape[1] - FRAMES + 1)))
    cut = spectrogram[:, first : first + FRAMES]
    coloured = cut + _colour(rng)[:, None]
    noisy = _with_noise(coloured, rng) if rng.uniform() < 0.5 else coloured
    return _blanked(centred(noisy.astype(np.float32)), rng)


def _colour(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Gain of each band: what another microphone would do."""
    knots = rng.normal(size=_BENDS) * COLOUR_DB * rng.uniform()
    return np.asarray(np.interp(np.linspace(0, _BENDS - 1, BANDS), np.arange(_BENDS), knots))


def _with_noise(decibels: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Add the power of steady noise with a colour and a flutter of its own."""
    level = decibels.max() + rng.uniform(*NOISE_DB)
    noise = level + _colour(rng)[:, None] + rng.normal(size=decibels.shape) * 2.0
    return np.asarray(10 * np.log10(10 ** (decibels / 10) + 10 ** (noise / 10)))


def _blanked(values: Spectrogram, rng: np.random.Generator) -> Spectrogram:
    """Blank one stripe of bands and one of frames."""
    out = values.copy()
    for axis, widest in ((0, _BLANK_BANDS), (1, _BLANK_FRAMES)):
        width = int(rng.integers(0, widest + 1))
        first = int(rng.integers(0, out.shape[axis] - width + 1))
        out[(slice(first, first + width), slice(None)) if axis == 0 else (slice(None), slice(first, first + width))] = 0
    return out
