"""The watched folder: DICOM files put there are taken in as if they had been sent.

A file is taken once it has not changed for ``watch.settle_seconds``, from a private copy, and put away only after the
intake said Success. All that is remembered is where the files lie, so a crash at any moment leaves a file where it was,
and taking it again changes nothing.
"""

from __future__ import annotations

import itertools
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from node import logs
from node.dicom.landing import Landing, Source, Taken, Taker, TooLarge
from node.dicom.watchfolder import Folder, Gone, Identity
from node.errors import OutOfResources
from node.settings import Settings
from node.storage.room import Room

SOURCE = "WATCHED-FOLDER"
"""What stands for the calling AE title."""
POLL_SECONDS = 1.0
TURN_SECONDS = 1.0
"""How long one call of :meth:`Watch.work` goes on."""
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 2.0, 60.0
"""The wait after A700, and after a file that cannot be read, doubles from the first to the longest."""
EMPTY_SECONDS = 60.0
"""How long an empty file may stay one: some senders make the name first and fetch the contents then."""
COPY_BYTES = 1 << 20


@dataclass(slots=True)
class _Seen:
    """A file as it was at the last look: since when, when it may be tried, and what the intake said of it."""

    identity: Identity
    since: float
    not_before: float = 0.0
    failures: int = 0
    taken: Taken | None = None
    skipped: bool = False


class Watch:
    """Takes the files of one folder; :meth:`work` is called again and again, by one thread."""

    def __init__(
        self, settings: Settings, folder: Path, taker: Taker, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._folder = Folder(folder)
        self._taker = taker
        self._clock = clock
        self._spool = settings.node.root / "spool"
        self._room = Room(self._spool, settings.dicom.min_free_bytes, settings.dicom.min_free_percent)
        self._seen: dict[Path, _Seen] = {}
        self._ready: deque[Path] = deque()
        self._numbers = itertools.count(1)
        self._association = ""
        self._next_look = 0.0
        self._resume_at = 0.0
        self._full = 0
        self._problem = ""
        self._waits = False
        self._log = logs.get("watch")

    def work(self) -> int:
        """Do a turn of work; return how many files were dealt with."""
        if self._clock() < self._resume_at:
            return 0
        if not self._ready and not self._look():
            return 0
        end, count = self._clock() + TURN_SECONDS, 0
        while self._ready and self._resume_at <= self._clock() < end:
            count += self._deal_with(self._ready.popleft())
        return count

    def stop(self) -> None:
        """End the association and let another process have the folder."""
        self._end()
        self._folder.release()

    def _look(self) -> bool:
        """Look into the folder, if it is time; whether files are ready."""
        now = self._clock()
        if now < self._next_look:
            return False
        self._next_look = now + POLL_SECONDS
        try:
            found, problem = self._folder.files() if self._holds() else ({}, None)
        except OSError as exc:
            found, problem = {}, exc
        self._report(problem)
        self._seen = {path: self._compare(path, identity, now) for path, identity in found.items()}
        waiting = {path: seen for path, seen in self._seen.items() if not seen.skipped}
        self._ready.extend(path for path, seen in waiting.items() if self._settled(seen, now))
        if not any(seen.failures == 0 for seen in waiting.values()):
            self._end()  # nothing is on its way: what was put here is complete as far as anybody can tell
        return bool(self._ready)

    def _settled(self, seen: _Seen, now: float) -> bool:
        settle = self._settings.watch.settle_seconds
        if seen.identity.size == 0:
            settle = max(settle, EMPTY_SECONDS)
        return now - seen.since >= settle and now >= seen.not_before

    def _holds(self) -> bool:
        """Whether this process has the folder; says once that it waits for another one."""
        held = self._folder.hold()
        if not held and not self._waits:
            self._log.info("another process works on the watched folder; this one waits")
        self._waits = not held
        return held

    def _compare(self, path: Path, identity: Identity, now: float) -> _Seen:
        seen = self._seen.get(path)
        return seen if seen is not None and seen.identity == identity else _Seen(identity, now)

    def _report(self, problem: OSError | None) -> None:
        """Say once that the folder cannot be worked on, and once that it can again."""
        text = os.strerror(problem.errno or 0) if problem else ""
        if text == self._problem:
            return
        self._problem = text
        if text:
            self._log.error("the watched folder cannot be read", reason=text)
            self._taker.note("watch.failed", f"The watched folder, or a part of it, cannot be read: {text}.")
        else:
            self._log.info("the watched folder can be read again")
            self._taker.note("watch.recovered", "The watched folder can be read again.")

    def _deal_with(self, path: Path) -> int:
        seen = self._seen[path]
        try:
            # What cannot be put away is not taken over and over.
            taken = seen.taken or self._take(path, seen)
            if taken is not None:
                self._put_away(path, seen, taken)
        except Gone:
            self._seen.pop(path, None)
        except OutOfResources:
            self._wait()
        except OSError as exc:
            self._postpone(seen, exc)
        return 1

    def _take(self, path: Path, seen: _Seen) -> Taken | None:
        """Hand a copy of the file over; None where it is a DICOMDIR, which lists other files and is none."""
        limit = self._settings.dicom.max_instance_bytes
        with self._folder.reading(path, seen.identity) as stream:
            landing = Landing(self._spool, limit, self._room.require)
            try:
                while chunk := stream.read(COPY_BYTES):
                    landing.write(chunk)
                if Identity.of(os.fstat(stream.fileno())) != seen.identity:
                    raise Gone
                if landing.is_directory():
                    seen.skipped = True
                    return None
                return landing.hand(self._taker, self._source(), bare=True)
            except TooLarge as exc:
                return landing.refused(self._taker, self._source(), exc)
            finally:
                landing.close()

    def _put_away(self, path: Path, seen: _Seen, taken: Taken) -> None:
        if taken.again:
            self._wait()
            return
        self._full = 0
        seen.taken = taken
        if not taken.kept:
            why = f"Refused with status {taken.status:04X}: {taken.comment}."
            self._folder.refuse(path, seen.identity, why)
        elif self._settings.watch.after == "move":
            self._folder.accept(path, seen.identity)
        else:
            self._folder.delete(path, seen.identity)

    def _wait(self) -> None:
        """The spool is full: leave everything where it is for a while."""
        wait = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(self._full, 16))
        self._full += 1
        self._ready.clear()
        self._resume_at = self._clock() + wait
        self._log.warning("the watched folder waits: no room", seconds=wait)
        if self._full == 1:
            self._taker.note("watch.waiting", "The watched folder waits: the spool has no room.")

    def _postpone(self, seen: _Seen, error: OSError) -> None:
        """Leave one file where it is for a while; it is on the timeline once."""
        wait = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(seen.failures, 16))
        seen.failures += 1
        seen.not_before = self._clock() + wait
        text = os.strerror(error.errno or 0)
        doing = "put away" if seen.taken else "read"
        if seen.failures == 1:
            self._log.warning(f"a file of the watched folder cannot be {doing}", reason=text)
            self._taker.note("watch.failed", f"A file of the watched folder cannot be {doing}: {text}.")

    def _source(self) -> Source:
        if not self._association:
            self._association = f"watch-{os.getpid()}-{next(self._numbers)}"
        return Source(self._association, SOURCE, self._settings.dicom.ae_title)

    def _end(self) -> None:
        if self._association:
            self._association, ended = "", self._association
            self._taker.end(ended)
