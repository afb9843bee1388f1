"""Windows cover a record, and the network reads leads in any order and number."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.signals.ecg import reading
from models.signals.ecg.network import FIBRILLATION, NORMAL, OTHER, RhythmNetwork
from models.signals.ecg.preparing import RATE_HZ, prepare
from models.signals.qrs import find_beats
from tests.models.signals.generated import lead_two, twelve_leads

CPU = torch.device("cpu")


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 20_000), st.integers(600, 3000))
def test_windows_cover_a_record_and_none_is_longer_than_a_window(length: int, window: int) -> None:
    spans = reading.spans(length, window)

    covered = np.zeros(length, dtype=bool)
    for first, last in spans:
        assert 0 <= first < last <= length
        assert last - first <= window
        covered[first:last] = True
    assert covered.all()
    assert all(last - first >= min(length, reading.SHORTEST) for first, last in spans)


def test_the_order_of_the_leads_makes_no_difference() -> None:
    torch.manual_seed(0)
    network = RhythmNetwork().eval()
    lead, _ = lead_two(10, 500, 1)
    samples = prepare(twelve_leads(lead, np.random.default_rng(0)), 500)
    beats = find_beats(samples, RATE_HZ)

    straight = reading.make_window(samples, beats)
    turned = reading.Window(straight.signal[::-1].copy(), straight.numbers, straight.length, straight.details)
    found = reading.logits_of([network], [straight, turned], CPU)

    assert found[0, 0] == pytest.approx(found[0, 1], abs=1e-5)


def test_windows_that_go_together_get_the_answers_that_they_get_alone() -> None:
    torch.manual_seed(0)
    networks = [RhythmNetwork().eval(), RhythmNetwork().eval()]
    windows = []
    for seed, seconds in ((1, 30), (2, 12), (3, 30)):
        lead, _ = lead_two(seconds, 300, seed)
        samples = prepare(lead[None], 300)
        windows += reading.windows_of(samples, find_beats(samples, RATE_HZ))

    together = reading.logits_of(networks, windows, CPU)
    alone = np.concatenate([reading.logits_of(networks, [window], CPU) for window in windows], axis=1)

    assert together == pytest.approx(alone, abs=1e-4)


def test_the_log_odds_of_fibrillation_are_against_both_other_rhythms_and_leave_noise_out() -> None:
    logits = np.array([0.0, 0.0, 0.0, 9.0])
    logits[[NORMAL, FIBRILLATION, OTHER]] = np.log([0.2, 0.5, 0.3])

    assert reading.fibrillation_logit(logits) == pytest.approx(0)
