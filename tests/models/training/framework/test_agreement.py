"""Dice, summaries, and intervals that hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest

from models.training.framework.agreement import conformal_factor, coverage, dice, summarise


def test_dice_of_equal_disjoint_and_empty_masks() -> None:
    mask = np.zeros((3, 3), dtype=bool)
    mask[0] = True

    assert dice(mask, mask) == 1
    assert dice(mask, ~mask) == 0
    assert dice(mask & False, mask & False) == 1
    assert dice(mask, np.ones((3, 3), dtype=bool)) == pytest.approx(0.5)


def test_the_summary_names_mean_and_spread() -> None:
    summary = summarise([0.8, 0.9, 1.0])

    assert summary["n"] == 3
    assert summary["mean"] == pytest.approx(0.9)
    assert summary["sd"] == pytest.approx(0.1)
    assert summary["ci_low"] <= summary["mean"] <= summary["ci_high"]
    with pytest.raises(ValueError, match="nothing"):
        summarise([])


def test_the_conformal_factor_covers_new_cases_of_the_same_kind() -> None:
    rng = np.random.default_rng(0)
    scales = rng.uniform(0.5, 2, 2000)
    errors = rng.normal(0, scales)

    factor = conformal_factor(errors[:1000].tolist(), scales[:1000].tolist(), 0.95)

    half = factor * scales[1000:]
    assert coverage(errors[1000:].tolist(), (-half).tolist(), half.tolist()) == pytest.approx(0.95, abs=0.03)


def test_with_few_cases_the_conformal_factor_is_the_largest_ratio() -> None:
    assert conformal_factor([0.1, -0.4, 0.2], [1, 1, 1], 0.95) == pytest.approx(0.4)
