"""Records of minutes to a day: the probability of fibrillation over time, window by window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from models import calibrated
from models.contracts import Finding, InputDeclined, Measurement, Prediction, Trace, Waveform
from models.signals.ecg import parts
from models.signals.ecg.intervals import rate_per_minute
from models.signals.ecg.preparing import RATE_HZ, prepare
from models.signals.ecg.reading import (
    SHORTEST,
    WINDOW,
    Window,
    details_of,
    fibrillation_logit,
    logits_of,
    make_window,
    spans,
)
from models.signals.ecg.reporting import METHOD, rate_measurement
from models.signals.filters import Array
from models.signals.qrs import find_beats
from models.signals.scope import Scope

Flags = npt.NDArray[np.bool_]

#: Windows that are in memory at once.
_CHUNK = 64

#: A record of which less than this share can be read is declined.
LEAST_READABLE = 0.25


class _Kind(Protocol):
    """What is needed of :class:`models.signals.ecg.model.Kind`."""

    @property
    def networks(self) -> Sequence[torch.nn.Module]: ...
    @property
    def operating(self) -> calibrated.Operating: ...
    @property
    def scope(self) -> Scope: ...


@dataclass(frozen=True, eq=False)
class Course:
    """What was found in each window, in order.

    Parameters
    ----------
    logits
        ``[network, window]`` of fibrillation.
    per_minute
        Ventricular rate of each window; 0 where there are no two beats.
    readable
        Whether the window could be read.
    distance
        From the training strips.
    noise
        Probability that it is noise.
    """

    logits: Array
    per_minute: Array
    readable: Flags
    distance: Array
    noise: Array


def _windows(waveform: Waveform) -> Iterator[tuple[Window, float]]:
    """Prepare a record window by window, so that a day's samples are never in memory as floats twice."""
    size = round(WINDOW / RATE_HZ * waveform.rate_hz)
    for first, last in spans(waveform.array.shape[1], size, round(SHORTEST / RATE_HZ * waveform.rate_hz)):
        samples = prepare(waveform.array[:1, first:last], waveform.rate_hz)[:, :WINDOW]
        beats = find_beats(samples, RATE_HZ)
        window = make_window(samples, beats, WINDOW, details=details_of(samples, beats))
        yield window, rate_per_minute(beats, RATE_HZ) or 0.0


def _course(waveform: Waveform, kind: _Kind, noise_threshold: float, device: torch.device) -> Course:
    logits: list[Array] = []
    rates: list[float] = []
    distances: list[float] = []
    chunk: list[Window] = []

    def empty() -> None:
        if chunk:
            logits.append(logits_of(kind.networks, chunk, device))
            distances.extend(kind.scope.distance(window.numbers) for window in chunk)
            chunk.clear()

    for window, per_minute in _windows(waveform):
        chunk.append(window)
        rates.append(per_minute)
        if len(chunk) == _CHUNK:
            empty()
    empty()
    found, per_minute_all, distance = np.concatenate(logits, axis=1), np.array(rates), np.array(distances)
    noise = 1 / (1 + np.exp(-found[..., 3].mean(axis=0)))
    plausible = (per_minute_all >= parts.RATE_RANGE[0]) & (per_minute_all <= parts.RATE_RANGE[1])
    readable = plausible & (noise < noise_threshold) & (distance <= kind.scope.limit)
    return Course(fibrillation_logit(found), per_minute_all, readable, distance, noise)


def longest_run(flags: Flags) -> tuple[int, int]:
    """First and one past the last of the longest run of True; ``(0, 0)`` where there is none."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    if not edges.size:
        return 0, 0
    runs = edges.reshape(-1, 2)
    first, last = runs[int(np.argmax(runs[:, 1] - runs[:, 0]))]
    return int(first), int(last)


def most_likely_run(logits: Array, readable: Flags, count: int) -> Array:
    """Logits ``[network]``, averaged over those ``count`` readable windows in a row that look most like fibrillation.

    Where no ``count`` windows in a row are readable, the mean over all readable ones.
    """
    score = np.where(readable, logits.mean(axis=0), -np.inf)
    sums = np.convolve(score, np.ones(count), "valid") if score.size >= count else np.array([-np.inf])
    if not np.isfinite(sums.max()):
        return np.asarray(logits[:, readable].mean(axis=1))
    first = int(np.argmax(sums))
    return np.asarray(logits[:, first : first + count].mean(axis=1))


def read_long(waveform: Waveform, kind: _Kind, noise_threshold: float, device: torch.device) -> Prediction:
    """Answer a long record by its first channel.

    Fibrillation is stated where :data:`~models.signals.ecg.parts.LEAST_RUN` readable windows of 30 s in a row show it;
    the probability is that of the most likely such run.

    Raises
    ------
    InputDeclined
        If less than :data:`LEAST_READABLE` of it can be read.
    """
    course = _course(waveform, kind, noise_threshold, device)
    share = float(course.readable.mean())
    if share < LEAST_READABLE:
        raise InputDeclined(f"Only {100 * share:.0f} % of the recording is clean enough for its rhythm to be read.")
    each = kind.operating.probability(course.logits.mean(axis=0))
    called = course.readable & (each >= kind.operating.threshold)
    first, last = longest_run(called)
    present = last - first >= parts.LEAST_RUN
    found = calibrated.answer(most_likely_run(course.logits, course.readable, parts.LEAST_RUN), kind.operating)
    rate = float(np.average(course.per_minute[course.readable]))
    burden = 100.0 * float(called.sum()) / float(course.readable.sum())
    return Prediction(
        (_finding(found, burden, (last - first) * WINDOW / RATE_HZ, rate, present=present),),
        warnings=_warnings(waveform, share),
        traces=(_trace(each, course.readable),),
        scores={
            "probability": found.probability,
            "threshold": kind.operating.threshold,
            "out_of_scope": float(np.median(course.distance)),
            "noise": float(course.noise.mean()),
            "uncertainty": found.spread,
        },
    )


def _finding(found: calibrated.Answer, burden: float, run_s: float, rate: float, *, present: bool) -> Finding:
    minutes = f"{run_s / 60:.1f} min"
    said = (
        f"shows signs of atrial fibrillation in {burden:.0f} % of the readable time, at most {minutes} at a stretch"
        if present
        else f"shows no atrial fibrillation of {parts.LEAST_RUN * 30} s or more"
    )
    share = Measurement(parts.BURDEN, round(burden, 2), parts.PERCENT, method="windows of 30 s")
    return Finding(
        label=parts.LABEL,
        code=parts.FIBRILLATION,
        measurements=(calibrated.measurement(found, METHOD), share, rate_measurement(rate)),
        confidence=found.probability,
        text=f"The recording {said} (probability {found.probability:.2f}). Mean ventricular rate {rate:.0f} a minute.",
        present=present,
    )


def _warnings(waveform: Waveform, readable: float) -> tuple[str, ...]:
    warnings = [f"The rhythm was read from lead {waveform.channels[0].name} alone, in windows of 30 s."]
    if readable < 1:
        warnings.append(f"{100 * (1 - readable):.0f} % of the recording could not be read and is left out.")
    return tuple(warnings)


def _trace(probability: Array, readable: Flags) -> Trace:
    """Probability over time, 0 where a window could not be read; one value a window, at its middle.

    The last window ends with the record, so it may begin before its turn.
    """
    values = np.where(readable, probability, 0.0).astype(np.float32)
    step = WINDOW / RATE_HZ
    return Trace("probability-over-time", "Probability of atrial fibrillation, over time", None, step / 2, step, values)
