"""When a process that died is started again."""

from __future__ import annotations

import time
from collections.abc import Sequence

BACKOFF_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Waits before the first, second, ... restart; the last one holds from then on."""

STEADY_SECONDS = 60.0
"""A process that lived this long is restarted at once again."""


class Restarts:
    """Starts and deaths of one process."""

    def __init__(self, backoff: Sequence[float] = BACKOFF_SECONDS) -> None:
        self._backoff = backoff
        self._started = 0.0
        self._start_at = 0.0
        self.failures = 0

    @property
    def wait_seconds(self) -> float:
        """Return the wait that the present number of failures asks for."""
        return self._backoff[min(self.failures, len(self._backoff)) - 1]

    @property
    def due(self) -> bool:
        """Whether the wait is over."""
        return time.monotonic() >= self._start_at

    def started(self) -> None:
        """Note a start."""
        self._started = time.monotonic()

    def died(self) -> None:
        """Note a death, and plan the restart."""
        steady = time.monotonic() - self._started > STEADY_SECONDS
        self.failures = 1 if steady else self.failures + 1
        self._start_at = time.monotonic() + self.wait_seconds
