"""The receivers of one port: a parent that loads the code once, forks the processes, and starts those that die again.

Forked from one parent they share most of their memory. The parent has no threads, opens no spool, and accepts nothing.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from node import logs
from node.dicom.ledger import Ledger, Noted
from node.dicom.receiver import run_receiver, settle_memory, stop_signal
from node.dicom.scp.sharing import Shares
from node.errors import OverreadError
from node.processes import die_with_parent
from node.restarts import BACKOFF_SECONDS, Restarts
from node.settings import Settings
from node.storage.layout import LEDGER

TICK_SECONDS = 0.1
ENDING = (signal.SIGTERM, signal.SIGINT)
REFUSED = 2
"""Exit status of a receiver that cannot work, having said why."""


class CrewFailed(OverreadError):
    """No receiver could start; each has said why."""


class _Receiver:
    """One process through its restarts."""

    def __init__(self, number: int, settings: Settings, shares: Shares, backoff: Sequence[float]) -> None:
        self.number, self.name = number, f"receiver-{number + 1}"
        self.restarts = Restarts(backoff)
        self.process: BaseProcess | None = None
        self._settings, self._shares = settings, shares

    def start(self) -> None:
        """Fork."""
        arguments = (self._settings, self._shares, self.number)
        self.process = multiprocessing.get_context("fork").Process(target=_work, args=arguments, name=self.name)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # the child's are for the child's own handlers
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self.restarts.started()

    def died(self) -> int | None:
        """Return the exit status if it has just ended, and plan its restart."""
        if self.process is None or (code := self.process.exitcode) is None:
            return None
        self.process.close()
        self.process = None
        self._shares.gone(self.number)
        self.restarts.died()
        return code


def _work(settings: Settings, shares: Shares, number: int) -> None:
    if (end_with_parent := die_with_parent(signal.SIGKILL)) is not None:
        end_with_parent()
    for ending in ENDING:
        signal.signal(ending, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    try:
        run_receiver(settings, shares, number)
    except (OverreadError, OSError) as exc:
        sys.stderr.write(f"overread: {exc}\n")
        sys.exit(REFUSED)


class Crew:
    """Keeps the receivers alive until :meth:`run` is told to stop."""

    def __init__(self, settings: Settings, backoff: Sequence[float] = BACKOFF_SECONDS) -> None:
        self._settings = settings
        count = settings.dicom.processes
        self._shares = Shares(count)
        self._receivers = [_Receiver(number, settings, self._shares, backoff) for number in range(count)]
        self._log = logs.get("receiver")

    def run(self, stop: threading.Event) -> None:
        """Start, watch, restart.

        Raises
        ------
        CrewFailed
            If no receiver can start: the port is taken, the disk is full.
        """
        for receiver in self._receivers:
            receiver.start()
        try:
            while not stop.is_set():
                wait([r.process.sentinel for r in self._receivers if r.process is not None], TICK_SECONDS)
                self._watch(stop)
        finally:
            self._end()

    def _watch(self, stop: threading.Event) -> None:
        for receiver in self._receivers:
            code = receiver.died()
            if code is not None and not stop.is_set():
                if code == REFUSED and all(other.process is None for other in self._receivers):
                    raise CrewFailed("no receiver could start")
                self._say_died(receiver, code)
            elif code is None and receiver.process is None and receiver.restarts.due:
                receiver.start()
                self._note("process.restarted", f"Process {receiver.name} restarted.")
                self._log.warning("process.restarted", task=receiver.name, count=receiver.restarts.failures)

    def _say_died(self, receiver: _Receiver, code: int) -> None:
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"status {code}"
        seconds = receiver.restarts.wait_seconds
        self._note("process.died", f"Process {receiver.name} ended ({how}); restarting in {seconds:g} s.")
        self._log.error("process.died", task=receiver.name, returncode=code, seconds=seconds)

    def _note(self, kind: str, text: str) -> None:
        """Leave a line for the timeline; opened for this line alone, so that no receiver inherits it."""
        try:
            ledger = Ledger(self._settings.node.root / "spool" / LEDGER)
            try:
                ledger.put(Noted(kind, text))
            finally:
                ledger.close()
        except Exception as exc:
            self._log.error("timeline.unreachable", error=exc)

    def _end(self) -> None:
        running = [receiver.process for receiver in self._receivers if receiver.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + self._settings.node.stop_seconds
        for process in running:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.exitcode is None:
                process.kill()


def run_crew(settings: Settings, backoff: Sequence[float] = BACKOFF_SECONDS) -> None:
    """Serve the DICOM port with ``dicom.processes`` processes until SIGTERM or SIGINT."""
    stop = stop_signal()
    settle_memory()
    Crew(settings, backoff).run(stop)
