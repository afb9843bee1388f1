"""Entering stored instances in the records, behind the receiver's back and in batches.

The order of what is told is kept: an association's end is entered after its instances. Nothing here is needed for the
promise that a C-STORE answer gives, since :mod:`node.dicom.reconcile` finds what a crash kept out of the records.
"""

from __future__ import annotations

import datetime as dt
import math
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlalchemy.orm import Session

from node import logs
from node.errors import OutOfResources
from node.records import studies, timeline
from node.records.engine import Records
from node.records.schema import Study, now
from node.records.studies import InstanceHeader

BATCH = 100
"""Entries of one transaction: enough to pay for its commit, few enough to let other writers in."""
WAITING = 10000
"""Entries that may wait. Beyond it senders are told to come again: a node without records stays within its memory."""
PATIENCE_SECONDS = 10.0
"""How long a C-STORE waits for a place among them."""
RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Pauses between attempts to write a batch; the last one repeats for as long as the records are out of reach."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An instance is durable."""

    association: str
    header: InstanceHeader


@dataclass(frozen=True, slots=True)
class Ended:
    """An association is over."""

    association: str
    at: dt.datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class Noted:
    """A line for the timeline, of a study where its UID is told and known."""

    kind: str
    text: str
    level: timeline.Level = "warning"
    study_uid: str = ""


Entry = Stored | Ended | Noted


class Indexer:
    """One thread that writes entries to the records in the order in which they came."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._queue: queue.Queue[Entry | None] = queue.Queue(WAITING)
        self._give_up_at = math.inf
        self._carried: dict[str, set[str]] = {}
        self._thread = threading.Thread(target=self._run, name="indexer", daemon=True)
        self._log = logs.get("receiver")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, entry: Entry, patience: float | None = PATIENCE_SECONDS) -> None:
        """Hand over an entry.

        Raises
        ------
        OutOfResources
            If so many wait that there is no place within ``patience`` seconds (None: wait as long as it takes).
        """
        try:
            self._queue.put(entry, timeout=patience)
        except queue.Full as exc:
            raise OutOfResources("the records are behind; try again later") from exc

    def stop(self, timeout: float) -> bool:
        """Write what waits and stop; False if that took longer than ``timeout`` seconds."""
        self._give_up_at = time.monotonic() + timeout
        try:
            self._queue.put(None, timeout=timeout)
        except queue.Full:
            return False
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def flush(self) -> None:
        """Wait until everything handed over so far is in the records."""
        self._queue.join()

    def _run(self) -> None:
        stopping = False
        while not stopping:
            batch = self._batch()
            entries = [entry for entry in batch if entry is not None]
            stopping = len(entries) < len(batch)
            if entries:
                self._write(entries)
            for _ in batch:
                self._queue.task_done()

    def _batch(self) -> list[Entry | None]:
        batch = [self._queue.get()]
        while len(batch) < BATCH and batch[-1] is not None:
            try:
                batch.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return batch

    def _write(self, entries: Sequence[Entry]) -> None:
        """Write a batch; if one entry is at fault, write the others."""
        if self._attempt(entries):
            return
        for entry in entries:
            if not self._attempt([entry]):
                self._log.error("an entry could not be written to the records", kind=type(entry).__name__)

    def _attempt(self, entries: Sequence[Entry]) -> bool:
        """Write in one transaction; wait for records that are out of reach. False if the entries are at fault."""
        for wait in chain(RETRY_SECONDS, repeat(RETRY_SECONDS[-1])):
            try:
                self._transact(entries)
            except IntegrityError as exc:
                if wait == RETRY_SECONDS[-1]:  # not another process that entered the same study at the same moment
                    self._log.error("entries contradict the records", error=exc, count=len(entries))
                    return False
            except (OperationalError, InterfaceError) as exc:
                self._log.warning("the records cannot be written", error=exc, count=len(entries))
                if time.monotonic() > self._give_up_at:
                    return False  # the files stay, and the next start enters them
            except Exception as exc:  # a poisoned header must not stop the others
                self._log.error("an entry broke the index", error=exc, count=len(entries))
                return False
            else:
                return True
            time.sleep(wait)
        return False

    def _transact(self, entries: Sequence[Entry]) -> None:
        carried = {key: set(uids) for key, uids in self._carried.items()}
        with self._records.write() as session:
            for entry in entries:
                _ENTER[type(entry)](session, entry, carried)
        self._carried = carried


def _stored(session: Session, entry: Stored, carried: dict[str, set[str]]) -> None:
    indexed = studies.index(session, entry.header)
    if indexed.new and indexed.study is not None:
        carried.setdefault(entry.association, set()).add(indexed.study.uid)


def _ended(session: Session, entry: Ended, carried: dict[str, set[str]]) -> None:
    studies.released(session, carried.pop(entry.association, ()), entry.at)


def _noted(session: Session, entry: Noted, carried: dict[str, set[str]]) -> None:
    found = session.scalars(select(Study).where(Study.uid == entry.study_uid)).first() if entry.study_uid else None
    timeline.add(session, entry.kind, entry.text, study=found, level=entry.level)


_ENTER: dict[type, Callable[..., None]] = {Stored: _stored, Ended: _ended, Noted: _noted}
