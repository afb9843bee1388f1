"""Beats are found where they are, on generated strips and on an annotated record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.signals.ecg.preparing import RATE_HZ, prepare
from models.signals.filters import Array
from models.signals.qrs import find_beats
from tests.models.signals.generated import lead_two
from tests.models.signals.wfdb import beats_of, read_212


def matched(found: Array, wanted: Array, tolerance_s: float) -> float:
    """Share of ``wanted`` that has one of ``found`` near it."""
    return float(np.mean([np.abs(found - time).min(initial=np.inf) <= tolerance_s for time in wanted]))


@pytest.mark.parametrize("fibrillation", [False, True])
@pytest.mark.parametrize("rate_hz", [125.0, 300.0, 500.0])
def test_every_beat_of_a_generated_strip_is_found_within_20_ms(rate_hz: float, fibrillation: bool) -> None:
    lead, wanted = lead_two(30, rate_hz, 1, fibrillation=fibrillation)

    found = find_beats(prepare(lead[None], rate_hz), RATE_HZ) / RATE_HZ

    assert matched(found, wanted, 0.02) == 1
    assert matched(wanted, found, 0.02) == 1


def test_a_lead_upside_down_has_the_same_beats() -> None:
    lead, wanted = lead_two(20, 300, 2)

    found = find_beats(prepare(-lead[None], 300), RATE_HZ) / RATE_HZ

    assert found.size == wanted.size
    assert matched(found, wanted, 0.03) == 1


def test_a_burst_of_noise_does_not_hide_the_beats_after_it() -> None:
    lead, wanted = lead_two(30, 300, 3)
    lead[3000:3300] += 4 * np.random.default_rng(0).normal(size=300)

    found = find_beats(prepare(lead[None], 300), RATE_HZ) / RATE_HZ

    quiet = wanted[(wanted < 9.5) | (wanted > 11.5)]
    assert matched(found, quiet, 0.03) == 1


def test_nothing_is_found_in_a_flat_or_a_very_short_strip() -> None:
    assert find_beats(np.zeros((1, 1000)), RATE_HZ).size == 0
    assert find_beats(np.ones((1, 100)), RATE_HZ).size == 0


@pytest.mark.data
def test_record_100_of_mit_bih_is_read_beat_by_beat(real_data: Callable[[str], Path]) -> None:
    folder = real_data("ecg-wfdb-samples")
    signals, rate_hz = read_212(folder / "100.dat", 2, 360.0)
    wanted = beats_of(folder / "100.atr") / rate_hz

    found = find_beats(prepare(signals[:1], rate_hz), RATE_HZ) / RATE_HZ

    assert wanted.size == 2273
    assert matched(found, wanted, 0.1) > 0.998
    assert matched(wanted, found, 0.1) > 0.998
