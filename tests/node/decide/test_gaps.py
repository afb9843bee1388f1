from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.decide.gaps import ENOUGH_GAPS, LONGEST_SECONDS, SHORTEST_SECONDS, Histogram, Pauses, between

DURATIONS = st.lists(st.floats(0, LONGEST_SECONDS), min_size=1, max_size=60)
STUDIES = st.lists(DURATIONS, min_size=1, max_size=12)
BUCKET = 2 ** (1 / 4)


def learned(*studies: list[float]) -> Pauses:
    pauses = Pauses()
    for gaps in studies:
        pauses = pauses.fed(gaps)
    return pauses


def test_nothing_is_concluded_from_few_pauses() -> None:
    assert learned([1.0] * (ENOUGH_GAPS - 1)).wait(120) is None
    assert learned([1.0] * ENOUGH_GAPS).wait(120) is not None


def test_a_fast_source_needs_no_longer_wait_than_anybody() -> None:
    wait = learned([0.05] * 200).wait(120)
    assert wait is not None
    assert wait < 0.2


def test_a_source_that_pauses_before_each_series_is_waited_for() -> None:
    wait = learned(*([0.05] * 20 + [8.0] for _ in range(5))).wait(120)
    assert wait is not None
    assert 16 <= wait <= 16 * BUCKET


def test_one_pause_in_a_thousand_counts_where_every_study_has_one() -> None:
    study = [0.05] * 1000 + [20.0]
    assert (learned(study).wait(120) or 0) < 1
    wait = learned(*([study] * 12)).wait(120)
    assert wait is not None
    assert 30 <= wait <= 30 * BUCKET


def test_one_late_instance_among_many_studies_does_not_make_all_others_wait() -> None:
    wait = learned(*([[0.05] * 100] * 40), [90.0]).wait(120)
    assert wait is not None
    assert wait < 1


def test_a_pause_longer_than_any_wait_that_is_allowed_does_not_count() -> None:
    wait = learned(*([[0.05] * 20 + [3000.0]] * 30)).wait(120)
    assert wait is not None
    assert wait < 1


def test_a_habit_that_was_given_up_is_forgotten() -> None:
    slow, fast = [0.05] * 20 + [30.0], [0.05] * 21
    wait = learned(*([slow] * 30), *([fast] * 700)).wait(120)
    assert wait is not None
    assert wait < 1


def test_a_gap_that_straddled_a_verdict_is_among_those_that_are_learned() -> None:
    assert between([10.0, 10.5, 25.0, 25.5], since=10.5) == [14.5, 0.5]
    assert between([3.0, 1.0, 2.0]) == [1.0, 1.0]
    assert between([]) == between([1.0]) == between([1.0, 2.0], since=2.0) == []


@given(STUDIES)
def test_a_quantile_is_never_below_the_share_and_never_a_bucket_too_long(studies: list[list[float]]) -> None:
    histogram = Histogram().fed(studies[0])
    values = sorted(studies[0])
    for share in (0.5, 0.95, 0.995, 1.0):
        exact = values[max(0, math.ceil(share * len(values) - 1e-9) - 1)]
        estimate = histogram.quantile(share)
        assert max(exact, SHORTEST_SECONDS) * (1 - 1e-6) <= estimate
        assert estimate <= max(exact, SHORTEST_SECONDS) * BUCKET * (1 + 1e-6)


@given(STUDIES, st.floats(1, 1000))
def test_a_wait_is_never_longer_than_allowed(studies: list[list[float]], limit: float) -> None:
    wait = learned(*studies).wait(limit)
    assert wait is None or 0 <= wait <= limit


@given(STUDIES)
def test_what_was_learned_survives_being_kept(studies: list[list[float]]) -> None:
    pauses = learned(*studies)
    kept = Pauses.decode(json.loads(json.dumps(pauses.encode())))
    assert kept.wait(120) == pytest.approx(pauses.wait(120))
    assert kept.gaps.total == pytest.approx(pauses.gaps.total, abs=0.02)


@given(st.lists(st.floats(allow_nan=True), max_size=20))
def test_times_that_cannot_be_change_nothing(gaps: list[float]) -> None:
    possible = [gap for gap in gaps if 0 <= gap <= LONGEST_SECONDS]
    assert Pauses().fed(gaps) == Pauses().fed(possible)


@given(st.lists(st.floats(0, 1e6), max_size=30), st.none() | st.floats(0, 1e6))
def test_gaps_add_up_to_the_time_between_first_and_last(times: list[float], since: float | None) -> None:
    gaps = between(times, since)
    counted = [time for time in times if since is None or time > since]
    first = min(counted, default=0.0) if since is None else since
    assert sum(gaps) == pytest.approx(max(counted, default=first) - first)
    assert all(gap >= 0 for gap in gaps)


def test_it_learns_the_wait_of_a_noisy_source_within_a_hundred_studies() -> None:
    chance = random.Random(1)
    pauses = Pauses()
    for _ in range(100):
        pauses = pauses.fed([chance.expovariate(20) for _ in range(200)] + [chance.uniform(5, 12)])
    wait = pauses.wait(120)
    assert wait is not None
    assert 12 <= wait <= 12 * 2 * BUCKET
    assert len(json.dumps(pauses.encode())) < 4000
