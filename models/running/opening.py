"""What a process that runs models needs of a catalogue, and the memory that a model of it will take; no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from models.catalog import Catalogue
from models.contracts import Model, ModelCard

HALF_TO_SINGLE = 2
"""Weights are kept in half precision and run in single."""


class Loads(Protocol):
    """Gives models by name."""

    def card(self, name: str) -> ModelCard:
        """Card of a model; raises :class:`~models.contracts.ModelError` where there is none."""
        ...

    def load(self, name: str, device: str = "auto") -> Model:
        """Load a model with its weights."""
        ...


class Lists(Loads, Protocol):
    """Says which models there are, and which of them cannot run. :class:`models.catalog.Catalogue` does."""

    def names(self) -> tuple[str, ...]:
        """Names of all models."""
        ...

    def unusable(self, name: str) -> str:
        """Say why a model cannot run; "" where it can."""
        ...


def estimated_bytes(catalogue: Catalogue, name: str) -> int:
    """Return the bytes that a model will take once it is loaded: the files in its folder, in single precision."""
    return HALF_TO_SINGLE * sum(path.stat().st_size for path in catalogue.weights(name).rglob("*") if path.is_file())


def open_catalogue(site: Path | None) -> Catalogue:
    """Give the models that ship with the project, and those that were imported into the site's folder."""
    return Catalogue(site)
