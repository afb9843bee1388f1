"""Models and a catalogue for tests of what runs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from models.contracts import (
    Code,
    Finding,
    InputDeclined,
    InputKind,
    InputRequirements,
    Model,
    ModelCard,
    Prediction,
    Record,
    Source,
    expect,
)

AGE = Code("1", "99TEST", "Age")

CARD = ModelCard(
    name="double",
    version="1",
    title="A double",
    summary="",
    requirements=InputRequirements(modalities=(), kind=InputKind.RECORD),
    outputs=(),
    weights_sha256="0" * 64,
    data="",
    licence="",
    intended_use="",
    limits=(),
)


class Sayer:
    """Says the age, one at a time; the young are declined, and ages without a number are an error."""

    def __init__(self, card: ModelCard = CARD, network: torch.nn.Module | None = None) -> None:
        self.card = card
        self.network = network
        self.calls: list[int] = []

    def check(self, source: Source) -> None:
        if (expect(source, Record).age_years or 0) < 18:
            raise InputDeclined("The patient is a child; this model is for adults.")

    def predict(self, source: Source) -> Prediction:
        self.calls.append(1)
        return self._say(source)

    def _say(self, source: Source) -> Prediction:
        age = expect(source, Record).age_years
        if age == 99:
            raise ValueError("Doe^Jane is 99")
        return Prediction((Finding("age", AGE, text=f"{age:g}"),))


class Choir(Sayer):
    """Says several at once."""

    batch = 8

    def predict_many(self, sources: Sequence[Source]) -> list[Prediction]:
        self.calls.append(len(sources))
        return [self._say(source) for source in sources]


class Hungry(Sayer):
    """Runs out of memory as often as it is told."""

    def __init__(self, failures: int, error: Exception | None = None) -> None:
        super().__init__()
        self.failures, self.error = failures, error or torch.OutOfMemoryError("CUDA out of memory")

    def predict(self, source: Source) -> Prediction:
        if self.failures > 0:
            self.failures -= 1
            raise self.error
        return super().predict(source)


class Library:
    """Makes models anew at each loading, and remembers what was loaded."""

    def __init__(self, **makers: Callable[[], Model]) -> None:
        self.makers = makers
        self.loaded: list[tuple[str, str]] = []
        self.versions: dict[str, str] = {}

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self.makers))

    def card(self, name: str) -> ModelCard:
        return replace(CARD, name=name, version=self.versions.get(name, "1"))

    def load(self, name: str, device: str = "auto") -> Model:
        self.loaded.append((name, device))
        return self.makers[name]()


def aged(*ages: float) -> list[Record]:
    """Records of patients of these ages."""
    return [Record(age_years=age) for age in ages]
