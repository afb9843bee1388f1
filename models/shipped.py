"""What the models that ship have in common: a card, a device, and weights that are read with their digest checked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import torch

from models import cards, runtime
from models.contracts import ModelCard, Prediction, Source

N = TypeVar("N", bound=torch.nn.Module)


class Shipped:
    """A model with its card, on a device."""

    def __init__(self, card: ModelCard, device: torch.device) -> None:
        self._card = card
        self._device = device

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self._card


class ShippedBatch(Shipped, ABC):
    """One that reads several small inputs at once; ``batch`` of them at most pay."""

    batch = 8

    def predict(self, source: Source) -> Prediction:
        """Answer one input; see :meth:`predict_many`."""
        [prediction] = self.predict_many([source])
        return prediction

    @abstractmethod
    def predict_many(self, sources: Sequence[Source]) -> list[Prediction]:
        """Answer several inputs."""


def restore(network: N, folder: Path, device: str) -> tuple[N, ModelCard, torch.device]:
    """Put the weights of a folder into a network, on a device; with the folder's card.

    Raises
    ------
    WeightsError
        If card or weights are missing, do not fit, or do not have the card's digest.
    """
    card = cards.read_card(folder)
    chosen = runtime.choose_device(device)
    runtime.load_into(network, runtime.read_weights(folder / cards.WEIGHTS_FILE, card.weights_sha256))
    return network.to(chosen), card, chosen
