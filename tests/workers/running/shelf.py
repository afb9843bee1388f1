"""A catalogue of models that a test made, in place of the shipped one."""

from __future__ import annotations

from models.contracts import Model, ModelCard


class Shelf:
    """Models by name, loaded as they are."""

    def __init__(self, **models: Model) -> None:
        self.models = models
        self.broken: dict[str, str] = {}

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self.models))

    def card(self, name: str) -> ModelCard:
        return self.models[name].card

    def unusable(self, name: str) -> str:
        return self.broken.get(name, "")

    def load(self, name: str, device: str = "auto") -> Model:
        return self.models[name]
