"""What follows an inference, kept out of the way of the next one: saving, recording, building."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, Protocol

Work = Callable[[], None]

MOST_WAITING = 2
"""Finished inferences that wait to be recorded; the next one waits when there are more."""


class Finisher(Protocol):
    """Does work that follows an inference."""

    def do(self, work: Work) -> None:
        """Do it, now or soon. The work deals with its errors itself."""
        ...

    @property
    def behind(self) -> bool:
        """Whether other work waits."""
        ...

    def close(self) -> None:
        """Return when all of it is done."""
        ...


class AtOnce:
    """Does it before it returns."""

    behind = False

    def do(self, work: Work) -> None:
        """Do it now."""
        work()

    def close(self) -> None:
        """Nothing is left to do."""


class InBackground:
    """Does it in the order in which it comes, in one thread."""

    def __init__(self, log: Any) -> None:
        self._waiting: queue.Queue[Work | None] = queue.Queue(MOST_WAITING)
        self._log = log
        self._thread = threading.Thread(target=self._run, name="finisher", daemon=True)
        self._thread.start()

    @property
    def behind(self) -> bool:
        """Whether other work waits."""
        return not self._waiting.empty()

    def do(self, work: Work) -> None:
        """Do it soon; waits where much is waiting."""
        self._waiting.put(work)

    def close(self) -> None:
        """Return when all of it is done."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (work := self._waiting.get()) is not None:
            try:
                work()
            except Exception as exc:  # the lease is not renewed for ever: the job is asked for again
                self._log.error("finishing.failed", error=exc)
