"""The numbers of a strip tell rhythms apart, and are finite whatever the strip."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.signals.ecg import intervals
from models.signals.ecg.preparing import RATE_HZ, prepare
from models.signals.qrs import find_beats
from tests.models.signals.generated import lead_two


def numbers(seed: int, *, fibrillation: bool, gap: tuple[int, int] | None = None) -> dict[str, float]:
    lead, _ = lead_two(30, 300, seed, fibrillation=fibrillation)
    samples = prepare(lead[None], 300)
    values = intervals.describe(samples, find_beats(samples, RATE_HZ), RATE_HZ, gap)
    return dict(zip(intervals.NAMES, values, strict=True))


def test_fibrillation_is_irregular_and_has_no_p_wave_that_repeats() -> None:
    sinus, fibrillation = numbers(1, fibrillation=False), numbers(1, fibrillation=True)

    assert fibrillation["rr_cv"] > 0.15 > 3 * sinus["rr_cv"]
    assert fibrillation["entropy"] > sinus["entropy"] + 0.5
    assert sinus["p_repeats"] > 0.5 > fibrillation["p_repeats"]


def test_the_rate_is_the_number_of_beats_over_time() -> None:
    lead, beats = lead_two(30, 300, 2)
    samples = prepare(lead[None], 300)

    found = intervals.rate_per_minute(find_beats(samples, RATE_HZ), RATE_HZ)

    assert found == pytest.approx(60 / np.diff(beats).mean(), rel=0.01)
    assert intervals.rate_per_minute(np.array([5]), RATE_HZ) is None


def test_the_interval_over_a_blanked_stretch_is_none() -> None:
    whole, blanked = numbers(3, fibrillation=False), numbers(3, fibrillation=False, gap=(1000, 1600))

    assert blanked["longest"] < 1.2
    assert blanked["rr_mean_s"] == pytest.approx(whole["rr_mean_s"], rel=0.02)
    assert blanked["beats_per_second"] == pytest.approx(whole["beats_per_second"], rel=0.06)


def test_alike_intervals_have_no_entropy_and_random_ones_have_much() -> None:
    rng = np.random.default_rng(0)

    assert intervals.sample_entropy(np.ones(30)) == pytest.approx(0, abs=0.15)
    assert intervals.sample_entropy(rng.uniform(0.5, 1.6, 60)) > 1


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float64, st.tuples(st.integers(1, 3), st.integers(200, 1500)), elements=st.floats(-12, 12)),
    st.lists(st.integers(0, 1499), max_size=60),
)
def test_whatever_the_strip_and_its_beats_the_numbers_are_finite(
    samples: np.ndarray[tuple[int, int], np.dtype[np.float64]], places: list[int]
) -> None:
    beats = np.unique([place for place in places if place < samples.shape[1]]).astype(np.int64)

    found = intervals.describe(samples, beats, RATE_HZ)

    assert found.shape == (len(intervals.NAMES),)
    assert np.isfinite(found).all()
