from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from models.training.chest_xray_severity.logistic import decide, fit_logistic


def cases(seed: int, count: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(count, columns))
    truth = (values[:, 0] + rng.normal(size=count) > 0).astype(np.int64)
    truth[:2] = (0, 1)
    return values, truth


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 100), count=st.integers(12, 40), columns=st.integers(1, 60))
def test_the_weights_are_those_of_another_implementation(seed: int, count: int, columns: int) -> None:
    values, truth = cases(seed, count, columns)

    found = fit_logistic(values, truth, prior=0.7)

    other = LogisticRegression(C=0.7**2, tol=1e-8, max_iter=5000).fit(values, truth)
    assert found == pytest.approx(np.append(other.coef_[0], other.intercept_), abs=5e-3)
    assert decide(values, found) == pytest.approx(other.decision_function(values), abs=2e-2)


def test_an_input_that_speaks_against_itself_is_not_used() -> None:
    values, truth = cases(0, 60, 2)
    values[:, 1] = -values[:, 0]

    weights = fit_logistic(values, truth, 1.0, rising=True)

    assert weights[0] > 0.3
    assert weights[1] == 0


def test_a_narrow_prior_keeps_the_weights_small() -> None:
    values, truth = cases(1, 40, 3)

    assert abs(fit_logistic(values, truth, 0.01)[:-1]).max() < 0.01 < abs(fit_logistic(values, truth, 1.0)[:-1]).max()
