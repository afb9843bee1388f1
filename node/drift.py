"""Whether what a model sees and says has moved: numbers of recent runs against those of its first ones. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev, quantiles

BINS = 10
"""Bins of equal share of the reference."""
MIN_REFERENCE = 50
MIN_RECENT = 20
"""Runs that there must be before an index is given: with fewer it measures chance."""
SMALLEST_SHARE = 0.005
"""Share that an empty bin counts as, so that the index stays finite."""


@dataclass(frozen=True, slots=True)
class Window:
    """Numbers of some runs: how many, their mean and standard deviation."""

    count: int
    mean: float
    sd: float


def window(values: Sequence[float]) -> Window:
    """Summarise the numbers of some runs; there must be at least one."""
    return Window(len(values), fmean(values), pstdev(values))


def stability_index(reference: Sequence[float], recent: Sequence[float]) -> float | None:
    """Population stability index of recent numbers against the reference.

    The sum over bins of ``(q - p) ln(q / p)``, with the shares ``p`` of the reference and ``q`` of the recent runs in
    bins that each hold a tenth of the reference. Below 0.1 counts as stable by convention, above 0.25 as moved
    (Siddiqi N, Credit Risk Scorecards, Wiley 2006, chapter 9); with few runs it is larger by chance alone.

    Returns
    -------
    float or None
        None where there are fewer than :data:`MIN_REFERENCE` or :data:`MIN_RECENT` runs.
    """
    if len(reference) < MIN_REFERENCE or len(recent) < MIN_RECENT:
        return None
    edges = sorted(set(quantiles(reference, n=BINS)))
    before, after = _shares(reference, edges), _shares(recent, edges)
    return sum((q - p) * math.log(q / p) for p, q in zip(before, after, strict=True))


def _shares(values: Sequence[float], edges: Sequence[float]) -> list[float]:
    """Share of values below, on and above each edge: numbers such as 512 rows are nothing but edges."""
    counts = [0] * (2 * len(edges) + 1)
    for value in values:
        counts[bisect_left(edges, value) + bisect_right(edges, value)] += 1
    return [max(count / len(values), SMALLEST_SHARE) for count in counts]
