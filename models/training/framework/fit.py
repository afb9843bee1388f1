"""The loop of every trainer: schedule, averaged weights, selection on the validation part, early stop, resume.

The random numbers of an epoch hang on the seed and the epoch's number alone, so a training that was cut off and resumed
goes on as if it had not been.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from models.contracts import ModelError
from models.running.tuning import channels_last
from models.runtime import named_tensors
from models.training.framework.arithmetic import bfloat16_pays, in_float, laid_out
from models.training.framework.recorder import Row, recording

Tensor = torch.Tensor
Batch = Mapping[str, Tensor]
CHECKPOINT_FILE = "checkpoint.pt"

#: Distance of the seeds of neighbouring epochs, a prime, so that those of neighbouring seeds do not meet.
SEED_STEP = 1_000_003


class TrainingError(ModelError):
    """A training cannot start, go on, or be resumed."""


@dataclass(frozen=True, slots=True)
class FitSettings:
    """Numbers of a training run.

    Parameters
    ----------
    epochs
        Passes over the training part, at most.
    batch
        Cases in a step.
    learning_rate
        Highest rate; warmed up over ``warmup_steps``, then lowered along a cosine to a hundredth.
    weight_decay
        Of AdamW.
    patience
        Validations without a new best after which the training stops; 0 goes on to the last epoch.
    ema_decay
        Decay of the exponential moving average of the weights, which is what is validated and kept; 0 keeps the weights
        themselves.
    largest_gradient
        Norm to which the gradient of a step is cut.
    bfloat16
        Whether the forward pass is in bfloat16 where the device computes that faster; weights and optimiser stay in
        float32.
    channels_last
        Whether weights of convolutions and images are laid out channels last.
    balanced
        Whether cases are drawn with replacement so that all classes are equally frequent.
    monitor, mode
        Which figure of the validation selects the weights, and whether it is to be ``"max"`` or ``"min"``.
    seed
        Fixes order, drawing, augmentation and dropout. The initial weights are the caller's: see :func:`seeded`.
    validate_every
        Epochs between validations; the last epoch is validated too.
    """

    epochs: int
    batch: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    warmup_steps: int = 50
    patience: int = 0
    ema_decay: float = 0.99
    largest_gradient: float = 5.0
    bfloat16: bool = False
    channels_last: bool = False
    balanced: bool = False
    monitor: str = "auc"
    mode: str = "max"
    seed: int = 0
    validate_every: int = 1

    def __post_init__(self) -> None:
        """Raise :class:`ValueError` for numbers that train nothing."""
        if self.mode not in {"max", "min"}:
            raise ValueError("mode must be max or min")
        if min(self.epochs, self.batch, self.validate_every) < 1:
            raise ValueError("epochs, batch and validate_every must be at least 1")


class TrainingSet(Protocol):
    """The cases to train on."""

    @property
    def labels(self) -> Sequence[int] | None:
        """Class of each case, for balanced drawing; None where there is none."""
        ...

    def __len__(self) -> int:
        """Number of cases."""
        ...

    def item(self, index: int, generator: torch.Generator) -> Batch:
        """One case by names of its parts, without the axis of the batch; augmentation draws from ``generator`` only."""
        ...


@dataclass(frozen=True, eq=False)
class Fitted:
    """A finished training.

    Parameters
    ----------
    network
        With the best weights, in evaluation mode.
    best
        The row of the log that they are from.
    history
        All rows.
    """

    network: torch.nn.Module
    best: Row
    history: tuple[Row, ...]


@dataclass(eq=False)
class _State:
    """What a checkpoint holds beside network and optimiser."""

    epoch: int = 0
    steps: int = 0
    stale: int = 0
    best: Row | None = None
    history: list[Row] = field(default_factory=list)


def seeded(seed: int) -> torch.Generator:
    """Seed torch, for initial weights, and give a generator of its own."""
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


def learning_rate_factor(step: int, total: int, warmup: int) -> float:
    """Share of the highest learning rate at a step of ``total``."""
    warmup = min(warmup, total // 4)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = min(1.0, (step - warmup) / max(1, total - warmup))
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))


def draw(count: int, labels: Sequence[int] | None, generator: torch.Generator) -> list[int]:
    """Give the order of an epoch: a permutation, or, with labels, drawn so that all classes are equally frequent."""
    if labels is None:
        return [int(i) for i in torch.randperm(count, generator=generator)]
    classes = torch.as_tensor(labels, dtype=torch.long)
    weights = 1.0 / torch.bincount(classes).clamp(min=1).double()
    return [int(i) for i in torch.multinomial(weights[classes], count, replacement=True, generator=generator)]


def collate(items: Sequence[Batch]) -> dict[str, Tensor]:
    """Stack cases into a batch, by the names of their parts."""
    return {name: torch.stack([item[name] for item in items]) for name in items[0]}


def steps_in_epoch(cases: int, batch: int) -> int:
    """How many batches :func:`batches` gives: a single case that is left at the end waits for another epoch."""
    whole, rest = divmod(cases, batch)
    return max(1, whole + (rest > 1))


def batches(data: TrainingSet, settings: FitSettings, epoch: int, device: torch.device) -> Iterator[dict[str, Tensor]]:
    """Give the batches of an epoch, in the order that its seed draws."""
    generator = torch.Generator().manual_seed(settings.seed * SEED_STEP + epoch)
    order = draw(len(data), data.labels if settings.balanced else None, generator)
    for start in range(0, len(order), settings.batch):
        chosen = order[start : start + settings.batch]
        if len(chosen) == 1 < settings.batch and start > 0:
            return  # batch normalisation needs two; this case has its turn in another epoch
        batch = collate([data.item(index, generator) for index in chosen])
        yield {name: value.to(device, non_blocking=True) for name, value in batch.items()}


def average(kept: torch.nn.Module, network: torch.nn.Module, decay: float) -> None:
    """Move an averaged copy towards a network, in place; counters are copied."""
    with torch.no_grad():
        for old, new in zip(named_tensors(kept).values(), named_tensors(network).values(), strict=True):
            if old.is_floating_point():
                old.lerp_(new, 1 - decay)
            else:
                old.copy_(new)


def train_mode(network: torch.nn.Module) -> None:
    """Set a network to training, and leave blocks whose own weights are frozen in evaluation.

    Otherwise batch normalisation would go on changing its means in a frozen block.
    """
    network.train()
    for block in network.modules():
        own = list(block.parameters(recurse=False))
        if own and not any(parameter.requires_grad for parameter in own):
            block.eval()


class _Run:
    """Network, averaged copy, optimiser and schedule of one training."""

    def __init__(
        self,
        network: torch.nn.Module,
        settings: FitSettings,
        device: torch.device,
        steps_per_epoch: int,
        parameters: Iterable[Any] | None,
    ) -> None:
        self.settings, self.device = settings, device
        self.bfloat16 = settings.bfloat16 and bfloat16_pays(device)
        self.network = network.to(device)
        if settings.channels_last:
            channels_last(self.network)
        self.kept = copy.deepcopy(self.network).eval()
        self.best = copy.deepcopy(self.kept)
        self.state = _State()
        wanted = parameters or [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.optimiser = torch.optim.AdamW(
            wanted, lr=settings.learning_rate, weight_decay=settings.weight_decay, foreach=True
        )
        total = settings.epochs * steps_per_epoch
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser, lambda step: learning_rate_factor(step, total, settings.warmup_steps)
        )

    def step(self, batch: Batch, loss: Callable[[Any, Batch], Tensor], forward: Callable[..., Any]) -> float:
        seen = laid_out(batch) if self.settings.channels_last else batch
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            output = forward(self.network, seen)
        value = loss(in_float(output), batch)
        if not torch.isfinite(value):
            raise TrainingError("the loss is not a number any more: lower the learning rate, or look at the input")
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(value)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.largest_gradient)
        self.optimiser.step()
        self.schedule.step()
        self.state.steps += 1
        steps = self.state.steps
        average(self.kept, self.network, min(self.settings.ema_decay, (1 + steps) / (10 + steps)))
        return float(value.detach())

    def judge(self, row: Row) -> None:
        """Keep the averaged weights if the row is a new best."""
        self.state.history.append(row)
        value = row.get(self.settings.monitor)
        if value is None:
            return
        best = None if self.state.best is None else self.state.best[self.settings.monitor]
        sign = 1 if self.settings.mode == "max" else -1
        if best is not None and not sign * value > sign * best:
            self.state.stale += 1
            return
        self.keep(row)

    def keep(self, row: Row) -> None:
        """Take the averaged weights as they are after ``row`` for the best."""
        self.state.best, self.state.stale = row, 0
        self.best.load_state_dict(self.kept.state_dict())

    @property
    def done(self) -> bool:
        patient = not self.settings.patience or self.state.stale < self.settings.patience
        return self.state.epoch >= self.settings.epochs or not patient

    def save(self, path: Path) -> None:
        """Write the checkpoint beside the former one and put it in its place."""
        parts = {name: getattr(self, name).state_dict() for name in _PARTS}
        value = {**parts, "state": asdict(self.state), "settings": asdict(self.settings)}
        fresh = path.with_suffix(".part")
        torch.save(value, fresh)
        fresh.replace(path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint; :class:`TrainingError` where it is of another training."""
        value = torch.load(path, map_location=self.device, weights_only=True)
        odd = sorted(name for name, number in asdict(self.settings).items() if value["settings"].get(name) != number)
        if odd:
            raise TrainingError(
                f"{path.name} is of a training with another {', '.join(odd)}; start anew without resume"
            )
        for name in _PARTS:
            getattr(self, name).load_state_dict(value[name])
        self.state = _State(**value["state"])


