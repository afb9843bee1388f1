"""From logits to probabilities that hold what they say: Platt's scaling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

Floats = npt.NDArray[np.float64]
Numbers = Sequence[float] | npt.NDArray[Any]

#: A little of the squared distance of the slope from one is added to the loss, so that a few cases that a logit
#: separates do not drive the slope to infinity.
_PULL = 1e-3


@dataclass(frozen=True, slots=True)
class Calibration:
    """A line from the logit of a network to the calibrated one; without an intercept the slope is 1 / temperature.

    Platt J. Probabilistic outputs for support vector machines. Advances in large margin classifiers, 1999.
    """

    slope: float = 1.0
    intercept: float = 0.0

    def apply(self, logit: Numbers | float) -> Floats:
        """Calibrated probability of each logit."""
        return np.asarray(expit(self.logit(logit)), dtype=np.float64)

    def logit(self, logit: Numbers | float) -> Floats:
        """Calibrated logit of each logit."""
        return np.asarray(self.slope * np.asarray(logit, dtype=np.float64) + self.intercept)

    def as_dict(self) -> dict[str, float]:
        """For JSON; ``Calibration(**value)`` undoes it."""
        return {"slope": self.slope, "intercept": self.intercept}


def fit_calibration(logits: Numbers, truth: Numbers, *, intercept: bool = True) -> Calibration:
    """Fit a calibration by maximum likelihood; on the validation part, never on the held-out one.

    Parameters
    ----------
    logits, truth
        ``[n]``; truth 0 or 1, both of which must be there.
    intercept
        False fits the slope alone.
    """
    x, y = np.asarray(logits, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if not np.isfinite(x).all() or not 0 < y.mean() < 1:
        raise ValueError("calibration needs finite logits and cases of both classes")

    def loss(parameters: Floats) -> float:
        z = parameters[0] * x + (parameters[1] if intercept else 0.0)
        return float(np.mean(np.logaddexp(0, z) - y * z) + _PULL * (parameters[0] - 1) ** 2)

    found = minimize(loss, np.array([1.0, 0.0][: 1 + intercept]), method="BFGS").x
    return Calibration(float(found[0]), float(found[1]) if intercept else 0.0)
