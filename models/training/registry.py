"""Training and evaluation by a model's name; the trainer of each model is named in the catalogue."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

from models import catalog
from models.contracts import ModelError


class NotTrainable(ModelError):
    """The model has no trainer in the project."""


class NothingToCompare(ModelError):
    """The model's trainer has no other ways to compare its own with."""


class Trainer(Protocol):
    """The module that a catalogue entry names as its trainer."""

    def train(
        self, data: Path, out: Path, *, seed: int, epochs: int | None, device: str, progress: bool
    ) -> dict[str, Any]:
        """Train from scratch into a folder of weights; give the report of the held-out part."""
        ...

    def evaluate(self, data: Path, *, device: str, weights: Path | None, progress: bool) -> dict[str, Any]:
        """Give the report of the held-out part for weights that exist."""
        ...

    def pictures(self, data: Path, out: Path, *, device: str, weights: Path | None) -> None:
        """Draw held-out cases with the answers of weights that exist, as ``examples.png`` in a folder."""
        ...


@runtime_checkable
class Comparer(Protocol):
    """A trainer that can also say what else was tried, and what it reaches."""

    def compare(self, data: Path, *, seed: int, epochs: int | None, device: str, progress: bool) -> dict[str, Any]:
        """Give figures of several ways by their names, measured within the training part."""
        ...


def trainable() -> tuple[str, ...]:
    """Names of the models that have a trainer."""
    return tuple(name for name in catalog.names() if catalog.entry(name).trainer)


def _trainer(name: str) -> Trainer:
    module = catalog.entry(name).trainer
    if not module:
        raise NotTrainable(f"{name} cannot be trained here; these can: {', '.join(trainable())}")
    return cast(Trainer, import_module(module))


def train(
    name: str,
    data: Path,
    out: Path,
    *,
    seed: int = 0,
    epochs: int | None = None,
    device: str = "auto",
    progress: bool = True,
) -> dict[str, Any]:
    """Train a model of the catalogue.

    Parameters
    ----------
    name
        One of :func:`trainable`.
    data
        Folder of the data set.
    out
        Folder that gets weights, card, division of the data, logs and plots; made where missing.
    seed
        Fixes initial weights, order and augmentation. The held-out part is the same for every seed.
    epochs
        Passes over the training part; None for the trainer's own number.
    device
        See :func:`models.runtime.choose_device`.
    progress
        Whether to show a progress bar.

    Returns
    -------
    dict
        JSON-ready: ``model``, ``version``, ``held_out``, ``validation``, ``training`` (seed, epochs, seconds...) and
        ``weights_sha256``.
    """
    trainer = _trainer(name)
    report = trainer.train(data, out, seed=seed, epochs=epochs, device=device, progress=progress)
    trainer.pictures(data, out, device=device, weights=out)
    return report


def evaluate(
    name: str,
    data: Path,
    *,
    device: str = "auto",
    weights: Path | None = None,
    plots: Path | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Evaluate weights on the held-out part of the data set.

    Parameters
    ----------
    weights
        Folder of weights with its card; None for the shipped ones.
    plots
        Folder that gets ``examples.png``: held-out cases, right and wrong ones, with what the model said and why. It
        shows people's images.

    Returns
    -------
    dict
        JSON-ready: ``model``, ``version``, ``weights_sha256`` and ``held_out``; some trainers report more.
    """
    trainer = _trainer(name)
    report = trainer.evaluate(data, device=device, weights=weights, progress=progress)
    if plots is not None:
        trainer.pictures(data, plots, device=device, weights=weights)
    return report


def compare(
    name: str,
    data: Path,
    *,
    seed: int = 0,
    epochs: int | None = None,
    device: str = "auto",
    progress: bool = False,
) -> dict[str, Any]:
    """Compare what ships with what was tried beside it, by cross-validation within the training part.

    The held-out part is not looked at.

    Parameters
    ----------
    epochs
        Of what is trained by epochs; None for each way's own number.

    Returns
    -------
    dict
        JSON-ready: ``model``, and figures by the name of the way.

    Raises
    ------
    NothingToCompare
        If the trainer has no ``compare``.
    """
    trainer = _trainer(name)
    if not isinstance(trainer, Comparer):
        raise NothingToCompare(f"nothing was tried beside {name} that can be measured again")
    return trainer.compare(data, seed=seed, epochs=epochs, device=device, progress=progress)
