"""The training loop: optimiser, schedule, averaged weights, selection on the validation part."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import torch
from monai.losses.dice import DiceCELoss

from models.runtime import named_tensors

Tensor = torch.Tensor
Batches = Callable[[int], Iterable[tuple[Tensor, Tensor]]]

#: Weight of the loss at full size and at the stage below (deep supervision).
_STAGE_WEIGHTS = (0.7, 0.3)

#: Norm to which the gradient of a batch is cut.
LARGEST_GRADIENT = 5.0


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """Numbers of a training run.

    Parameters
    ----------
    epochs
        Passes over the training part.
    steps_per_epoch
        Batches in each, for the schedule.
    learning_rate
        Highest rate; warmed up over ``warmup_steps``, then lowered along a cosine to a hundredth.
    weight_decay
        Of AdamW.
    ema_decay
        Decay of the exponential moving average of the weights, which is what is validated and kept.
    validate_every
        Epochs between validations.
    bfloat16
        Whether the forward pass uses bfloat16 arithmetic; weights and optimiser stay in float32.
    """

    epochs: int
    steps_per_epoch: int
    learning_rate: float = 1.5e-3
    weight_decay: float = 1e-3
    warmup_steps: int = 100
    ema_decay: float = 0.99
    validate_every: int = 5
    bfloat16: bool = False


@dataclass(frozen=True, slots=True)
class EpochRow:
    """One line of the training log; Dice is None where the epoch was not validated."""

    epoch: int
    loss: float
    learning_rate: float
    seconds: float
    validation_dice: tuple[float, ...] | None = None


class Observer(Protocol):
    """Told of each finished epoch and of each new best."""

    def epoch(self, row: EpochRow) -> None:
        """Log one epoch."""
        ...

    def improved(self, network: torch.nn.Module, row: EpochRow) -> None:
        """Keep weights that are the best so far on the validation part."""
        ...


def seeded(seed: int) -> torch.Generator:
    """Seed torch and give a generator of its own for the data."""
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


def learning_rate_factor(step: int, settings: LoopSettings) -> float:
    """Share of the highest learning rate at a step."""
    total = max(1, settings.epochs * settings.steps_per_epoch)
    warmup = min(settings.warmup_steps, total // 4)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = min(1.0, (step - warmup) / max(1, total - warmup))
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))


def _average(kept: torch.nn.Module, network: torch.nn.Module, decay: float) -> None:
    with torch.no_grad():
        for old, new in zip(named_tensors(kept).values(), named_tensors(network).values(), strict=True):
            old.lerp_(new, 1 - decay)


def _loss(criterion: torch.nn.Module, output: Tensor, labels: Tensor) -> Tensor:
    total: Tensor = torch.zeros((), device=output.device)
    for weight, stage in zip(_STAGE_WEIGHTS, output.float().unbind(1), strict=True):
        total = total + weight * criterion(stage, labels)
    return total


def _precision(device: torch.device, settings: LoopSettings) -> AbstractContextManager[object]:
    return torch.autocast(device.type, torch.bfloat16, enabled=settings.bfloat16)


class _Trainer:
    """Network, averaged copy, optimiser and schedule of one training."""

    def __init__(self, network: torch.nn.Module, settings: LoopSettings, device: torch.device) -> None:
        self.settings = settings
        self.device = device
        self.network = network.to(device)
        _channels_last(self.network)
        self.kept = copy.deepcopy(self.network)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser, lambda step: learning_rate_factor(step, settings)
        )
        self.criterion = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
        self.steps = 0

    def step(self, images: Tensor, labels: Tensor) -> float:
        """Learn from one batch and give its loss."""
        inputs = images.to(self.device, memory_format=torch.channels_last_3d)
        with _precision(self.device, self.settings):
            output = self.network(inputs)
        loss = _loss(self.criterion, output, labels.to(self.device))
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), LARGEST_GRADIENT)
        self.optimiser.step()
        self.schedule.step()
        self.steps += 1
        _average(self.kept, self.network, min(self.settings.ema_decay, (1 + self.steps) / (10 + self.steps)))
        return float(loss.detach())


def _channels_last(network: torch.nn.Module) -> None:
    """Lay out 3-D convolution weights channels last, which is the fast order for bfloat16 convolutions."""
    for parameter in network.parameters():
        if parameter.ndim == 5:
            parameter.data = parameter.data.to(memory_format=torch.channels_last_3d)


def fit(
    network: torch.nn.Module,
    batches: Batches,
    validate: Callable[[torch.nn.Module], tuple[float, ...]] | None,
    settings: LoopSettings,
    device: torch.device,
    observer: Observer,
) -> torch.nn.Module:
    """Train ``network`` and return the averaged weights of the last step.

    Parameters
    ----------
    batches
        Called with the epoch; gives pairs of images ``[batch, 1, z, y, x]`` and labels of the same shape.
    validate
        Dice per class of a network on the validation part; None to train without one.
    observer
        Keeps the best of what is validated; the last epoch is, where there is a validation.
    """
    trainer = _Trainer(network, settings, device)
    best = -1.0
    for epoch in range(1, settings.epochs + 1):
        started = time.monotonic()
        trainer.network.train()
        losses = [trainer.step(images, labels) for images, labels in batches(epoch)]
        due = epoch % settings.validate_every == 0 or epoch == settings.epochs
        scores = validate(trainer.kept) if due and validate is not None else None
        rate = float(trainer.schedule.get_last_lr()[0])
        row = EpochRow(epoch, sum(losses) / max(1, len(losses)), rate, time.monotonic() - started, scores)
        observer.epoch(row)
        if scores is not None and sum(scores) / len(scores) > best:
            best = sum(scores) / len(scores)
            observer.improved(trainer.kept, row)
    return trainer.kept