_PARTS = ("network", "kept", "best", "optimiser", "schedule")


def plain_forward(network: torch.nn.Module, batch: Batch) -> Any:
    """Give the network what it is to look at, and nothing else of the batch."""
    return network(batch["input"])


def fit(
    network: torch.nn.Module,
    train: TrainingSet,
    loss: Callable[[Any, Batch], Tensor],
    validate: Callable[[torch.nn.Module], Mapping[str, float]] | None,
    settings: FitSettings,
    out: Path,
    device: torch.device,
    *,
    progress: bool = True,
    resume: bool = False,
    forward: Callable[[torch.nn.Module, Batch], Any] | None = None,
    parameters: Iterable[Any] | None = None,
) -> Fitted:
    """Train a network and give it back with the weights that were best on the validation part.

    Parameters
    ----------
    network
        Its parameters that require no gradient stay as they are.
    loss
        Takes the network's output, in float32, and the batch; gives a number.
    validate
        Figures of a network, in evaluation mode, on the validation part; called without gradients. None selects
        nothing: the weights of the last epoch are given back.
    out
        Folder for ``log.csv``, the TensorBoard events and ``checkpoint.pt``; made where missing.
    progress
        Whether to show a progress bar.
    resume
        Go on from ``checkpoint.pt`` where there is one.
    forward
        Gives the network's output for a batch; the default is ``network(batch["input"])``.
    parameters
        For the optimiser, such as ``transfer.parameter_groups`` gives; None for all that require a gradient.

    Raises
    ------
    TrainingError
        If the loss stops being a number, the validation does not give the figure that selects, or the checkpoint is of
        other settings.
    """
    if len(train) == 0:
        raise TrainingError("there are no cases to train on")
    run = _Run(network, settings, device, steps_in_epoch(len(train), settings.batch), parameters)
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / CHECKPOINT_FILE
    if resume and checkpoint.is_file():
        run.load(checkpoint)
    with recording(out, settings.epochs, run.state.history, progress=progress) as recorder:
        while not run.done:
            row = _epoch(run, train, loss, validate, forward or plain_forward)
            run.save(checkpoint)
            recorder.epoch(row)
    if validate is None:
        run.keep(run.state.history[-1])
    network.load_state_dict(run.best.state_dict())
    if run.state.best is None:
        raise TrainingError(f"no validation gave a {settings.monitor!r} that is a number")
    return Fitted(network.eval(), run.state.best, tuple(run.state.history))


