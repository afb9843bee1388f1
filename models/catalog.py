"""The models that the project ships, by name; nothing is imported or loaded before it is asked for.

A new model is one file under ``models`` and one line in :data:`ENTRIES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from models import cards
from models.contracts import Model, ModelCard, ModelError


class UnknownModel(ModelError):
    """No model of this name is in the catalogue."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a model's code lies.

    Parameters
    ----------
    factory
        ``"module:function"``; the function takes the folder of weights and the device, and gives a
        :class:`~models.contracts.Model`.
    trainer
        Module with the functions ``train`` and ``evaluate`` (see :mod:`models.training.registry`), or ``""``.
    """

    factory: str
    trainer: str = ""


ENTRIES: Mapping[str, Entry] = MappingProxyType(
    {
        "hippocampus": Entry("models.imaging.hippocampus:load", trainer="models.training.hippocampus"),
    }
)


def names() -> tuple[str, ...]:
    """Names of all models, sorted."""
    return tuple(sorted(ENTRIES))


def entry(name: str) -> Entry:
    """Entry of a model; :class:`UnknownModel` names those that there are."""
    try:
        return ENTRIES[name]
    except KeyError:
        raise UnknownModel(f"no model is called {name!r}; there are: {', '.join(names())}") from None


def weights_folder(name: str) -> Path:
    """Folder of a model's shipped weights and card."""
    entry(name)
    return cards.SHIPPED / name


def card(name: str) -> ModelCard:
    """Card of a model, read from its file without importing torch."""
    return cards.read_card(weights_folder(name))


def load(name: str, device: str = "auto", folder: Path | None = None) -> Model:
    """Load a model with its weights.

    Parameters
    ----------
    name
        One of :func:`names`.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"`` (``"cuda:1"``...); see :func:`models.runtime.choose_device`.
    folder
        Weights and card to use in place of the shipped ones.

    Raises
    ------
    UnknownModel
        If there is no such model.
    WeightsError
        If weights are missing or do not have the digest that the card names.
    """
    module, _, function = entry(name).factory.partition(":")
    factory: Any = getattr(import_module(module), function)
    return cast(Model, factory(folder or weights_folder(name), device))
