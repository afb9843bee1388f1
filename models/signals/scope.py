"""Whether a signal is of the kind that a model was trained on, by numbers that describe it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.contracts import WeightsError
from models.signals.filters import Array


@dataclass(frozen=True, eq=False)
class Scope:
    """Mean and standard deviation of numbers of the training signals, and how far from these is too far.

    Parameters
    ----------
    mean, spread
        ``[number]``.
    limit
        Distance beyond which a signal is declined.
    """

    mean: npt.NDArray[np.float64]
    spread: npt.NDArray[np.float64]
    limit: float

    def distance(self, numbers: npt.NDArray[np.floating]) -> float:
        """Root of the mean squared deviation in standard deviations: about 1 for a usual signal."""
        return float(np.sqrt(np.mean(((numbers - self.mean) / self.spread) ** 2)))

    def as_dict(self) -> dict[str, Any]:
        """For the card; :func:`read_scope` undoes it."""
        return {
            "mean": [round(float(x), 5) for x in self.mean],
            "spread": [round(float(x), 5) for x in self.spread],
            "limit": round(self.limit, 4),
        }


def fit_scope(numbers: Array, share: float = 0.998, margin: float = 1.1) -> Scope:
    """Fit to training signals ``[signal, number]``.

    Parameters
    ----------
    share, margin
        The limit is ``margin`` times the distance that this share of the training signals has at most.
    """
    mean, spread = numbers.mean(axis=0), np.maximum(numbers.std(axis=0), 1e-3)
    scope = Scope(mean, spread, np.inf)
    limit = margin * float(np.quantile([scope.distance(row) for row in numbers], share))
    return Scope(mean, spread, limit)


def read_scope(value: Mapping[str, Any] | None) -> Scope:
    """Undo :meth:`Scope.as_dict`; :class:`WeightsError` where the card does not hold one."""
    try:
        named = value or {}
        scope = Scope(np.asarray(named["mean"], float), np.asarray(named["spread"], float), float(named["limit"]))
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError("the model card does not say what the training signals were like") from error
    if scope.mean.ndim != 1 or scope.mean.shape != scope.spread.shape or not (scope.spread > 0).all():
        raise WeightsError("the model card's description of the training signals does not fit together")
    return scope
