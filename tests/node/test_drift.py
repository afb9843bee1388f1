from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.drift import MIN_RECENT, MIN_REFERENCE, stability_index, window

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)


def normal(count: int, mean: float, seed: int) -> list[float]:
    rng = random.Random(seed)
    return [rng.gauss(mean, 1.0) for _ in range(count)]


def test_a_scanner_that_does_not_change_stays_below_a_tenth() -> None:
    found = stability_index(normal(2000, 0, 1), normal(2000, 0, 2))
    assert found is not None
    assert found < 0.1


def test_a_shift_of_one_deviation_is_told() -> None:
    found = stability_index(normal(200, 0, 1), normal(100, 1, 2))
    assert found is not None
    assert found > 0.25


@pytest.mark.parametrize(("first", "last"), [(MIN_REFERENCE - 1, 100), (200, MIN_RECENT - 1)])
def test_few_runs_say_nothing(first: int, last: int) -> None:
    assert stability_index(normal(first, 0, 1), normal(last, 0, 2)) is None


def test_a_number_that_was_always_the_same_and_changes_is_told() -> None:
    found = stability_index([512.0] * 200, [1024.0] * 50)
    assert found is not None
    assert found > 0.25


def test_a_number_that_stays_the_same_has_not_moved() -> None:
    assert stability_index([512.0] * 200, [512.0] * 50) == pytest.approx(0.0)


@given(st.lists(NUMBERS, min_size=MIN_REFERENCE, max_size=80), st.lists(NUMBERS, min_size=MIN_RECENT, max_size=60))
def test_the_index_is_never_negative_and_finite(reference: list[float], recent: list[float]) -> None:
    found = stability_index(reference, recent)
    assert found is not None
    assert 0 <= found + 1e-12 < 100


def test_a_window_has_count_mean_and_deviation() -> None:
    found = window([1.0, 2.0, 3.0])
    assert (found.count, found.mean) == (3, 2.0)
    assert found.sd == pytest.approx(0.8165, abs=1e-4)
