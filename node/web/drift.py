"""Drift on the Prometheus page: what numbers of a model's runs were at first, what they are, and how far they moved."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy.orm import Session

from node import drift
from node.records import drift as samples

LABELS = ("model", "version", "scanner", "number")

REFRESH_SECONDS = 60.0
"""Drift is of days: with many models and scanners its figures take most of a second, that each scrape need not pay."""


class Drift:
    """The metrics of drift, computed anew when they are older than :data:`REFRESH_SECONDS`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._found: tuple[Metric, ...] = ()
        self._due = -math.inf

    def families(self, session: Session) -> tuple[Metric, ...]:
        """Give the metrics; one caller computes them, others wait for it."""
        with self._lock:
            if self._clock() >= self._due:
                self._found = tuple(families(session))
                self._due = self._clock() + REFRESH_SECONDS
            return self._found


def families(session: Session) -> Iterator[Metric]:
    """Give the metrics of drift; labels are bounded by :data:`node.records.drift.MAX_GROUPS`."""
    windows = [*LABELS, "window"]
    runs = GaugeMetricFamily("overread_drift_runs", "Runs in the first and in the latest window.", labels=windows)
    means = GaugeMetricFamily("overread_drift_mean", "Mean of a number of the runs in a window.", labels=windows)
    spreads = GaugeMetricFamily("overread_drift_sd", "Standard deviation of the same.", labels=windows)
    moved = GaugeMetricFamily(
        "overread_drift_stability_index",
        "Population stability index of the latest window against the first; above 0.25 counts as moved.",
        labels=LABELS,
    )
    for item in samples.series(session):
        names = [item.model, item.version, item.scanner, item.number]
        for label, values in (("reference", item.reference), ("recent", item.recent)):
            if values:
                found = drift.window(values)
                runs.add_metric([*names, label], found.count)
                means.add_metric([*names, label], found.mean)
                spreads.add_metric([*names, label], found.sd)
        index = drift.stability_index(item.reference, item.recent)
        if index is not None:
            moved.add_metric(names, index)
    yield from (runs, means, spreads, moved)
