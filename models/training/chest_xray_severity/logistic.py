"""Logistic regression for a few dozen cases: with a prior on its weights, and none below zero where asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

Floats = npt.NDArray[np.float64]


def fit_logistic(values: npt.NDArray[Any], truth: npt.NDArray[Any], prior: float, *, rising: bool = False) -> Floats:
    """Most probable weights and intercept.

    Parameters
    ----------
    values
        ``[n, m]``, of standard deviation about 1.
    truth
        ``[n]`` 0 or 1.
    prior
        Standard deviation of the weights before any case is seen (ridge: the penalty is its inverse square). The
        intercept is free.
    rising
        Whether weights below 0 are excluded: an input that speaks against what it should speak for is not used.

    Returns
    -------
    numpy.ndarray
        ``[m + 1]``, the intercept last.
    """
    columns = np.asarray(values, dtype=np.float64)
    if columns.shape[1] > len(columns) and not rising:
        return _in_fewer_directions(columns, truth, prior)
    x = np.column_stack([columns, np.ones(len(truth))])
    y = np.asarray(truth, dtype=np.float64)
    penalty = np.append(np.full(x.shape[1] - 1, prior**-2), 0.0)

    def loss(weights: Floats) -> tuple[float, Floats]:
        z = x @ weights
        value = float(np.sum(np.logaddexp(0, z) - y * z) + 0.5 * penalty @ weights**2)
        slope: Floats = x.T @ (1 / (1 + np.exp(-z)) - y) + penalty * weights
        return value, slope

    lowest = 0.0 if rising else None
    bounds = [(lowest, None)] * (x.shape[1] - 1) + [(None, None)]
    found = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 1000})
    weights: Floats = found.x
    return weights


def _in_fewer_directions(values: Floats, truth: npt.NDArray[Any], prior: float) -> Floats:
    """Fit in the directions that the cases span, which is the same: the prior pulls all others to 0."""
    _, _, directions = np.linalg.svd(values, full_matrices=False)
    weights = fit_logistic(values @ directions.T, truth, prior)
    return np.append(directions.T @ weights[:-1], weights[-1])


def decide(values: npt.NDArray[Any], weights: Floats) -> Floats:
    """Log-odds ``[n]`` of ``values`` ``[n, m]``."""
    found: Floats = np.asarray(values, dtype=np.float64) @ weights[:-1] + weights[-1]
    return found
