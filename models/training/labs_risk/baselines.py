"""What simpler methods reach on the same stays: logistic regression and gradient boosting on summaries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from models.labs.window import statics, summaries
from models.training.framework.fit import TrainingError
from models.training.labs_risk.data import Stay

Floats = npt.NDArray[np.float64]


def table(stays: Sequence[Stay]) -> Floats:
    """``[n, columns]``: first, last, lowest, highest, mean, trend, whether and how often measured, age and sex.

    What is missing is not a number.
    """
    rows = []
    for stay in stays:
        found = summaries(stay.window).astype(np.float64)
        there = found[-1] > 0
        count = np.log1p(np.bincount(stay.window.variable, minlength=there.size))
        levels = np.where(there, found[:-1], np.nan)
        rows.append(np.concatenate([levels.ravel(), there, count, statics(stay.window)]))
    return np.array(rows)


def _logistic() -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fill = SimpleImputer(strategy="median", keep_empty_features=True)
    return make_pipeline(fill, StandardScaler(), LogisticRegression(C=0.003, max_iter=2000))


def _boosting() -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=200,
        learning_rate=0.04,
        max_leaf_nodes=8,
        min_samples_leaf=30,
        l2_regularization=5,
        max_features=0.3,
        random_state=0,
    )


BASELINES: Mapping[str, Callable[[], Any]] = MappingProxyType(
    {"logistic_regression": _logistic, "gradient_boosting": _boosting}
)


def predict(name: str, train: Sequence[Stay], test: Sequence[Stay]) -> Floats:
    """Train a baseline and give its probabilities for other stays."""
    try:
        method = BASELINES[name]()
    except ImportError as error:
        raise TrainingError("the baselines need scikit-learn: pip install 'overread[train]'") from error
    rows = table(train)
    known = ~np.isnan(rows).all(axis=0)
    method.fit(rows[:, known], np.array([stay.died for stay in train]))
    return np.asarray(method.predict_proba(table(test)[:, known])[:, 1], dtype=np.float64)
