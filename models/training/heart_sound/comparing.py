"""Networks of another size and sounds with more denoising, compared on the first third of the training part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import torch

from models import runtime
from models.signals.heart_sound.network import NetworkShape
from models.training.framework import comparing
from models.training.framework.metrics import auc, bootstrap
from models.training.heart_sound.card import NAME
from models.training.heart_sound.data import TRAIN, Sound, read_part
from models.training.heart_sound.fitting import EPOCHS, Seen, macc, see, train_one, window_logits
from models.training.heart_sound.measuring import truth_of
from models.training.heart_sound.training import in_folds


@dataclass(frozen=True, slots=True)
class Variant:
    """What is trained: the network, its epochs, and whether steady noise is subtracted from the sounds."""

    shape: NetworkShape = NetworkShape()  # noqa: RUF009  frozen
    epochs: int = EPOCHS
    subtract: bool = False


VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {
        "as_shipped": Variant(),
        "larger": Variant(NetworkShape((16, 32, 48)), 25),
        "noise_subtracted": Variant(subtract=True),
    }
)


def compare(
    data: Path, *, seed: int = 0, epochs: int | None = None, device: str = "auto", progress: bool = True
) -> dict[str, Any]:
    """Train :data:`VARIANTS` on two thirds and measure them on the first third, which selects their epochs too.

    Parameters
    ----------
    data
        As for :func:`models.training.heart_sound.train`.
    epochs
        Of every variant; None for its own.
    """
    sounds, chosen = read_part(data, TRAIN), runtime.choose_device(device)
    train = partial(_measured, sounds, seed=seed, epochs=epochs, device=chosen, progress=progress)
    ways = {name: partial(train, variant) for name, variant in VARIANTS.items()}
    return {"model": NAME, **comparing.each(ways, progress=False)}


def _measured(
    sounds: Sequence[Sound], variant: Variant, *, seed: int, epochs: int | None, device: torch.device, progress: bool
) -> dict[str, Any]:
    fit_on, judge_on = in_folds(see(sounds, subtract=variant.subtract))[0]
    with TemporaryDirectory() as logs:
        fitted = train_one(
            fit_on, judge_on, Path(logs), seed=seed, epochs=epochs or variant.epochs, device=device, progress=progress,
            shape=variant.shape,
        )  # fmt: skip
    return {
        "epochs": epochs or variant.epochs,
        "kept_epoch": fitted.best["epoch"],
        **_figures(fitted.network, judge_on, device),
    }


def _figures(network: torch.nn.Module, items: Sequence[Seen], device: torch.device) -> dict[str, Any]:
    """MAcc at even odds, since nothing is calibrated here, and AUC."""
    truth, logits = truth_of(items), window_logits([network], items, device)[0]
    cases = [item.case for item in items]
    return {
        "n": len(items),
        "macc": bootstrap(lambda index: macc(truth[index], logits[index] > 0), cases),
        "auc": bootstrap(lambda index: auc(truth[index], logits[index]), cases),
    }
