"""The details of a single lead that the forests read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.signals.ecg.details import NAMES, describe_details
from models.signals.ecg.details.intervals import describe_intervals
from models.signals.ecg.details.quality import describe_quality
from models.signals.ecg.details.rest import describe_rest
from models.signals.ecg.details.shapes import cut, describe_shapes
from models.signals.ecg.preparing import RATE_HZ, prepare
from models.signals.filters import Array
from models.signals.qrs import Beats, find_beats
from tests.models.signals.generated import lead_two


def strip(seed: int, *, fibrillation: bool = False) -> tuple[Array, Beats]:
    lead, _ = lead_two(30, 300, seed, fibrillation=fibrillation)
    samples = prepare(lead[None], 300)
    return samples[0], find_beats(samples, RATE_HZ)


def named(lead: Array, beats: Beats) -> dict[str, float]:
    return dict(zip(NAMES, describe_details(lead, beats, RATE_HZ).tolist(), strict=True))


def test_every_number_that_is_computed_has_a_name_and_every_name_a_number() -> None:
    lead, beats = strip(1)
    shapes = cut(lead, beats, RATE_HZ)

    assert shapes is not None
    found = describe_quality(lead, beats, RATE_HZ) | describe_intervals(np.diff(beats) / RATE_HZ)
    found |= describe_shapes(shapes, beats) | describe_rest(lead, beats, shapes)

    assert len(set(NAMES)) == len(NAMES)
    assert found.keys() == set(NAMES)


def test_fibrillation_is_irregular_and_its_beats_have_no_p_wave_before_them() -> None:
    well, sick = named(*strip(2)), named(*strip(2, fibrillation=True))

    assert sick["rmssd_s"] > 3 * well["rmssd_s"]
    assert sick["differences_evidence"] > well["differences_evidence"]
    assert sick["p_like"] < 0.7 * well["p_like"]


def test_an_early_beat_with_a_pause_after_it_is_counted_once() -> None:
    intervals = np.full(30, 0.8)
    intervals[10:12] = 0.5, 1.1

    found = describe_intervals(intervals)

    assert found["early"] == found["late"] == found["early_then_late"] == 1
    assert found["early_twice"] == 0
    assert found["earliest"] == pytest.approx(0.625)
    assert found["rest_cv"] == pytest.approx(0)


def test_a_beat_of_another_shape_is_counted_and_called_early_where_it_is() -> None:
    lead, beats = strip(3)
    at = int(beats[12])
    moved = np.sort(np.append(np.delete(beats, 12), at - 25))
    changed = lead.copy()
    changed[at - 45 : at + 20] = 0.0
    wide = np.arange(-20, 20)
    changed[at - 25 + wide] -= 6 * np.exp(-((wide / 9.0) ** 2))

    plain, found = named(lead, beats), named(changed, moved)

    assert found["unlike"] >= plain["unlike"] + 1
    assert found["early_unlike"] >= plain["early_unlike"] + 1
    assert found["width_most_s"] > plain["width_most_s"]


def test_a_lead_that_is_upside_down_has_the_same_shapes() -> None:
    lead, beats = strip(4)

    upright, turned = named(lead, beats), named(-lead, beats)

    assert turned["r_sign"] == -upright["r_sign"]
    for name in ("p_most", "t_most", "width_0.3_s", "beat_06", "between_waves"):
        assert turned[name] == pytest.approx(upright[name], abs=1e-5)


def test_noise_shows_in_the_spectrum_and_in_the_beats() -> None:
    lead, beats = strip(5)
    noisy = lead + np.random.default_rng(0).normal(size=lead.size)

    plain, found = named(lead, beats), named(noisy, beats)

    assert found["power_25_hz"] > 5 * plain["power_25_hz"]
    assert found["left_of_usual"] > 2 * plain["left_of_usual"]


@given(
    st.integers(500, 3000),
    st.lists(st.integers(0, 2999), max_size=60),
    st.integers(0, 2**32 - 1),
    st.sampled_from((0.0, 1.0, 1e3)),
)
def test_any_beats_in_any_signal_give_finite_numbers(size: int, places: list[int], seed: int, height: float) -> None:
    lead = height * np.random.default_rng(seed).normal(size=size)
    beats = np.array(sorted({place for place in places if place < size}), dtype=np.int64)

    found = describe_details(lead, beats, RATE_HZ)

    assert found.shape == (len(NAMES),)
    assert np.isfinite(found).all()