def _epoch(
    run: _Run,
    data: TrainingSet,
    loss: Callable[[Any, Batch], Tensor],
    validate: Callable[[torch.nn.Module], Mapping[str, float]] | None,
    forward: Callable[..., Any],
) -> Row:
    """Train and judge one epoch."""
    started, settings = time.monotonic(), run.settings
    run.state.epoch += 1
    epoch = run.state.epoch
    torch.manual_seed(settings.seed * SEED_STEP + epoch)
    train_mode(run.network)
    losses = [run.step(batch, loss, forward) for batch in batches(data, settings, epoch, run.device)]
    row: Row = {
        "epoch": epoch,
        "loss": sum(losses) / len(losses),
        "learning_rate": float(run.schedule.get_last_lr()[0]),
    }
    due = epoch % settings.validate_every == 0 or epoch == settings.epochs
    if validate is not None and due:
        with torch.no_grad():
            figures = {name: float(value) for name, value in validate(run.kept.eval()).items()}
        if settings.monitor not in figures:
            raise TrainingError(f"the validation gives {', '.join(figures)}, not {settings.monitor!r}")
        row |= {name: value for name, value in figures.items() if math.isfinite(value)}
    row["seconds"] = round(time.monotonic() - started, 2)
    run.judge(row)
    return row
