"""What a model may raise."""

from __future__ import annotations


class ModelError(Exception):
    """Root of what a model may raise; ``retryable`` says whether the same input may work next time."""

    retryable = False


class InputDeclined(ModelError):
    """The input is not one the model was made for. A result state with a reason, not a failure."""


class UnusableOutput(ModelError):
    """A model gave numbers that are none, or places that are nowhere."""


class WeightsError(ModelError):
    """Weights are missing, do not fit the network, or do not have the digest that their card names."""
