"""One training of one network: what it sees, its loss, and how it is judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from models.signals.filters import Array
from models.signals.heart_sound.denoise import prepare
from models.signals.heart_sound.network import HeartSoundNetwork, NetworkShape
from models.signals.heart_sound.reading import logits_of, mean_logits
from models.signals.heart_sound.spectrogram import log_mel
from models.training.framework.fit import FitSettings, Fitted, fit, seeded
from models.training.framework.metrics import auc
from models.training.heart_sound.augmenting import augmented, numpy_generator
from models.training.heart_sound.data import Sound

Tensor = torch.Tensor
Batch = Mapping[str, Tensor]

EPOCHS = 16


@dataclass(frozen=True, eq=False)
class Seen:
    """A sound as the network sees it: its spectrogram in decibels."""

    case: str
    database: str
    spectrogram: npt.NDArray[np.float32]
    abnormal: bool


def see(sounds: Sequence[Sound], *, subtract: bool = False) -> list[Seen]:
    """Denoise sounds and make their spectrograms."""
    return [
        Seen(one.case, one.database, log_mel(prepare(one.samples, one.rate_hz, subtract=subtract)), one.abnormal)
        for one in sounds
    ]


def balance(items: Sequence[Seen]) -> Array:
    """Weight of each sound: the inverse root of how often its label is in its sub-database, with a mean of 1.

    In the challenge's data the sub-database tells much of the label, and the network would learn the stethoscope.
    """
    counts = Counter((item.database, item.abnormal) for item in items)
    weights = np.array([counts[item.database, item.abnormal] ** -0.5 for item in items])
    return np.asarray(weights / weights.mean())


@dataclass(frozen=True, eq=False)
class SoundSet:
    """Sounds to train on, with the weight of each in the loss."""

    items: Sequence[Seen]
    weights: Array

    @property
    def labels(self) -> Sequence[int]:
        """1 for an abnormal sound."""
        return [int(item.abnormal) for item in self.items]

    def __len__(self) -> int:
        """Number of sounds."""
        return len(self.items)

    def item(self, index: int, generator: torch.Generator) -> Batch:
        """One augmented sound."""
        item = self.items[index]
        return {
            "input": torch.from_numpy(augmented(item.spectrogram, numpy_generator(generator))),
            "label": torch.tensor(float(item.abnormal)),
            "weight": torch.tensor(float(self.weights[index])),
        }


def loss(logits: Tensor, batch: Batch) -> Tensor:
    """Weighted binary cross-entropy with smoothed labels."""
    target = batch["label"] * 0.9 + 0.05
    return functional.binary_cross_entropy_with_logits(logits, target, batch["weight"])


def window_logits(networks: Sequence[torch.nn.Module], items: Sequence[Seen], device: torch.device) -> Array:
    """Logits of each network for each sound, ``[network, sound]``."""
    return mean_logits(networks, [item.spectrogram for item in items], device)


def macc(truth: npt.NDArray[np.bool_], called: npt.NDArray[np.bool_]) -> float:
    """Mean of sensitivity and specificity: the score of CinC 2016; not a number where there is one label only."""
    if truth.all() or not truth.any():
        return float("nan")
    return float((np.mean(called[truth]) + np.mean(~called[~truth])) / 2)


def _judge(items: Sequence[Seen], device: torch.device) -> Callable[[torch.nn.Module], dict[str, float]]:
    truth = np.array([item.abnormal for item in items])

    def judge(network: torch.nn.Module) -> dict[str, float]:
        logit = logits_of([network], [item.spectrogram for item in items], device)[0]
        signs = np.where(truth, 1.0, -1.0)
        figures = {"auc": auc(truth, logit), "macc": macc(truth, logit > 0)}
        return {**figures, "log_loss": float(np.logaddexp(0, -signs * logit).mean())}

    return judge


def train_one(
    train: Sequence[Seen], validation: Sequence[Seen], out: Path, *, seed: int, epochs: int, device: torch.device,
    progress: bool, shape: NetworkShape | None = None,
) -> Fitted:  # fmt: skip
    """Train a network; the epoch with the lowest validation log loss is kept."""
    seeded(seed)
    settings = FitSettings(
        epochs, batch=32, learning_rate=3e-3, weight_decay=2e-2, patience=12, monitor="log_loss", mode="min", seed=seed
    )
    return fit(
        HeartSoundNetwork(shape), SoundSet(train, balance(train)), loss, _judge(validation, device), settings, out,
        device, progress=progress,
    )  # fmt: skip
