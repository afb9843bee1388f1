"""When in a sound the answer arose: occlusion over time for short recordings, the windows' answers for long ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from models.calibrated import Operating
from models.contracts import Trace
from models.explain import saliency
from models.signals.filters import Array
from models.signals.heart_sound.denoise import RATE_HZ
from models.signals.heart_sound.reading import Spectrogram, logits_of
from models.signals.heart_sound.spectrogram import STEP_S, log_mel

#: Longest recording, in seconds, whose every stretch is blanked in turn.
LONGEST_S = 20.0

#: What is blanked at once, about one sound of a beat, and from stretch to stretch, in seconds.
_WIDTH_S = 0.3
_STEP_S = 0.2


def importance_trace(networks: Sequence[torch.nn.Module], sound: Array, device: torch.device) -> Trace:
    """What the log-odds of an abnormal sound lose where a stretch is blanked (every band at its mean), from 0 to 1.

    Parameters
    ----------
    sound
        Denoised ``[sample]``.
    """
    whole = log_mel(sound)
    usual = whole.mean(axis=1, keepdims=True)
    width, step = round(_WIDTH_S / STEP_S), round(_STEP_S / STEP_S)

    def blanked(spans: Sequence[saliency.Span]) -> Array:
        return np.asarray(logits_of(networks, [_without(whole, usual, span) for span in spans], device).mean(axis=0))

    answer = float(logits_of(networks, [whole], device).mean())
    lost = saliency.losses(answer, blanked, whole.shape[1], width, step)
    values = saliency.as_importance(lost)
    every = step * STEP_S
    return Trace("importance", "What speaks for an abnormal sound, over time (occlusion)", 0, every / 2, every, values)


def _without(whole: Spectrogram, usual: Spectrogram, span: saliency.Span) -> Spectrogram:
    out = whole.copy()
    out[:, slice(*span)] = usual
    return out


def probability_trace(logits: Array, starts: Sequence[int], window: int, operating: Operating) -> Trace:
    """Probability over time, between the middles of the windows; ``logits`` ``[window]``, ``starts`` in samples."""
    middles = (np.asarray(starts) + window / 2) / RATE_HZ
    step_s = float(middles[1] - middles[0])
    times = np.arange(middles[0], middles[-1] + 1e-6, step_s)
    values = np.interp(times, middles, operating.probability(logits)).astype(np.float32)
    name = "Probability of an abnormal sound, over time"
    return Trace("probability-over-time", name, 0, float(middles[0]), step_s, values)
