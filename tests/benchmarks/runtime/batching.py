"""A small image network with made-up weights: what a batch brings does not depend on what it has learned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from models.contracts import (
    Code,
    Finding,
    InputKind,
    InputRequirements,
    Model,
    ModelCard,
    Prediction,
    Radiograph,
    Source,
    expect,
)

CARD = ModelCard(
    name="images",
    version="1",
    title="A network of the benchmark",
    summary="",
    requirements=InputRequirements(modalities=("DX",), kind=InputKind.RADIOGRAPH),
    outputs=(),
    weights_sha256="0" * 64,
    data="",
    licence="",
    intended_use="",
    limits=(),
)

SOMETHING = Code("1", "99BENCH", "Something")


def build() -> nn.Module:
    """Four strided stages of 3 x 3 convolutions and a linear head, about 400,000 weights."""
    torch.manual_seed(1)
    stages: list[nn.Module] = []
    for before, after in ((1, 16), (16, 32), (32, 64), (64, 128)):
        stages += [nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
        stages += [nn.Conv2d(after, after, 3, 1, 1), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 2)).eval()


class Images:
    """Classifies radiographs, several at once."""

    batch = 16

    def __init__(self, device: str) -> None:
        self.card = CARD
        self._device = torch.device(device)
        self._network = build().to(self._device)

    def check(self, source: Source) -> None:
        """Raise unless it is a radiograph."""
        expect(source, Radiograph)

    def predict(self, source: Source) -> Prediction:
        """Classify one."""
        return self.predict_many([source])[0]

    def predict_many(self, sources: Sequence[Source]) -> list[Prediction]:
        """Classify several."""
        stack = torch.from_numpy(np.stack([expect(source, Radiograph).array for source in sources]))[:, None]
        with torch.inference_mode():
            found = torch.softmax(self._network(stack.to(self._device)).float(), 1)[:, 1].cpu()
        return [Prediction((Finding("something", SOMETHING, confidence=float(value)),)) for value in found]


class Shelf:
    """The one model."""

    def names(self) -> tuple[str, ...]:
        """Its name."""
        return ("images",)

    def card(self, name: str) -> ModelCard:
        """Its card."""
        return CARD

    def load(self, name: str, device: str = "auto") -> Model:
        """Make it."""
        return Images(device)
