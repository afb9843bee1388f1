"""One training of one network: what it sees, its loss, and how it is judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from models.signals.ecg.network import FIBRILLATION, NORMAL, OTHER, RHYTHMS, RhythmNetwork
from models.signals.ecg.preparing import RATE_HZ
from models.signals.ecg.reading import WINDOW, fibrillation_logit, logits_of, windows_of
from models.signals.filters import Array
from models.training.ecg_af.augmenting import augmented
from models.training.ecg_af.data import NOISE, Strip
from models.training.framework.fit import FitSettings, Fitted, fit, seeded
from models.training.framework.metrics import auc

Tensor = torch.Tensor
Batch = Mapping[str, Tensor]

#: Weight of each label in the loss of the rhythm, so that the rarer "other" is not given up for the rest.
_RHYTHM_WEIGHTS = (1.0, 1.0, 1.3)
_NOISE_WEIGHT = 0.5


@dataclass(frozen=True, eq=False)
class StripSet:
    """Strips to train on.

    Parameters
    ----------
    strips
        With their labels.
    leads
        How many leads, drawn at random, the network sees of each.
    longest
        Samples of a training window.
    """

    strips: Sequence[Strip]
    leads: int
    longest: int

    @property
    def labels(self) -> Sequence[int]:
        """Label of each strip."""
        return [strip.label for strip in self.strips]

    def __len__(self) -> int:
        """Number of strips."""
        return len(self.strips)

    def item(self, index: int, generator: torch.Generator) -> Batch:
        """One augmented strip."""
        strip = self.strips[index]
        window = augmented(strip, self.leads, self.longest, generator)
        return {
            "signal": torch.from_numpy(window.signal),
            "numbers": torch.from_numpy(window.numbers),
            "length": torch.tensor(window.length),
            "label": torch.tensor(strip.label),
        }


def forward(network: torch.nn.Module, batch: Batch) -> Any:
    """Give the logits of a batch."""
    return network(batch["signal"], batch["numbers"], batch["length"])


def single_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy of the rhythm where the strip can be read, and binary cross-entropy of noise."""
    label = batch["label"]
    readable = label != NOISE
    noise = functional.binary_cross_entropy_with_logits(logits[:, 3], (~readable).float())
    if not bool(readable.any()):
        return _NOISE_WEIGHT * noise
    weights = torch.tensor(_RHYTHM_WEIGHTS, device=logits.device)
    rhythm = functional.cross_entropy(logits[readable, :3], label[readable], weights, label_smoothing=0.05)
    return rhythm + _NOISE_WEIGHT * noise


def twelve_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Binary cross-entropy of fibrillation against the other two rhythms together."""
    others = torch.logsumexp(logits[:, [NORMAL, OTHER]], dim=1)
    target = (batch["label"] == FIBRILLATION).float() * 0.95 + 0.025
    return functional.binary_cross_entropy_with_logits(logits[:, FIBRILLATION] - others, target)


def record_logits(
    networks: Sequence[torch.nn.Module], strips: Sequence[Strip], device: torch.device, window: int = WINDOW
) -> Array:
    """Mean logits over the windows of each record, ``[network, strip, 4]``."""
    windows = [windows_of(strip.samples, strip.beats, window) for strip in strips]
    logits = logits_of(networks, [one for many in windows for one in many], device)
    edges = np.cumsum([len(many) for many in windows])[:-1]
    return np.stack([part.mean(axis=1) for part in np.split(logits, edges, axis=1)], axis=1)


def probabilities(logits: Array) -> Array:
    """Probabilities of normal, fibrillation, other and noise, which exclude each other, of ``[..., 4]``."""
    shifted = np.exp(logits[..., :3] - logits[..., :3].max(axis=-1, keepdims=True))
    noise = 1.0 / (1.0 + np.exp(-logits[..., 3:]))
    return np.concatenate([shifted / shifted.sum(axis=-1, keepdims=True) * (1 - noise), noise], axis=-1)


def challenge_f1(truth: Array, called: Array) -> float:
    """Mean F1 of normal, fibrillation and other: the score of CinC 2017."""
    scores = []
    for rhythm in range(len(RHYTHMS)):
        hits = int(np.sum((truth == rhythm) & (called == rhythm)))
        scores.append(2 * hits / max(1, int(np.sum(truth == rhythm)) + int(np.sum(called == rhythm))))
    return float(np.mean(scores))


def _judge_single(strips: Sequence[Strip], device: torch.device) -> Callable[[torch.nn.Module], dict[str, float]]:
    truth = np.array([strip.label for strip in strips])

    def judge(network: torch.nn.Module) -> dict[str, float]:
        found = probabilities(record_logits([network], strips, device)[0])
        likely = np.maximum(found[np.arange(truth.size), truth], 1e-6)
        return {"f1": challenge_f1(truth, found.argmax(axis=1)), "log_loss": float(-np.log(likely).mean())}

    return judge


def _judge_twelve(strips: Sequence[Strip], device: torch.device) -> Callable[[torch.nn.Module], dict[str, float]]:
    truth = np.array([strip.label == FIBRILLATION for strip in strips])

    def judge(network: torch.nn.Module) -> dict[str, float]:
        logit = fibrillation_logit(record_logits([network], strips, device)[0])
        signs = np.where(truth, 1.0, -1.0)
        return {"auc": auc(truth, logit), "log_loss": float(np.logaddexp(0, -signs * logit).mean())}

    return judge


SINGLE_EPOCHS = 15
TWELVE_EPOCHS = 10


def train_single(
    train: Sequence[Strip], validation: Sequence[Strip], out: Path, *, seed: int, epochs: int, device: torch.device,
    progress: bool,
) -> Fitted:  # fmt: skip
    """Train a network on single leads; the epoch with the lowest validation log loss is kept."""
    seeded(seed)
    settings = FitSettings(
        epochs, batch=32, learning_rate=3e-3, weight_decay=2e-2, patience=10, monitor="log_loss", mode="min", seed=seed
    )
    data = StripSet(train, 1, WINDOW)
    return fit(
        RhythmNetwork(), data, single_loss, _judge_single(validation, device), settings, out, device,
        progress=progress, forward=forward,
    )  # fmt: skip


def train_twelve(
    train: Sequence[Strip], validation: Sequence[Strip], start: torch.nn.Module | None, out: Path, *, seed: int,
    epochs: int, device: torch.device, progress: bool,
) -> Fitted:  # fmt: skip
    """Train a network on twelve leads, from one that knows single leads or from nothing."""
    seeded(seed)
    network = RhythmNetwork()
    if start is not None:
        network.load_state_dict(start.state_dict())
    rate = 3e-3 if start is None else 1e-3
    settings = FitSettings(
        epochs, batch=16, learning_rate=rate, weight_decay=2e-2, patience=10, monitor="log_loss", mode="min", seed=seed
    )
    data = StripSet(train, 4, int(10 * RATE_HZ))
    return fit(
        network, data, twelve_loss, _judge_twelve(validation, device), settings, out, device,
        progress=progress, forward=forward,
    )  # fmt: skip
