"""Where in a waveform a model looked most: stretches of time, from its traces. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.contracts import Prediction, Trace

#: Part of the highest importance from which a stretch begins.
LEAST = 0.5

#: Most stretches of one answer: a report names what matters most, the picture has all.
LIMIT = 8

#: Stretches nearer to each other than this, in seconds, are one.
APART_S = 0.2


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time in seconds from the first sample, and how important it is (0 to 1)."""

    start_s: float
    end_s: float
    importance: float
    channel: int | None = None


def stretches(prediction: Prediction, limit: int = LIMIT) -> tuple[Stretch, ...]:
    """Choose the stretches that mattered most.

    Returns
    -------
    tuple of Stretch
        At most ``limit``, in the order of time. Those of the trace of all channels together where there is one, else of
        each channel's.
    """
    together = [trace for trace in prediction.traces if trace.channel is None]
    found = [item for trace in together or prediction.traces for item in _of(trace)]
    chosen = sorted(found, key=lambda item: (-item.importance * (item.end_s - item.start_s), item.start_s))[:limit]
    return tuple(sorted(chosen, key=lambda item: (item.start_s, item.channel or 0)))


def _of(trace: Trace) -> list[Stretch]:
    values = np.nan_to_num(np.asarray(trace.values, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    highest = float(values.max(initial=0.0))
    if highest <= 0 or trace.step_s <= 0:
        return []
    above = np.concatenate([[False], values >= LEAST * highest, [False]])
    edges = np.flatnonzero(above[1:] != above[:-1])
    runs = _joined(list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)), APART_S / trace.step_s)
    return [
        Stretch(
            start_s=trace.start_s + first * trace.step_s,
            end_s=trace.start_s + after * trace.step_s,
            importance=float(np.clip(values[first:after].max(), 0.0, 1.0)),
            channel=trace.channel,
        )
        for first, after in runs
    ]


def _joined(runs: list[tuple[int, int]], nearest: float) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, after in runs:
        if joined and first - joined[-1][1] < nearest:
            joined[-1] = (joined[-1][0], after)
        else:
            joined.append((first, after))
    return joined
