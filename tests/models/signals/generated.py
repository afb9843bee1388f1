"""Generated electrocardiograms and sounds, with known beats."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models.contracts import Channel, Waveform
from models.signals.filters import bandpass

Array = npt.NDArray[np.float64]

TWELVE = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

#: Height (mV) in lead II, distance from the R peak (s) and width (s) of a beat's waves; the first one is the P wave.
WAVES = ((0.15, -0.17, 0.025), (-0.1, -0.04, 0.01), (1.2, 0.0, 0.011), (-0.25, 0.03, 0.011), (0.3, 0.26, 0.05))

#: How lead II's waves appear in each of the twelve, roughly.
PROJECTION = {"I": 0.7, "II": 1.0, "III": 0.4, "aVR": -0.85, "aVL": 0.25, "aVF": 0.7, "V1": -0.5, "V2": 0.6, "V3": 1.0,
              "V4": 1.3, "V5": 1.2, "V6": 0.9}  # fmt: skip


def sinus_beats(seconds: float, rng: np.random.Generator, per_minute: float = 70.0) -> Array:
    """Times of beats that hardly vary, in seconds."""
    intervals = 60 / per_minute * (1 + 0.015 * rng.normal(size=int(seconds * per_minute / 60) + 10))
    times = 0.4 + np.cumsum(intervals)
    return times[times < seconds - 0.4]


def fibrillating_beats(seconds: float, rng: np.random.Generator, per_minute: float = 95.0) -> Array:
    """Times of beats that come at random, in seconds."""
    intervals = np.clip(rng.normal(60 / per_minute, 0.24 * 60 / per_minute, int(seconds * 3) + 10), 0.32, None)
    times = 0.4 + np.cumsum(intervals)
    return times[times < seconds - 0.4]


def trace(seconds: float, rate_hz: float, beats: Array, p_wave: Array | bool = True) -> Array:
    """Lead II of these beats in mV; ``p_wave`` for each beat or for all."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    out = np.zeros(time_s.size)
    shown = np.broadcast_to(p_wave, beats.shape)
    for beat, with_p in zip(beats, shown, strict=True):
        for height, at, width in WAVES if with_p else WAVES[1:]:
            first, last = np.searchsorted(time_s, [beat + at - 5 * width, beat + at + 5 * width])
            out[first:last] += height * np.exp(-((time_s[first:last] - beat - at) ** 2) / (2 * width**2))
    return out


def f_waves(seconds: float, rate_hz: float, rng: np.random.Generator) -> Array:
    """Waves of fibrillation: 0.05 mV at about 6 Hz, wandering."""
    steps = rng.normal(size=round(seconds * rate_hz)) * 2.0
    frequency = 6.0 + np.convolve(steps, np.ones(round(rate_hz)) / rate_hz, "same")
    return np.asarray(0.05 * np.sin(2 * np.pi * np.cumsum(frequency) / rate_hz))


def lead_two(seconds: float, rate_hz: float, seed: int, *, fibrillation: bool = False) -> tuple[Array, Array]:
    """Lead II with some noise and baseline wander, and the times of its beats."""
    rng = np.random.default_rng(seed)
    beats = fibrillating_beats(seconds, rng) if fibrillation else sinus_beats(seconds, rng)
    clean = trace(seconds, rate_hz, beats, p_wave=not fibrillation)
    if fibrillation:
        clean = clean + f_waves(seconds, rate_hz, rng)
    return with_noise(clean, rate_hz, rng), beats


def with_noise(clean: Array, rate_hz: float, rng: np.random.Generator) -> Array:
    """Add 0.01 mV of noise, mains hum and baseline wander."""
    time_s = np.arange(clean.size) / rate_hz
    hum = 0.02 * np.sin(2 * np.pi * 50 * time_s)
    wander = 0.2 * np.sin(2 * np.pi * 0.2 * time_s + rng.uniform(0, 6))
    return np.asarray(clean + hum + wander + 0.01 * rng.normal(size=clean.size))


def ecg(samples: Array, rate_hz: float, names: Sequence[str] = ("II",)) -> Waveform:
    """Make an electrocardiogram of ``[lead, sample]`` or ``[sample]`` in mV."""
    array = np.atleast_2d(samples).astype(np.float32)
    return Waveform(array, rate_hz, tuple(Channel(name, None, "mV") for name in names), "ECG")


def twelve_leads(lead: Array, rng: np.random.Generator) -> Array:
    """Twelve leads of lead II, each with noise of its own."""
    return np.stack([PROJECTION[name] * lead + 0.01 * rng.normal(size=lead.size) for name in TWELVE])


def heart_sound(
    seconds: float, rate_hz: float, seed: int, *, murmur: float = 0.0, per_minute: float = 70.0
) -> tuple[Array, Array]:
    """First and second sounds, with a murmur of this height in the systole, and the times of the first sounds."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    starts = np.arange(0.3, seconds - 0.4, 60 / per_minute)
    out = 0.002 * rng.normal(size=time_s.size)
    noise = bandpass(rng.normal(size=(1, time_s.size)), rate_hz, 100, 300)[0]
    noise /= noise.std()
    for start in starts:
        for at, height, frequency, decay in ((0.0, 0.4, 55, 0.02), (0.3, 0.3, 75, 0.015)):
            since = np.maximum(time_s - start - at, 0)
            out += height * np.exp(-since / decay) * np.sin(2 * np.pi * frequency * since)
        systole = (time_s > start + 0.07) & (time_s < start + 0.28)
        out += np.where(systole, murmur * noise, 0)
    return out, starts


def sound(samples: Array, rate_hz: float, name: str = "PCG") -> Waveform:
    """Make a sound of ``[sample]``, part of full scale."""
    return Waveform(samples[None].astype(np.float32), rate_hz, (Channel(name, None, ""),), "AU")
