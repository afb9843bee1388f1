"""Occlusion over time finds the stretch that an answer rests on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.explain import saliency


def answer_of(signal: saliency.Array, first: int, last: int) -> float:
    return float(signal[first:last].sum())


def blanked_by(signal: saliency.Array, first: int, last: int) -> saliency.Blanked:
    def blanked(spans: Sequence[saliency.Span]) -> saliency.Array:
        answers = []
        for start, end in spans:
            copy = signal.copy()
            copy[start:end] = 0
            answers.append(answer_of(copy, first, last))
        return np.array(answers)

    return blanked


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 500), st.integers(1, 80), st.integers(1, 40))
def test_stretches_cover_a_signal_and_nothing_else_if_they_are_not_farther_apart_than_wide(
    length: int, width: int, step: int
) -> None:
    spans = saliency.spans_over(length, width, min(step, width))

    covered = np.zeros(length, dtype=bool)
    for first, last in spans:
        assert 0 <= first < last <= length
        covered[first:last] = True
    assert covered.all()
    assert len(set(spans)) == len(spans)


def test_the_stretch_that_the_answer_rests_on_is_the_most_important() -> None:
    signal = np.ones(400)
    first, last = 250, 300

    lost = saliency.losses(answer_of(signal, first, last), blanked_by(signal, first, last), 400, width=20, step=10)
    importance = saliency.as_importance(lost)

    middles = (np.arange(40) + 0.5) * 10
    inside = (middles > first) & (middles < last)
    assert importance.shape == (40,)
    assert importance[inside].min() > 0.5
    assert importance[(middles < first - 30) | (middles > last + 30)].max() == 0
    assert importance.max() == pytest.approx(1)


def test_what_speaks_against_is_not_shown_as_important() -> None:
    lost = np.array([-2.0, -2.0, -2.0, 0.0, 0.0, 0.0, 3.0, 3.0, 3.0])

    importance = saliency.as_importance(lost)

    assert importance[:3].max() == 0
    assert importance[7] == pytest.approx(1)


def test_an_answer_that_rests_on_nothing_shows_nothing_as_important() -> None:
    importance = saliency.as_importance(np.full(20, 0.01))

    assert importance.max() < 0.1


def test_a_width_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        saliency.spans_over(100, 0, 1)
