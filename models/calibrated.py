"""Probabilities of an ensemble: the calibrated mean, and how far its members are apart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.codes import NO_UNITS, PROBABILITY
from models.contracts import Measurement, WeightsError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Operating:
    """How logits become an answer: calibrated logit = ``slope * logit + intercept``; present from ``threshold`` on."""

    slope: float
    intercept: float
    threshold: float

    def probability(self, logit: float | Array) -> Array:
        """Calibrated probability."""
        calibrated = np.clip(self.slope * np.asarray(logit, dtype=np.float64) + self.intercept, -30, 30)
        return np.asarray(1.0 / (1.0 + np.exp(-calibrated)))

    def as_dict(self) -> dict[str, float]:
        """For the card."""
        return {"slope": round(self.slope, 5), "intercept": round(self.intercept, 5),
                "threshold": round(self.threshold, 5)}  # fmt: skip


def read_operating(value: Mapping[str, Any] | None) -> Operating:
    """Undo :meth:`Operating.as_dict`; :class:`WeightsError` where the card does not hold one."""
    try:
        named = value or {}
        found = Operating(*(float(named[key]) for key in ("slope", "intercept", "threshold")))
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError("the model card lacks slope, intercept and threshold of its probabilities") from error
    usable = found.slope > 0 and math.isfinite(found.slope) and math.isfinite(found.intercept)
    if not usable or not 0 < found.threshold < 1:
        raise WeightsError("the model card's calibration is not usable")
    return found


@dataclass(frozen=True, slots=True)
class Answer:
    """A probability, the lowest and highest of the members, and the standard deviation of their logits."""

    probability: float
    lowest: float
    highest: float
    spread: float


def said(found: Answer, threshold: float) -> str:
    """Say a probability with the range of the members, and on which side of the operating point it lies.

    A small one is not written as 0.00.
    """
    digits = 2 if found.probability >= 0.1 else 3
    value = "below 0.001" if found.probability < 0.001 else f"{found.probability:.{digits}f}"
    low, high = (f"{end:.{digits}f}" for end in (found.lowest, found.highest))
    side = "at or above" if found.probability >= threshold else "below"
    return f"probability {value}, {low} to {high} over the networks; {side} the operating point of {threshold:.2f}"


def answer(logits: Array, operating: Operating) -> Answer:
    """Combine the logits of the members, ``[member]``."""
    each = operating.probability(logits)
    return Answer(
        float(operating.probability(float(logits.mean()))), float(each.min()), float(each.max()), float(logits.std())
    )


def measurement(found: Answer, method: str) -> Measurement:
    """Probability with the range of the members; no share of certainty belongs to that range."""
    return Measurement(PROBABILITY, found.probability, NO_UNITS, found.lowest, found.highest, None, method)
