"""What an association does behind its peer's back: the work that an answer need not wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

from node import logs

Work = Callable[[], None]


class Behind:
    """One piece of work at a time, in a thread that is started for the first of it.

    The order is kept: :meth:`do` waits for the piece before. Work must not raise.

    Parameters
    ----------
    name
        Of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._busy = threading.Lock()
        self._work: SimpleQueue[Work | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def do(self, work: Work) -> None:
        """Have ``work`` done; returns at once, or after it where no thread can be had."""
        if self._thread is None and not self._start():
            work()
            return
        self._busy.acquire()  # released by the thread
        self._work.put(work)

    def wait(self) -> None:
        """Wait until everything is done."""
        with self._busy:
            return

    def close(self) -> None:
        """Wait, and end the thread."""
        if self._thread is not None:
            self._work.put(None)
            self._thread.join()
            self._thread = None

    def _start(self) -> bool:
        thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # as many threads as the system allows
            return False
        self._thread = thread
        return True

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                work()
            except Exception as exc:  # the thread's last resort: who waits for it would wait for ever
                logs.get("receiver").error("work behind an association broke", error=exc)
            finally:
                self._busy.release()
