"""Numbers of the beats' shapes: the usual beat, its width and waves, and the beats that are unlike it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from models.signals.ecg.details.intervals import EARLY, MOST, correlation, usual_around
from models.signals.filters import Array
from models.signals.qrs import Beats

#: A beat is looked at from so many seconds before its R peak to so many after it.
BEFORE_S, AFTER_S = 0.32, 0.48

#: Fewer beats than this have no usual shape.
FEWEST = 3

#: Samples of the usual beat that are averaged to one number, at 100 Hz.
_BIN = 5

#: A QRS complex is searched within this many seconds of the R peak.
_WIDEST_S = 0.16

_WIDTHS = (0.15, 0.3, 0.5)
_QUANTILES = (0.0, 0.05, 0.15, 0.5)


@dataclass(frozen=True, eq=False)
class Shapes:
    """The beats of one lead.

    Parameters
    ----------
    beats
        ``[beat, sample]`` about each beat, as recorded.
    usual
        Median of them, ``[sample]``.
    whole
        Which of all beats these are: those that do not lie at an end.
    height
        Of the usual R peak above the median of the usual beat; at least 0.3.
    sign
        -1 where the R peak points down, else 1.
    at
        Sample of the R peak.
    rate_hz
        Of the samples.
    """

    beats: Array
    usual: Array
    whole: npt.NDArray[np.bool_]
    height: float
    sign: float
    at: int
    rate_hz: float


def cut(lead: Array, beats: Beats, rate_hz: float) -> Shapes | None:
    """Cut the beats out of a lead; None where there are fewer than :data:`FEWEST` whole ones."""
    before, after = round(BEFORE_S * rate_hz), round(AFTER_S * rate_hz)
    whole = (beats >= before) & (beats + after < lead.size)
    if whole.sum() < FEWEST:
        return None
    found = lead[beats[whole][:, None] + np.arange(-before, after)]
    usual = np.median(found, axis=0)
    peak = float(usual[before] - np.median(usual))
    return Shapes(found, usual, whole, max(abs(peak), 0.3), -1.0 if peak < 0 else 1.0, before, rate_hz)


def describe_shapes(shapes: Shapes, beats: Beats) -> dict[str, float]:
    """Numbers of the beats; ``beats`` are all of the strip."""
    return {**_usual(shapes), **_unlike(shapes, beats), **_widths(shapes), **_p_wave(shapes)}


def likeness(beats: Array, usual: Array) -> Array:
    """Correlation of each row with one shape."""
    a = beats - beats.mean(axis=1, keepdims=True)
    b = usual - usual.mean()
    return np.asarray((a @ b) / np.maximum(np.sqrt((a**2).sum(axis=1) * (b**2).sum()), 1e-9))


def _usual(shapes: Shapes) -> dict[str, float]:
    """Describe the usual beat, upright and 1 high: itself, QRS, ST segment, T wave."""
    beat = (shapes.usual - np.median(shapes.usual)) / (shapes.height * shapes.sign)
    at, hz = shapes.at, shapes.rate_hz
    t_wave = beat[at + round(0.14 * hz) : at + round(0.44 * hz)]
    found = {f"beat_{place:02d}": float(value) for place, value in enumerate(beat.reshape(-1, _BIN).mean(axis=1))}
    return found | {
        "r_sign": shapes.sign,
        "r_height": shapes.height,
        "qrs_area": float(np.abs(beat[at - round(0.08 * hz) : at + round(0.12 * hz)]).mean()),
        "s_depth": float(beat[at : at + round(0.12 * hz)].min()),
        "q_depth": float(beat[at - round(0.1 * hz) : at].min()),
        "st": float(beat[at + round(0.08 * hz) : at + round(0.13 * hz)].mean()),
        "t_most": float(t_wave.max()),
        "t_least": float(t_wave.min()),
        "t_at_s": float(np.argmax(np.abs(t_wave))) / hz,
    }


def _unlike(shapes: Shapes, beats: Beats) -> dict[str, float]:
    """Beats unlike the usual one, and whether they come early (ventricular) or early beats are like it (atrial)."""
    near = slice(shapes.at - round(0.1 * shapes.rate_hz), shapes.at + round(0.16 * shapes.rate_hz))
    qrs, beat = likeness(shapes.beats[:, near], shapes.usual[near]), likeness(shapes.beats, shapes.usual)
    intervals = np.diff(beats) / shapes.rate_hz
    relative = np.concatenate([[1.0], intervals / usual_around(intervals)])[shapes.whole]
    early = relative < EARLY
    found = {f"qrs_like_q{share:g}": float(np.quantile(qrs, share)) for share in _QUANTILES}
    found |= {f"beat_like_q{share:g}": float(np.quantile(beat, share)) for share in _QUANTILES}
    return found | {
        "unlike": _count(qrs < 0.85),
        "most_unlike": _count(qrs < 0.6),
        "early_unlike": _count((qrs < 0.85) & (relative < 0.9)),
        "early_like": _count((qrs >= 0.9) & early),
        "likeness_of_early": float(qrs[early].mean()) if early.any() else 1.0,
        "likeness_of_earliest": float(qrs[np.argmin(relative)]),
    }


def _count(flags: npt.NDArray[np.bool_]) -> float:
    return float(min(MOST, int(flags.sum())))


def _widths(shapes: Shapes) -> dict[str, float]:
    widths = np.array([_width(beat, shapes, 0.3) for beat in shapes.beats])
    heights = np.abs(shapes.beats[:, shapes.at] - np.median(shapes.beats, axis=1))
    usual = max(float(np.median(heights)), 1e-3)
    return {f"width_{level:g}_s": _width(shapes.usual, shapes, level) for level in _WIDTHS} | {
        "width_most_s": float(widths.max()),
        "width_upper_s": float(np.quantile(widths, 0.9)),
        "width_spread_s": float(widths.std()),
        "height_cv": float(heights.std()) / max(float(heights.mean()), 1e-3),
        "r_most": float(heights.max()) / usual,
        "r_least": float(heights.min()) / usual,
    }


def _width(beat: Array, shapes: Shapes, level: float) -> float:
    """Time about the R peak for which a beat stands above a share of its height, in seconds."""
    reach = round(_WIDEST_S * shapes.rate_hz)
    above = np.abs(beat - np.median(beat))
    top = float(above[shapes.at - 2 : shapes.at + 3].max())
    low = above[shapes.at - reach : shapes.at + reach] <= level * top
    before, after = np.flatnonzero(low[:reach]), np.flatnonzero(low[reach + 1 :])
    first = before[-1] + 1 if before.size else 0
    last = reach + after[0] if after.size else 2 * reach - 1
    return float(last - first + 1) / shapes.rate_hz


def straightened(rows: Array) -> Array:
    """Subtract from each row the line that fits it best."""
    line = np.linspace(-1.0, 1.0, rows.shape[1])
    slope = rows @ line / float(line @ line)
    return np.asarray(rows - rows.mean(axis=1, keepdims=True) - slope[:, None] * line)


def _p_wave(shapes: Shapes) -> dict[str, float]:
    """What comes before the QRS complex: its usual form, how high it is, and how much repeats from beat to beat."""
    hz = shapes.rate_hz
    before = shapes.beats[:, shapes.at - round(0.28 * hz) : shapes.at - round(0.06 * hz)]
    rows = straightened(before) / (shapes.height * shapes.sign)
    usual = np.median(rows, axis=0)
    like = likeness(rows, usual)
    rest = float(np.median((rows - usual).std(axis=1)))
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    pairs = (unit @ unit.T)[np.triu_indices(len(unit), 1)]
    middle = usual[round(0.06 * hz) : round(0.16 * hz)].mean()
    return {
        "p_most": float(usual.max()),
        "p_least": float(usual.min()),
        "p_at_s": float(np.argmax(usual)) / hz,
        "p_spread": float(usual.std()),
        "p_like": float(like.mean()),
        "p_like_low": float(np.quantile(like, 0.2)),
        "p_rest": rest,
        "p_over_rest": float(usual.std()) / max(rest, 1e-3),
        "p_bulge": float(middle - usual[:4].mean() / 2 - usual[-4:].mean() / 2),
        "p_pairs": float(np.median(pairs)),
        "p_next": float(np.mean([correlation(a, b) for a, b in pairwise(rows)])),
    }
