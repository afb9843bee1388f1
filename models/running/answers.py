"""What a run of a model ends in: a prediction for each input, or why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.contracts import ModelCard, ModelError, Prediction


class OutOfMemory(ModelError):
    """Neither smaller tiles nor the processor had the memory that a model needs."""

    retryable = True


class InferenceLost(ModelError):
    """The process that ran a model ended, or was ended, before it answered."""

    retryable = True


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an input has no prediction.

    Parameters
    ----------
    reason
        A sentence for people, without anything of the input.
    declined
        Whether the model was not made for the input: a result, not an error.
    """

    reason: str
    declined: bool = False


Outcome = Prediction | Failure


@dataclass(frozen=True, slots=True)
class Answers:
    """The outcomes of one request, in the order of its inputs.

    Parameters
    ----------
    outcomes
        As many as inputs.
    card
        Of the model that ran, None where it could not be loaded.
    batch
        Most inputs that the model takes at once.
    busy_seconds
        How long the model was at work.
    device
        Where it ran, as torch names it; "" where it did not.
    """

    outcomes: tuple[Outcome, ...]
    card: ModelCard | None = None
    batch: int = 1
    busy_seconds: float = 0.0
    device: str = ""


def failed(reason: str, inputs: Sequence[object]) -> Answers:
    """Say the same of every input."""
    return Answers(tuple(Failure(reason) for _ in inputs))


def reason_of(exc: BaseException) -> str:
    """Say what went wrong; texts of foreign errors may quote the input, so that only their class is told."""
    return str(exc) if isinstance(exc, ModelError) else f"internal error ({type(exc).__name__})"
