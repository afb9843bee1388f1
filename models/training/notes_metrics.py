"""Scores of classifications into kinds: F1 of each, and their mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def f1_by_kind(truth: Sequence[str], said: Sequence[str]) -> dict[str, float]:
    """Give the F1 of each kind that occurs in ``truth``; 0 where a kind was never said rightly."""
    result = {}
    for kind in sorted(set(truth)):
        right = sum(one == two == kind for one, two in zip(truth, said, strict=True))
        result[kind] = 2 * right / (truth.count(kind) + said.count(kind))
    return result


def macro_f1(truth: Sequence[str], said: Sequence[str]) -> float:
    """Give the mean of :func:`f1_by_kind`: rare kinds weigh as much as frequent ones."""
    scores: Mapping[str, float] = f1_by_kind(truth, said)
    return sum(scores.values()) / len(scores)


def accuracy(truth: Sequence[str], said: Sequence[str]) -> float:
    """Give the share that is right."""
    return sum(one == two for one, two in zip(truth, said, strict=True)) / len(truth)
