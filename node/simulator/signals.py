"""Made-up signals of the heart and a voice: from published models and formulae; nobody was recorded.

* The ECG is ECGSYN (McSharry, Clifford, Tarassenko, Smith: A dynamical model for generating synthetic
  electrocardiogram signals. IEEE Trans Biomed Eng 2003;50:289): a point goes round a circle once a beat, and near the
  angle of each wave it is drawn up or down. Its parameters are those of the paper's table 1, for one lead; how much of
  each wave the other leads show (:data:`LEADS`) is this project's choice, after what textbooks show.
* Atrial fibrillation has no P wave, a ventricular rhythm without memory, and the fibrillatory wave of Stridh and Sörnmo
  (IEEE Trans Biomed Eng 2001;48:105): a sawtooth whose frequency and size waver.
* A heart sound is two short tones a beat, and between them, where there is a murmur, noise of 100 to 300 Hz that swells
  and fades.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

#: Waves P, Q, R, S, T: angle in radians, size, width (table 1 of the paper).
ANGLES: Array = np.array([-np.pi / 3, -np.pi / 12, 0.0, np.pi / 12, np.pi / 2])
SIZES: Array = np.array([1.2, -5.0, 30.0, -7.5, 0.75])
WIDTHS: Array = np.array([0.25, 0.1, 0.1, 0.1, 0.4])

#: Part of each wave that a lead shows; the other four limb leads follow from I and II.
LEADS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "I": (0.6, 0.5, 0.6, 0.4, 0.7),
        "II": (1.0, 1.0, 1.0, 1.0, 1.0),
        "V1": (0.4, 0.0, 0.2, 2.4, -0.3),
        "V2": (0.5, 0.0, 0.5, 2.8, 1.2),
        "V3": (0.5, 0.2, 0.8, 2.0, 1.3),
        "V4": (0.6, 0.5, 1.2, 1.2, 1.3),
        "V5": (0.6, 0.8, 1.1, 0.6, 1.1),
        "V6": (0.6, 0.8, 0.8, 0.3, 0.8),
    }
)
TWELVE = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

#: Millivolts of a unit of the model, so that lead II's R wave is about 1 mV high.
MILLIVOLTS = 3.3

#: Breaths a second, and height in mV of the baseline's wander with them.
BREATHING_HZ, WANDER_MV = 0.25, 0.05


@dataclass(frozen=True, eq=False)
class Ecg:
    """An ECG: ``[lead, sample]`` in mV, names of the leads, samples a second, and when each beat is, in s."""

    array: Array
    leads: tuple[str, ...]
    rate_hz: float
    beats: Array


def ecg(
    seed: int, *, seconds: float = 10.0, rate_hz: float = 500.0, fibrillation: bool = False, heart_rate: float = 72.0
) -> Ecg:
    """Make twelve leads.

    Parameters
    ----------
    seed
        Chooses rhythm, size and noise; the same gives the same.
    fibrillation
        Atrial fibrillation in place of sinus rhythm.
    heart_rate
        Mean, beats a minute; fibrillation is a third faster.
    """
    rng = np.random.default_rng(seed)
    beats = fibrillating(rng, seconds, heart_rate * 4 / 3) if fibrillation else sinus(rng, seconds, heart_rate)
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    waves = _waves(time, beats, rate_hz)
    if fibrillation:
        waves[0] = fibrillatory(rng, time)
    waves *= MILLIVOLTS * rng.uniform(0.85, 1.15, (len(waves), 1))
    found = {name: np.asarray(share) @ waves for name, share in LEADS.items()}
    wander = WANDER_MV * np.sin(2 * np.pi * BREATHING_HZ * time + rng.uniform(0, 2 * np.pi))
    for array in found.values():
        array += wander * rng.uniform(0.5, 1.5) + 0.008 * rng.standard_normal(len(time))
    one, two = found["I"], found["II"]
    found |= {"III": two - one, "aVR": -(one + two) / 2, "aVL": one - two / 2, "aVF": two - one / 2}
    return Ecg(np.stack([found[name] for name in TWELVE]), TWELVE, rate_hz, beats[beats < seconds])


def sinus(rng: np.random.Generator, seconds: float, heart_rate: float, deviation: float = 0.04) -> Array:
    """Times of beats whose distances vary with blood pressure (0.1 Hz) and breathing (0.25 Hz), as in the paper."""
    mean = 60.0 / heart_rate
    count = int(seconds / mean * 1.5) + 16
    frequency = np.fft.rfftfreq(count, mean)
    power = 0.5 * np.exp(-0.5 * ((frequency - 0.1) / 0.01) ** 2) + np.exp(-0.5 * ((frequency - 0.25) / 0.01) ** 2)
    phases = np.exp(2j * np.pi * rng.random(len(frequency)))
    tachogram = np.fft.irfft((np.sqrt(power) + 1e-9) * phases, count)
    tachogram *= deviation * mean / tachogram.std()
    beats: Array = np.cumsum(np.clip(mean + tachogram, 0.3, 2.5)) - mean / 2
    return beats


def fibrillating(rng: np.random.Generator, seconds: float, heart_rate: float) -> Array:
    """Times of beats without memory: distances of a gamma distribution, none below what the AV node lets through."""
    mean, shortest = 60.0 / heart_rate, 0.28
    count = int(seconds / mean * 2) + 16
    beats: Array = np.cumsum(shortest + rng.gamma(4.0, (mean - shortest) / 4.0, count)) - mean / 2
    return beats


def fibrillatory(rng: np.random.Generator, time: Array) -> Array:
    """The atrial wave of Stridh and Sörnmo, in units of the model: five harmonics of 5 to 7 Hz that waver."""
    main, swing, wavers = rng.uniform(5.0, 7.0), rng.uniform(0.2, 0.5), rng.uniform(0.1, 0.3)
    phase = 2 * np.pi * main * time + swing / wavers * np.sin(2 * np.pi * wavers * time)
    size = 0.02 + 0.007 * np.sin(2 * np.pi * rng.uniform(0.1, 0.4) * time)
    wave: Array = sum(
        (2 / (n * np.pi) * size * np.sin(n * phase + rng.uniform(0, 0.3)) for n in range(1, 6)), np.zeros(len(time))
    )
    return wave


def _waves(time: Array, beats: Array, rate_hz: float) -> Array:
    """Solve the model's equation for each wave alone: ``[wave, sample]``.

    ``z' = -sum(a_i d_i exp(-d_i^2 / (2 b_i^2))) - z`` with ``d_i`` the angle to wave ``i``; the equation is linear in
    the waves. Time runs faster round the circle in a short beat, and the waves' angles follow the rate as in ECGSYN.
    """
    edges = np.concatenate([[beats[0] - np.diff(beats[:2])[0]], beats])
    turns = np.interp(time, edges, np.arange(len(edges), dtype=float))
    angle = 2 * np.pi * (turns % 1.0)
    quick = np.sqrt(1.0 / np.clip(np.interp(time, edges[1:], np.diff(edges)), 0.5, 1.5))  # square root of rate / 60
    moved = np.stack([np.sqrt(quick), quick, np.ones_like(quick), quick, np.sqrt(quick)]) * ANGLES[:, None]
    apart = (angle - moved + np.pi) % (2 * np.pi) - np.pi
    width = WIDTHS[:, None] * quick
    omega = 2 * np.pi * np.gradient(turns, time)
    pull = -SIZES[:, None] * omega * apart * np.exp(-0.5 * (apart / width) ** 2)
    fading = np.exp(-np.arange(len(time)) / rate_hz) / rate_hz  # what is left of a pull after a time: z' = ... - z
    size = 2 * len(time)
    waves: Array = np.fft.irfft(np.fft.rfft(pull, size) * np.fft.rfft(fading, size), size)[:, : len(time)]
    return waves


def heart_sound(
    seed: int, *, seconds: float = 10.0, rate_hz: float = 4000.0, murmur: bool = False, heart_rate: float = 72.0
) -> Array:
    """Make a phonocardiogram: ``[sample]``, parts of full scale; with a systolic murmur if asked for."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    beats = sinus(rng, seconds, heart_rate)
    sound = 0.004 * rng.standard_normal(len(time))
    swell = np.zeros(len(time))
    for beat, following in pairwise(beats):
        systole = 0.22 + 0.12 * (following - beat)
        sound += 0.45 * _thump(time, beat, 45.0, 0.022) + 0.3 * _thump(time, beat + systole, 62.0, 0.016)
        swell += np.exp(-0.5 * ((time - beat - systole / 2) / (systole / 5)) ** 2)
    if murmur:
        spectrum, hertz = np.fft.rfft(rng.standard_normal(len(time))), np.fft.rfftfreq(len(time), 1 / rate_hz)
        noise = np.fft.irfft(np.where((hertz > 100) & (hertz < 300), spectrum, 0), len(time))
        sound += 0.12 * swell * noise / noise.std()
    clipped: Array = np.clip(sound, -1.0, 1.0)
    return clipped


def _thump(time: Array, at: float, hertz: float, width: float) -> Array:
    apart = time - at
    tone: Array = np.exp(-0.5 * (apart / width) ** 2) * np.sin(2 * np.pi * hertz * apart + 0.5)
    return tone


def tones(*, seconds: float = 3.0, rate_hz: float = 8000.0) -> Array:
    """Make a rising sequence of tones in place of a dictation: ``[sample]``, parts of full scale."""
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    steps = np.minimum((time / seconds * 8).astype(int), 7)
    hertz = 220.0 * 2 ** (np.array([0, 2, 4, 5, 7, 9, 11, 12]) / 12)
    within = (time / seconds * 8) % 1.0
    array: Array = 0.5 * np.sin(2 * np.pi * hertz[steps] * time) * np.sin(np.pi * within) ** 0.5
    return array
