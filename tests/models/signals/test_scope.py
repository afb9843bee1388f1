"""Far from the training signals is far, and a card that does not say where they are is refused."""

from __future__ import annotations

import numpy as np
import pytest

from models.calibrated import Operating, answer, read_operating
from models.contracts import WeightsError
from models.signals import scope


def test_training_signals_are_inside_and_strange_ones_outside() -> None:
    numbers = np.random.default_rng(0).normal(5, 2, size=(500, 8))

    fitted = scope.read_scope(scope.fit_scope(numbers).as_dict())

    assert np.mean([fitted.distance(row) <= fitted.limit for row in numbers]) > 0.99
    assert fitted.distance(np.full(8, 15.0)) > fitted.limit


@pytest.mark.parametrize("value", [None, {}, {"mean": [1], "spread": [0], "limit": 1}, {"mean": [1, 2], "spread": [1],
                                   "limit": 1}, {"mean": "x", "spread": [1], "limit": 1}])  # fmt: skip
def test_a_card_without_a_usable_scope_is_refused(value: dict[str, object] | None) -> None:
    with pytest.raises(WeightsError, match="training signals"):
        scope.read_scope(value)


@pytest.mark.parametrize(
    "value", [None, {}, {"slope": 1, "intercept": "x", "threshold": 0.5}, {"slope": 1, "intercept": 0, "threshold": 2}]
)
def test_a_card_without_a_usable_calibration_is_refused(value: dict[str, object] | None) -> None:
    with pytest.raises(WeightsError):
        read_operating(value)


def test_the_answer_of_an_ensemble_is_that_of_its_mean_logit_with_the_range_of_its_members() -> None:
    found = answer(np.array([-1.0, 1.0, 3.0]), Operating(2.0, -1.0, 0.5))

    assert found.probability == pytest.approx(1 / (1 + np.exp(-1.0)))
    assert found.lowest == pytest.approx(1 / (1 + np.exp(3.0)))
    assert found.highest == pytest.approx(1 / (1 + np.exp(-5.0)))
    assert found.spread == pytest.approx(np.std([-1, 1, 3]))
