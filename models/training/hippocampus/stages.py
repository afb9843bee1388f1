"""The two stages of the training: one that selects an epoch, and one that adds the validation part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from monai.losses.dice import DiceCELoss

from models.imaging.hippocampus import NETWORK
from models.imaging.networks import build_unet
from models.training.framework.data import LabelledVolume
from models.training.framework.fit import FitSettings, Fitted, fit, seeded
from models.training.framework.losses import multi_task
from models.training.framework.records import round_to_half
from models.training.hippocampus.data import Patches
from models.training.hippocampus.measuring import mean_dice

Tensor = torch.Tensor
Batch = Mapping[str, Tensor]

#: The first stage keeps the epoch with the highest validation Dice.
SELECTION = FitSettings(
    epochs=70,
    batch=2,
    learning_rate=1.5e-3,
    weight_decay=1e-3,
    warmup_steps=100,
    bfloat16=True,
    channels_last=True,
    monitor="dice",
    validate_every=5,
)

#: The second stage adds the validation part and selects nothing.
REFIT = replace(SELECTION, epochs=90, learning_rate=1e-3, warmup_steps=50)

#: Weight of the loss at full size and at the stage below (deep supervision).
_WEIGHTS = {"full": 0.7, "half": 0.3}


@dataclass(frozen=True, eq=False)
class Run:
    """What both stages of one training are told; ``epochs`` None for the stages' own numbers."""

    out: Path
    device: torch.device
    seed: int = 0
    epochs: int | None = None
    progress: bool = False
    resume: bool = False


def new_network() -> torch.nn.Module:
    """Make the network with fresh weights."""
    return build_unet(NETWORK)


def selection_settings(run: Run) -> FitSettings:
    """Numbers of the first stage."""
    return replace(SELECTION, epochs=run.epochs or SELECTION.epochs, seed=run.seed)


def refit_settings(run: Run) -> FitSettings:
    """Numbers of the second stage, as long in proportion to the first one as usual."""
    share = selection_settings(run).epochs / SELECTION.epochs
    return replace(REFIT, epochs=max(1, round(REFIT.epochs * share)), seed=run.seed + 1)


def select(train: Sequence[LabelledVolume], validation: Sequence[LabelledVolume], run: Run) -> Fitted:
    """Train from scratch; the weights with the best mean Dice of the validation part are kept."""
    seeded(run.seed)

    def validate(kept: torch.nn.Module) -> Mapping[str, float]:
        return mean_dice(kept, validation, run.device)

    return fit(
        new_network(), Patches(train), make_loss(), validate, selection_settings(run), run.out / "selection",
        run.device, progress=run.progress, resume=run.resume, forward=supervised,
    )  # fmt: skip


def refit(network: torch.nn.Module, cases: Sequence[LabelledVolume], run: Run) -> Fitted:
    """Go on training a network, in place, with the validation part added."""
    return fit(
        network, Patches(cases), make_loss(), None, refit_settings(run), run.out / "refit", run.device,
        progress=run.progress, resume=run.resume, forward=supervised,
    )  # fmt: skip


def supervised(network: torch.nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Give the logits at full size and those of the stage below, resized to it."""
    full, half = network(batch["input"]).unbind(1)
    return {"full": full, "half": half}


def make_loss() -> Any:
    """Make the loss of both heads: Dice and cross-entropy."""
    criterion = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)

    def head(logits: Tensor, batch: Batch) -> Tensor:
        value: Tensor = criterion(logits, batch["target"])
        return value

    return multi_task({name: (weight, head) for name, weight in _WEIGHTS.items()})


def as_shipped(network: torch.nn.Module, device: torch.device) -> torch.nn.Module:
    """Give a network with the weights as a file of weights holds them, in evaluation mode."""
    copy = new_network()
    copy.load_state_dict(network.state_dict())
    round_to_half(copy)
    return copy.to(device).eval()
