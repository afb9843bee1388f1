"""From a sound to the network's answers: windows, and the mean over windows and networks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from models.signals.filters import Array
from models.signals.heart_sound.denoise import RATE_HZ
from models.signals.heart_sound.spectrogram import HOP, centred, log_mel

#: What the network reads at once, in samples: 5 s, as the training set has; the next window starts half of it later.
WINDOW = 5 * int(RATE_HZ)

Spectrogram = npt.NDArray[np.float32]


def window_starts(length: int) -> list[int]:
    """First sample of each window of a sound; the last window ends with the sound."""
    if length <= WINDOW:
        return [0]
    starts = list(range(0, length - WINDOW, WINDOW // 2))
    return [*starts, length - WINDOW]


def windows_of(sound: Array) -> list[Spectrogram]:
    """Spectrograms, in decibels, of the windows of a denoised sound; a sound shorter than a window is one by itself."""
    return [log_mel(sound[start : start + WINDOW]) for start in window_starts(sound.size)]


def logits_of(
    networks: Sequence[torch.nn.Module], windows: Sequence[Spectrogram], device: torch.device, batch: int = 64
) -> Array:
    """Logits of each network for each window (in decibels), ``[network, window]``; those of one length go together."""
    out = np.zeros((len(networks), len(windows)))
    by_length: dict[int, list[int]] = {}
    for at, window in enumerate(windows):
        by_length.setdefault(window.shape[1], []).append(at)
    with torch.inference_mode():
        for chosen in (many[i : i + batch] for many in by_length.values() for i in range(0, len(many), batch)):
            stacked = torch.from_numpy(np.stack([centred(windows[at]) for at in chosen])).to(device)
            for number, network in enumerate(networks):
                out[number, chosen] = network(stacked).double().cpu().numpy()
    return out


#: Test-time augmentation: how much is cut off the beginning of each window, in seconds.
SHIFTS_S = (0.0, 0.4, 0.8)


def mean_logits(networks: Sequence[torch.nn.Module], windows: Sequence[Spectrogram], device: torch.device) -> Array:
    """Logits of each network for each window, mean over :data:`SHIFTS_S`, ``[network, window]``."""
    looks = [logits_of(networks, [shifted(window, s) for window in windows], device) for s in SHIFTS_S]
    return np.asarray(np.mean(looks, axis=0))


def shifted(window: Spectrogram, seconds: float) -> Spectrogram:
    """Cut the first ``seconds`` off: another look at the same sound (test-time augmentation)."""
    return window[:, round(seconds * RATE_HZ / HOP) :]
