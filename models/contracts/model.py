"""The card of a model, and the model itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from models.contracts.common import Code
from models.contracts.findings import Prediction, SegmentSpec
from models.contracts.requirements import InputRequirements
from models.contracts.sources import Source


@dataclass(frozen=True, slots=True)
class ResultSpec:
    """One finding that a model may give: its label, its code, and the unit of its number where it has one."""

    label: str
    code: Code
    unit: Code | None = None


@dataclass(frozen=True)
class ModelCard:
    """What is known of a model: shipped beside its weights, registered by workers, shown to people.

    Parameters
    ----------
    outputs
        Segments that it draws.
    results
        Findings that it may give.
    """

    name: str
    version: str
    title: str
    summary: str
    requirements: InputRequirements
    outputs: tuple[SegmentSpec, ...]
    weights_sha256: str
    data: str
    licence: str
    intended_use: str
    limits: tuple[str, ...]
    metrics: Mapping[str, Any] = field(default_factory=dict)
    references: tuple[str, ...] = ()
    results: tuple[ResultSpec, ...] = ()


class Model(Protocol):
    """Whatever the catalogue gives. Loading weights is done by the constructor's factory, never at import."""

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        ...

    def check(self, source: Source) -> None:
        """Raise :class:`InputDeclined`, with a reason that a person understands, if ``source`` is unsuitable."""
        ...

    def predict(self, source: Source) -> Prediction:
        """Infer; deterministic for the same weights, input and machine."""
        ...


@runtime_checkable
class BatchModel(Model, Protocol):
    """A model that is faster with several small inputs at once."""

    @property
    def batch(self) -> int:
        """Most inputs at once that pay on the device."""
        ...

    def predict_many(self, sources: Sequence[Source]) -> list[Prediction]:
        """Infer several inputs, each of which passed :meth:`check`; the same answers as one at a time."""
        ...
