"""How a source pauses between the instances of a study, learned from what it sent. Pure: numbers in, seconds out.

A sender that opens one association a series, or computes each one before it sends it, pauses for longer than any fixed
quiet time foresees, always in the same way. Two statistics are kept on a logarithmic scale and forgotten exponentially:
every pause, which tells soon, and the longest pause of each study, which tells what would have cut the study in two
even where it is one of thousands.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

SHORTEST_SECONDS = 0.01
"""Pauses up to this are one bucket: no quiet time is that short."""
LONGEST_SECONDS = 86400.0
"""Longer ones are no pause of a transfer but another day's."""
STEPS = 4
"""Buckets for a factor of two: a quantile is at most 19 % too long, never too short."""
MEMORY = 0.99
"""What a study leaves of the weight of those before it: they count half after 69 studies."""
NEGLIGIBLE = 1e-3
"""Weight below which a bucket is dropped."""
ENOUGH_GAPS = 50
"""Pauses that must have been seen before anything is concluded."""
ENOUGH_STUDIES = 10
"""Studies that must have been seen before their longest pauses say anything."""
GAP_QUANTILE, GAP_MARGIN = 0.995, 2.0
"""Waited is this many times the pause that one in 200 exceeds."""
STUDY_QUANTILE, STUDY_MARGIN = 0.95, 1.5
"""And at least this many times the longest pause that one study in 20 exceeds."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Weights of durations by bucket; bucket ``n`` ends at ``SHORTEST_SECONDS * 2 ** (n / STEPS)``."""

    weights: Mapping[int, float] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """Weight of everything that is remembered."""
        return math.fsum(self.weights.values())

    def fed(self, durations: Iterable[float]) -> Histogram:
        """Return the histogram after one more study with these durations."""
        weights = {bucket: weight * MEMORY for bucket, weight in self.weights.items()}
        for duration in durations:
            bucket = _bucket(duration)
            weights[bucket] = weights.get(bucket, 0.0) + 1.0
        return Histogram({bucket: weight for bucket, weight in weights.items() if weight >= NEGLIGIBLE})

    def quantile(self, share: float, limit: float = math.inf) -> float:
        """Return what ``share`` of the durations up to about ``limit`` do not exceed; 0.0 if there are none."""
        counted = sorted((bucket, weight) for bucket, weight in self.weights.items() if _end(bucket - 1) < limit)
        wanted = share * math.fsum(weight for _, weight in counted)
        reached = 0.0
        for bucket, weight in counted:
            reached += weight
            if reached >= wanted * (1.0 - 1e-12):
                return _end(bucket)
        return 0.0


@dataclass(frozen=True, slots=True)
class Pauses:
    """What is known of one source."""

    gaps: Histogram = field(default_factory=Histogram)
    longest: Histogram = field(default_factory=Histogram)

    def fed(self, gaps: Sequence[float]) -> Pauses:
        """Return what is known after one more study, or one more part of a study, with these pauses in seconds."""
        counted = [gap for gap in gaps if 0.0 <= gap <= LONGEST_SECONDS]
        if not counted:
            return self
        return Pauses(self.gaps.fed(counted), self.longest.fed([max(counted)]))

    def wait(self, limit: float) -> float | None:
        """Return how long to wait for the next instance, at most ``limit`` seconds; None while too little was seen.

        Pauses longer than ``limit`` do not count: no wait that is allowed would bridge them.
        """
        if self.gaps.total < ENOUGH_GAPS - NEGLIGIBLE:
            return None
        wait = GAP_MARGIN * self.gaps.quantile(GAP_QUANTILE, limit)
        if self.longest.total >= _weight(ENOUGH_STUDIES) - NEGLIGIBLE:
            wait = max(wait, STUDY_MARGIN * self.longest.quantile(STUDY_QUANTILE, limit))
        return min(wait, limit)

    def encode(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            name: {str(bucket): round(weight, 4) for bucket, weight in sorted(histogram.weights.items())}
            for name, histogram in (("gaps", self.gaps), ("longest", self.longest))
        }

    @classmethod
    def decode(cls, data: Mapping[str, Any]) -> Pauses:
        """Read what :meth:`encode` gave; what is missing is empty."""
        gaps, longest = (
            Histogram({int(bucket): float(weight) for bucket, weight in data.get(name, {}).items()})
            for name in ("gaps", "longest")
        )
        return cls(gaps, longest)


def between(times: Iterable[float], since: float | None = None) -> list[float]:
    """Return the gaps between moments in seconds, in any order; ``since`` is the last one that was learned before.

    The first gap after ``since`` is the one that straddled a verdict: the study was thought whole, and went on.
    """
    moments = sorted(time for time in times if since is None or time > since)
    if since is not None:
        moments.insert(0, since)
    return [after - before for before, after in pairwise(moments)]


def _bucket(seconds: float) -> int:
    if seconds <= SHORTEST_SECONDS:
        return 0
    return max(0, math.ceil(STEPS * math.log2(seconds / SHORTEST_SECONDS) - 1e-9))


def _weight(studies: int) -> float:
    """Weight of so many studies, of which each gave one duration."""
    return (1.0 - MEMORY**studies) / (1.0 - MEMORY)


def _end(bucket: int) -> float:
    return float(SHORTEST_SECONDS * 2.0 ** (bucket / STEPS))
