from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from node.delivery.backoff import JITTER, next_try
from node.settings import DeliverySection

NOW = dt.datetime(2026, 1, 8, tzinfo=dt.UTC)
POLICY = DeliverySection(retry_seconds=5, retry_max_seconds=900, give_up_days=7)


def wait(attempts: int, chance: float = 0.5) -> float:
    again = next_try(attempts, NOW, NOW, POLICY, chance)
    assert again is not None
    return (again - NOW).total_seconds()


def test_the_wait_doubles_up_to_its_limit() -> None:
    assert [wait(n) for n in (1, 2, 3, 8, 9, 1000)] == [5, 10, 20, 640, 900, 900]


@given(attempts=st.integers(1, 10_000), chance=st.floats(0, 1, exclude_max=True))
def test_chance_moves_the_wait_by_no_more_than_the_jitter(attempts: int, chance: float) -> None:
    middle = min(900, 5 * 2.0 ** min(attempts - 1, 30))
    assert middle * (1 - JITTER) - 1e-5 <= wait(attempts, chance) <= middle * (1 + JITTER) + 1e-5


def test_after_days_a_delivery_is_given_up() -> None:
    assert next_try(3, NOW - dt.timedelta(days=7), NOW, POLICY, 0.5) is None
    assert next_try(3, NOW - dt.timedelta(days=6.9), NOW, POLICY, 0.5) is not None
