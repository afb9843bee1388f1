"""Entering what the ledger says in the records: one process, in batches, behind everybody's back.

The order of what one receiver tells is kept: an association's end is entered after its instances. Nothing here is
needed for the promise that a C-STORE answer gives: :mod:`node.dicom.reconcile` finds what never reached the ledger.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import math
import mmap
import os
import threading
import time
from collections.abc import Callable, Container, Sequence
from itertools import chain, groupby, repeat
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlalchemy.orm import Session

from node import logs
from node.dicom.headers import HEAD_BYTES, HeadTooShort, read, read_excerpt
from node.dicom.instance import InstanceHeader
from node.dicom.ledger import Ended, Entry, LedgerReader, Noted, Stored
from node.dicom.part10 import dataset_start
from node.errors import OverreadError
from node.records import studies, timeline
from node.records.engine import Records
from node.records.schema import Event, Study

FIRST_BYTES = 1 << 14
"""Read of a file at first; enough for most headers."""
MARK = "indexed"
"""File below the spool whose time is :func:`known_until`."""
BATCH = 500
"""Entries of one transaction: enough to pay for its commit, few enough to let other writers in."""
POLL_SECONDS = 0.1
"""How often the ledger is looked at."""
GATHER_SECONDS = 1.0
"""How long entries may wait while more keep coming: what came in the meantime is one transaction, and the processor's
time is the receivers' as long as objects stream in."""
REMEMBERED_SERIES = 10000
RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Pauses between attempts to write a batch; the last one repeats for as long as the records are out of reach."""


@dataclasses.dataclass(frozen=True, slots=True)
class Arrived:
    """An instance and its header."""

    association: str
    header: InstanceHeader


class Gathering:
    """Whether entries are left to become more: while their number grows, and not for longer than that.

    Parameters
    ----------
    seconds
        How long the first of them may wait.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._bytes, self._until = 0, 0.0

    def begin(self, moment: float) -> None:
        """Say that all that was there has been entered."""
        self._bytes, self._until = 0, moment + self._seconds

    def goes_on(self, unread: int, moment: float) -> bool:
        """Whether to wait for more; ``unread`` bytes wait now."""
        grew, self._bytes = unread > self._bytes, unread
        return grew and moment < self._until


