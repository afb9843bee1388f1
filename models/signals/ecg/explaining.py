"""When in a strip the answer arose: occlusion over time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from models.contracts import Trace
from models.explain import saliency
from models.signals.ecg.preparing import RATE_HZ
from models.signals.ecg.reading import details_of, fibrillation_logit, logits_of, make_window
from models.signals.filters import Array
from models.signals.qrs import Beats

#: Share of a window that is blanked at once, and between neighbouring stretches.
_WIDTH_SHARE = 0.12
_STEP_SHARE = 0.06


def window_importance(
    networks: Sequence[torch.nn.Module], samples: Array, beats: Beats, device: torch.device
) -> tuple[npt.NDArray[np.float64], float]:
    """What the log-odds of fibrillation lose where a stretch of one window is blanked, and the step in seconds.

    A blanked stretch is flat and has no beats, so its intervals are taken from the network too. What the forests read
    is held: a flat stretch would be a new kind of noise to them.
    """
    length = samples.shape[-1]
    width, step = max(1, round(_WIDTH_SHARE * length)), max(1, round(_STEP_SHARE * length))

    details = details_of(samples, beats)

    def blanked(spans: Sequence[saliency.Span]) -> Array:
        windows = [make_window(samples, beats, gap=span, details=details) for span in spans]
        return np.asarray(fibrillation_logit(logits_of(networks, windows, device)).mean(axis=0))

    whole = logits_of(networks, [make_window(samples, beats, details=details)], device)
    answer = float(fibrillation_logit(whole).mean())
    return saliency.losses(answer, blanked, length, width, step), step / RATE_HZ


def importance_trace(
    networks: Sequence[torch.nn.Module], samples: Array, beats: Beats, spans: Sequence[tuple[int, int]],
    device: torch.device,
) -> Trace:  # fmt: skip
    """Importance over the time of a whole strip, from 0 to 1, window by window; what overlaps is averaged."""
    parts = []
    for first, last in spans:
        inside = beats[(beats >= first) & (beats < last)] - first
        parts.append((first, *window_importance(networks, samples[:, first:last], inside, device)))
    step_s = min(step for _, _, step in parts)
    times = (np.arange(int(np.ceil(samples.shape[-1] / RATE_HZ / step_s))) + 0.5) * step_s
    total, count = np.zeros(times.size), np.zeros(times.size)
    for (first, lost, step), (_, last) in zip(parts, spans, strict=True):
        there = (times >= first / RATE_HZ) & (times < last / RATE_HZ)
        at = np.minimum(((times[there] - first / RATE_HZ) / step).astype(int), lost.size - 1)
        total[there] += lost[at]
        count[there] += 1
    values = saliency.as_importance(total / np.maximum(count, 1))
    return Trace(
        "importance",
        "What speaks for atrial fibrillation, over time (occlusion)",
        None,
        float(step_s / 2),
        float(step_s),
        values,
    )
