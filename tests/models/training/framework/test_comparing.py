"""Comparing ways by what they say of cases that they had not seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models.training.framework.comparing import each, judged_cases, out_of_fold

ROUNDS = [([3, 4, 5], [1, 2]), ([1, 2, 5], [3, 4]), ([1, 2, 3, 4], [5])]


def test_each_case_is_answered_by_a_fit_that_had_not_seen_it() -> None:
    def way(fit_on: Sequence[int], judge_on: Sequence[int]) -> npt.NDArray[np.float64]:
        assert not set(fit_on) & set(judge_on)
        return np.array(judge_on) + 0.5

    answers = out_of_fold(ROUNDS, way)

    assert judged_cases(ROUNDS) == [1, 2, 3, 4, 5]
    assert answers.tolist() == [1.5, 2.5, 3.5, 4.5, 5.5]


def test_ways_are_taken_in_their_order_and_answer_by_their_names() -> None:
    called: list[str] = []

    found = each({"b": lambda: called.append("b"), "a": lambda: called.append("a")}, progress=False)

    assert called == ["b", "a"]
    assert list(found) == ["b", "a"]