class Indexer:
    """One thread that reads the ledger of a spool and writes the records."""

    def __init__(self, records: Records, spool: Path) -> None:
        self._records = records
        self._spool = spool
        self._reader = LedgerReader(spool / "ledger")
        self._give_up_at = math.inf
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._carried: dict[str, set[str]] = {}
        self._series: set[str] = set()  # their attributes are in the records
        self._rounds = 0
        self._gathering = Gathering(GATHER_SECONDS)
        self._thread = threading.Thread(target=self._run, name="indexer", daemon=True)
        self._log = logs.get("indexer")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Write what is in the ledger and stop; False if that took longer than ``timeout`` seconds."""
        self._give_up_at = time.monotonic() + timeout
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def flush(self) -> None:
        """Wait until everything that is in the ledger now is in the records."""
        target = self._rounds + 2
        while self._thread.is_alive() and not (self._rounds >= target and self._reader.idle()):
            self._wake.set()
            time.sleep(0.002)

    def catch_up(self) -> None:
        """Enter everything that is in the ledger now; for the start, before the thread runs.

        What comes in the meantime is left to the thread: receivers may go on for hours.
        """
        now_there = self._reader.sizes()
        while not self._reader.past(now_there) and self._work() > 0:
            continue

    def _run(self) -> None:
        while True:
            stopping = self._stopping.is_set()
            count, caught_up = self._round()
            self._rounds += 1
            if count <= 0 and stopping:
                return
            if stopping and time.monotonic() > self._give_up_at:
                return  # the ledger stays, and the next start reads it
            if (count <= 0 or caught_up) and not stopping:
                self._rest()

    def _round(self) -> tuple[int, bool]:
        """Enter one batch, and mark until when the records know everything.

        Returns
        -------
        count
            As :meth:`_work` does.
        caught_up
            Whether everything that was there at first has been entered. A batch may be short although there is more:
            of long lines, fewer are read at once.
        """
        count = 0
        try:
            began, there = time.time(), self._reader.sizes()
            count = self._work()
            caught_up = count >= 0 and self._reader.past(there)
            if caught_up:
                mark(self._spool, began)
        except OSError as exc:
            self._log.error("how far the index is cannot be told", error=exc)
            return count, True
        return count, caught_up

    def _rest(self) -> None:
        """Wait for the next look, and as long as entries are better gathered."""
        self._gathering.begin(time.monotonic())
        while not self._wake.wait(POLL_SECONDS):
            try:
                unread = self._reader.unread()
            except OSError:  # the next look says so
                return
            if not self._gathering.goes_on(unread, time.monotonic()):
                return
        self._wake.clear()

    def _work(self) -> int:
        """Enter one batch; returns of how many entries it was, -1 where the ledger cannot be read."""
        try:
            entries, broken = self._reader.batch(BATCH)
            if not entries:
                self._reader.done()
        except OSError as exc:
            self._log.error("the ledger cannot be read", error=exc)
            return -1
        if broken:
            self._log.error("lines of the ledger are no entries", count=broken)
        if entries:
            self._write([self._prepare(entry) for entry in entries])
        return len(entries)

    def _prepare(self, entry: Entry) -> Arrived | Ended | Noted:
        """Read an instance's header from its file."""
        if not isinstance(entry, Stored):
            return entry
        try:
            return Arrived(entry.association, header_of(self._spool, entry, self._series))
        except Exception as exc:  # whatever a hostile header does, the others are entered
            self._log.error("a stored file cannot be read", path=entry.path, error=exc)
            return Noted("instance.unreadable", "A stored file could not be entered in the index.", "error")

    def _write(self, items: Sequence[Arrived | Ended | Noted]) -> None:
        """Write a batch; if one entry is at fault, write the others."""
        if not items or self._attempt(items):
            return
        for item in items:
            if not self._attempt([item]):
                self._log.error("an entry could not be written to the records", kind=type(item).__name__)

    def _attempt(self, items: Sequence[Arrived | Ended | Noted]) -> bool:
        """Write in one transaction; wait for records that are out of reach. False if the entries are at fault."""
        for wait in chain(RETRY_SECONDS, repeat(RETRY_SECONDS[-1])):
            try:
                self._transact(items)
            except IntegrityError as exc:
                if wait == RETRY_SECONDS[-1]:  # not another process that entered the same study at the same moment
                    self._log.error("entries contradict the records", error=exc, count=len(items))
                    return False
            except (OperationalError, InterfaceError) as exc:
                self._log.warning("the records cannot be written", error=exc, count=len(items))
                if time.monotonic() > self._give_up_at:
                    raise SystemExit(1) from exc  # the ledger stays
            except Exception as exc:  # a poisoned header must not stop the others
                self._log.error("an entry broke the index", error=exc, count=len(items))
                return False
            else:
                return True
            time.sleep(wait)
        return False

    def _transact(self, items: Sequence[Arrived | Ended | Noted]) -> None:
        carried = {key: set(uids) for key, uids in self._carried.items()}
        with self._records.write() as session:
            for kind, together in groupby(_telling(items, carried), type):
                _ENTER[kind](session, list(together), carried)
        self._carried = carried
        if len(self._series) > REMEMBERED_SERIES:
            self._series.clear()
        self._series.update(item.header.series_uid for item in items if isinstance(item, Arrived))


def _telling(items: Sequence[Arrived | Ended | Noted], carried: Container[str]) -> list[Arrived | Ended | Noted]:
    """Leave out the ends of associations that brought nothing: of those that are only opened there may be thousands."""
    bringing = {item.association for item in items if isinstance(item, Arrived)}
    return [
        item
        for item in items
        if not isinstance(item, Ended) or item.association in bringing or item.association in carried
    ]


