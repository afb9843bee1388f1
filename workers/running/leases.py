"""The leases of a worker: one thread renews those of all jobs that it holds; a worker that is killed stops renewing."""

from __future__ import annotations

import threading
from typing import Any

from node.records import jobs
from node.records.engine import Records


class Leases:
    """The jobs that one worker holds.

    Parameters
    ----------
    worker
        Its name in the records.
    seconds
        How long a lease is good for; it is renewed three times as often.
    """

    def __init__(self, records: Records, worker: str, seconds: float, log: Any) -> None:
        self._records, self._worker, self._seconds, self._log = records, worker, seconds, log
        self._held: set[str] = set()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def hold(self, job: str) -> None:
        """Keep the lease of a job that was claimed alive."""
        with self._lock:
            self._held.add(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._renew, name="leases", daemon=True)
                self._thread.start()

    def release(self, job: str) -> None:
        """Let a lease run out: the job's outcome is recorded."""
        with self._lock:
            self._held.discard(job)

    def close(self) -> None:
        """Renew nothing any more."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _renew(self) -> None:
        while not self._ended.wait(self._seconds / 3):
            with self._lock:
                held = list(self._held)
            try:
                lost = self._prolong(held)
            except Exception as exc:
                self._log.warning("lease.not_renewed", count=len(held), error=exc)
                continue
            for job in lost:
                self.release(job)

    def _prolong(self, held: list[str]) -> list[str]:
        """Prolong leases; returns the jobs that are somebody else's by now."""
        if not held:
            return []
        with self._records.write() as session:
            return [job for job in held if not jobs.renew(session, job, self._worker, self._seconds)]
