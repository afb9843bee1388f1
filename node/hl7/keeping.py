"""Making messages durable: one thread writes all that wait with one transaction, so with one wait for the disk."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue

from node import durable, logs
from node.hl7.inbox import Arrival, Inbox

MOST_TOGETHER = 500
"""Messages of one transaction: what comes while it is written waits for the next one."""
BYTES_TOGETHER = 32 << 20
"""Bytes of one transaction, the last message's apart."""

Told = Callable[[int | None], None]
"""Called with a message's number in the inbox once it is durable, with None if it could not be kept."""
Letter = tuple[Arrival, Told]


class Keeper:
    """Writes arrivals into the inbox.

    Parameters
    ----------
    path
        The inbox's file.
    report
        Called in the writing thread with each batch and the numbers its messages got; it is to call each ``Told``.
    """

    def __init__(self, path: Path, report: Callable[[Sequence[tuple[Told, int | None]]], None]) -> None:
        self._path = path
        self._report = report
        self._waiting: SimpleQueue[Letter | None] = SimpleQueue()
        self._inbox: Inbox | None = None
        self._thread = threading.Thread(target=self._work, name="keeper", daemon=True)
        self._log = logs.get("hl7")

    def start(self) -> None:
        """Open the inbox and start writing.

        Raises
        ------
        sqlite3.Error, OSError
            The inbox cannot be opened.
        """
        self._inbox = Inbox(self._path)
        durable.sync_folder(self._path.parent)
        self._thread.start()

    def keep(self, arrival: Arrival, told: Told) -> None:
        """Have a message written, after those that were handed in before it. Returns at once."""
        self._waiting.put((arrival, told))

    def stop(self) -> None:
        """Write what waits, and end."""
        self._waiting.put(None)
        self._thread.join()
        self._close()

    def _work(self) -> None:
        going = True
        while going:
            batch, going = self._next()
            if batch:
                numbers = self._write([arrival for arrival, _ in batch])
                self._report([(told, number) for (_, told), number in zip(batch, numbers, strict=True)])

    def _next(self) -> tuple[list[Letter], bool]:
        """Wait for a message; return it with all that wait behind it, and whether there will be more."""
        batch: list[Letter] = []
        size = 0
        letter = self._waiting.get()
        while letter is not None:
            batch.append(letter)
            size += len(letter[0].raw)
            if len(batch) >= MOST_TOGETHER or size >= BYTES_TOGETHER:
                return batch, True
            try:
                letter = self._waiting.get_nowait()
            except Empty:
                return batch, True
        return batch, False

    def _write(self, arrivals: Sequence[Arrival]) -> Sequence[int | None]:
        try:
            if self._inbox is None:
                self._inbox = Inbox(self._path)
            return self._inbox.keep(arrivals)
        except Exception as exc:  # a full disk, a broken file: their senders are told 207
            self._log.error("message.not_kept", count=len(arrivals), error=exc)
            self._close()
            return [None] * len(arrivals)

    def _close(self) -> None:
        if self._inbox is not None:
            with suppress(sqlite3.Error):
                self._inbox.close()
        self._inbox = None