def mark(spool: Path, moment: float) -> None:
    """Say that the records know all that was received until then (seconds since the epoch).

    Raises
    ------
    OSError
        If it cannot be said.
    """
    path = spool / MARK
    try:
        os.utime(path, (moment, moment))
    except FileNotFoundError:
        with contextlib.suppress(FileNotFoundError):  # there is no spool yet
            path.touch(0o600)
            os.utime(path, (moment, moment))


def known_until(spool: Path) -> dt.datetime:
    """Return until when the records know all that was received: a study is judged by this time, not by the clock.

    An index that is behind, or not running, would make a study look quiet that is still coming.
    """
    try:
        return dt.datetime.fromtimestamp((spool / MARK).stat().st_mtime, dt.UTC)
    except FileNotFoundError:
        return dt.datetime.fromtimestamp(0, dt.UTC)


def header_of(spool: Path, entry: Stored, known_series: Container[str] = ()) -> InstanceHeader:
    """Return the header of a stored file, as the ledger tells it, or its first bytes where that does not.

    Few bytes are enough for most; the references of a segmentation or a structure set, which may be thousands, stand
    before the identifiers.
    """
    if entry.excerpt:
        with contextlib.suppress(OverreadError):  # a data set that mixes encodings may be read as a whole only
            return _with_file(read_excerpt(entry.command, entry.excerpt, known_series), entry)
    descriptor = os.open(spool / entry.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)  # the pixels are not wanted, so nothing ahead is
        header = _header(descriptor, entry, known_series)
    finally:
        os.close(descriptor)
    return _with_file(header, entry)


def _with_file(header: InstanceHeader, entry: Stored) -> InstanceHeader:
    return dataclasses.replace(header, path=entry.path, size=entry.size, digest=entry.digest, received_at=entry.at)


def _header(descriptor: int, entry: Stored, known_series: Container[str]) -> InstanceHeader:
    head = b""
    for limit in (FIRST_BYTES, HEAD_BYTES):
        head += os.read(descriptor, limit - len(head))
        with contextlib.suppress(HeadTooShort):
            beginning = memoryview(head)[dataset_start(head) :]
            return read(entry.command, beginning, known_series, more=len(head) == limit)
    memory = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    with memory, memoryview(memory) as view, view[dataset_start(head) :] as whole:
        return read(entry.command, whole, known_series)


def _arrived(session: Session, items: Sequence[Arrived], carried: dict[str, set[str]]) -> None:
    for item, indexed in zip(items, studies.index_all(session, [item.header for item in items]), strict=True):
        if indexed.new and indexed.study is not None and item.association:  # one without came out of a journal
            carried.setdefault(item.association, set()).add(indexed.study.uid)


def _ended(session: Session, entries: Sequence[Ended], carried: dict[str, set[str]]) -> None:
    """Release the studies of associations that ended; not those that another one is still carrying."""
    for entry in entries:
        brought = carried.pop(entry.association, set()).difference(*carried.values())
        if brought:
            studies.released(session, brought, entry.at)


def _noted(session: Session, entries: Sequence[Noted], carried: dict[str, set[str]]) -> None:
    """Write lines of the timeline, with two queries for all of them: a hostile sender leaves thousands in seconds.

    Those that are there already are of a part of the ledger that was read before, and not removed in time.
    """
    lines = select(Event.at, Event.kind, Event.text).where(Event.at.in_({entry.at for entry in entries}))
    there = {(at, kind, text) for at, kind, text in session.execute(lines)}
    named = {entry.study_uid for entry in entries if entry.study_uid}
    query = select(Study.uid, Study.id).where(Study.uid.in_(named))
    known = dict(session.execute(query).all()) if named else {}
    for entry in entries:
        line = (entry.at, entry.kind, entry.text)
        if line not in there:
            there.add(line)
            found = known.get(entry.study_uid)
            timeline.add(session, entry.kind, entry.text, study=found, level=entry.level, at=entry.at)


_ENTER: dict[type, Callable[..., None]] = {Arrived: _arrived, Ended: _ended, Noted: _noted}
