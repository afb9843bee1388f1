"""What is done at random to a strip before the network sees it in training; all numbers come from one generator."""

from __future__ import annotations

import numpy as np
import torch

from models.signals.ecg.preparing import LARGEST, RATE_HZ
from models.signals.ecg.reading import Window, make_window
from models.signals.filters import Array, moving_mean
from models.signals.qrs import Beats
from models.training.ecg_af.data import Strip

#: The heart beats faster or slower by at most this share (the strip is stretched).
STRETCH = 0.1

#: Least share of a strip that is kept where it is cut.
LEAST_KEPT = 0.85

#: Share of strips that are turned upside down (electrodes exchanged).
UPSIDE_DOWN = 0.25


def numpy_generator(generator: torch.Generator) -> np.random.Generator:
    """Make a numpy generator that hangs on a torch generator alone."""
    return np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))


def crop(strip: Strip, longest: int, rng: np.random.Generator) -> tuple[Array, Beats]:
    """Cut a random stretch of a random length; a label may rest on one beat, so most of a strip is kept."""
    size = min(strip.samples.shape[-1], longest)
    length = int(rng.integers(int(LEAST_KEPT * size), size + 1))
    first = int(rng.integers(0, strip.samples.shape[-1] - length + 1))
    beats = strip.beats[(strip.beats >= first) & (strip.beats < first + length)] - first
    return strip.samples[:, first : first + length], beats


def stretch(samples: Array, beats: Beats, longest: int, rng: np.random.Generator) -> tuple[Array, Beats]:
    """Let the time run faster or slower."""
    factor = 1.0 + STRETCH * float(rng.uniform(-1, 1))
    size = samples.shape[-1]
    length = min(longest, int(size * factor))
    at = np.arange(length) / factor
    stretched = np.stack([np.interp(at, np.arange(size), row) for row in samples])
    moved = np.round(beats * factor).astype(np.int64)
    return stretched, moved[moved < length]


def disturb(samples: Array, rng: np.random.Generator) -> Array:
    """Add noise of muscles and electrodes, let the height of the beats vary, and turn some strips upside down."""
    leads, size = samples.shape
    time_s = np.arange(size) / RATE_HZ
    height = 1.0 + 0.2 * rng.uniform() * np.sin(2 * np.pi * (rng.uniform(0.05, 0.4) * time_s + rng.uniform()))
    white = rng.normal(size=(leads, size)) * 0.15 * rng.uniform() ** 2
    smooth = np.stack([moving_mean(rng.normal(size=(size,)), 25) for _ in range(leads)]) * 1.5 * rng.uniform() ** 2
    sign = -1.0 if rng.uniform() < UPSIDE_DOWN else 1.0
    return np.clip(sign * samples * height + white + smooth, -LARGEST, LARGEST)


def augmented(strip: Strip, leads: int, longest: int, generator: torch.Generator) -> Window:
    """Make a training window of ``longest`` samples, padded, of ``leads`` leads drawn at random."""
    rng = numpy_generator(generator)
    samples, beats = crop(strip, longest, rng)
    samples, beats = stretch(samples, beats, longest, rng)
    chosen = rng.permutation(samples.shape[0])[:leads]
    return make_window(disturb(samples[chosen], rng), beats, longest)
