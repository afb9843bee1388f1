"""The ledger: what the receivers tell the indexer, in files, so that neither waits for the other.

A receiver appends a line of JSON for each object that has its name; one indexer reads the lines and enters them in the
records. An indexer that is away for days finds everything when it is back. A receiver that is killed between an answer
and its line has the object in the journal, and its next start writes the line. After a power cut lines may be missing:
then the spool itself is compared with the records.

An object's line also holds the few elements that the index keeps, as they were encoded, so that the indexer need not
open the file. They are a patient's: the ledger is for the node's user alone, as the objects are.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import os
import sys
import threading
import time
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

from node.clock import now
from node.dicom.part10 import Command
from node.errors import OutOfResources
from node.records.states import Level
from node.storage.incoming import write_all

ROTATE_BYTES = 4 << 20
"""A file that is longer is continued in another, so that what was entered can be removed."""
READ_BYTES = 1 << 20
"""Read of a part at once: a batch of the indexer's, and more."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An instance is kept: which one, where below the spool, and since when.

    ``excerpt`` is that of :class:`~node.dicom.headers.Checked`; empty: the file has to be read.
    """

    association: str
    command: Command
    path: str
    size: int
    digest: str
    excerpt: bytes = field(default=b"", repr=False)
    at: dt.datetime = field(default_factory=now)


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
    level: Level = "warning"
    study_uid: str = ""
    at: dt.datetime = field(default_factory=now)


Entry = Stored | Ended | Noted
_KINDS: dict[str, type[Stored] | type[Ended] | type[Noted]] = {"stored": Stored, "ended": Ended, "noted": Noted}
_NAMES = {kind: name for name, kind in _KINDS.items()}


class Sink(Protocol):
    """Who is told."""

    def put(self, entry: Entry) -> None:
        """Take an entry; returns once it cannot be lost by the death of this process."""
        ...


def encode(entry: Entry) -> bytes:
    """Return an entry's line."""
    if isinstance(entry, Stored):
        # The hot path: an object's line without a walk over its dataclasses.
        command = entry.command
        values: list[Any] = [
            entry.association, command.sop_class, command.sop_instance, command.transfer_syntax,
            command.calling_ae_title, command.called_ae_title, entry.path, entry.size, entry.digest,
        ]  # fmt: skip
        line = json.dumps(["stored", *values], ensure_ascii=True)[:-1].encode("ascii")
        at = entry.at.isoformat().encode("ascii")
        return b'%b, "%b", "%b"]\n' % (line, b2a_base64(entry.excerpt, newline=False), at)
    body = asdict(entry) | {"at": entry.at.isoformat()}
    return json.dumps([_NAMES[type(entry)], *body.values()], ensure_ascii=True).encode("ascii") + b"\n"


def decode(line: bytes) -> Entry:
    """Return the entry of a line.

    Raises
    ------
    ValueError
        If it is not one.
    """
    try:
        name, *values = json.loads(line)
        at = dt.datetime.fromisoformat(values.pop())
        if name == "stored":
            association, *command, path, size, digest, excerpt = values
            return Stored(association, Command(*command), path, size, digest, a2b_base64(excerpt), at)
        kind = _KINDS[name]
        return kind(**dict(zip([f.name for f in fields(kind)], [*values, at], strict=True)))
    except (KeyError, TypeError, IndexError, RecursionError) as exc:
        raise ValueError("not a line of the ledger") from exc


class Ledger:
    """Writes one process's part of the ledger; its threads share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._descriptor = -1
        self._size = 0

    def put(self, entry: Entry) -> None:
        """Append an entry.

        Raises
        ------
        OutOfResources
            If it cannot be written.
        """
        line = encode(entry)
        with self._lock:
            try:
                if self._descriptor < 0 or self._size > ROTATE_BYTES:
                    self._rotate()
                write_all(self._descriptor, memoryview(line))
                self._size += len(line)
            except OSError as exc:
                self._end()  # half a line may stand there: the next one goes into another file
                raise OutOfResources("the ledger cannot be written") from exc

    def close(self) -> None:
        """Say that nothing more comes."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def _rotate(self) -> None:
        """Begin a file. Its lock tells the reader that somebody may still write to it."""
        self._end()
        self._folder.mkdir(parents=True, exist_ok=True)
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        while self._descriptor < 0:
            path = self._folder / f"{time.time_ns():020d}-{os.getpid()}.jsonl"
            self._descriptor = os.open(path, flags, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            if not os.fstat(
                self._descriptor
            ).st_nlink:  # before the lock it looked abandoned, and the reader removed it
                self._end()
        self._size = 0


class LedgerReader:
    """Reads all parts of the ledger; what was read is forgotten only by :meth:`done`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._offsets: dict[Path, int] = {}

    def batch(self, limit: int) -> tuple[list[Entry], int]:
        """Return up to ``limit`` entries that were not read before, and how many lines were no entries.

        Raises
        ------
        OSError
            If the folder cannot be read; or a part cannot be, and no other has entries.
        """
        found: list[Entry] = []
        broken = 0
        unreadable: OSError | None = None
        for path in sorted(self._parts()):
            try:
                lines = self._lines(path, limit - len(found))
            except OSError as exc:
                unreadable = exc
                continue
            for line in lines:
                try:
                    found.append(decode(line))
                except ValueError:
                    broken += 1
            if len(found) >= limit:
                break
        if unreadable is not None and not found:
            raise unreadable
        return found, broken

    def done(self) -> None:
        """Remove the parts that were read to their end and that nobody writes any more."""
        for path, offset in list(self._offsets.items()):
            try:
                stream = path.open("rb")
            except FileNotFoundError:
                del self._offsets[path]
                continue
            with stream:
                try:
                    fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue  # its writer lives
                if os.fstat(stream.fileno()).st_size <= offset:
                    path.unlink(missing_ok=True)
                    del self._offsets[path]

    def sizes(self) -> dict[Path, int]:
        """Return how long each part is now; one of which that cannot be told is taken for endless.

        Raises
        ------
        OSError
            If the folder cannot be read.
        """
        found = {}
        for path in self._parts():
            try:
                found[path] = path.stat().st_size
            except FileNotFoundError:  # read and removed between the two
                continue
            except OSError:
                found[path] = sys.maxsize
        return found

    def past(self, sizes: Mapping[Path, int]) -> bool:
        """Whether the parts have been read that far."""
        return all(self._offsets.get(path, 0) >= size for path, size in sizes.items())

    def unread(self) -> int:
        """Return how many bytes were written and not read yet."""
        return sum(max(0, size - self._offsets.get(path, 0)) for path, size in self.sizes().items())

    def idle(self) -> bool:
        """Whether everything that was written has been read."""
        return not self.unread()

    def _parts(self) -> list[Path]:
        """Return the parts. A folder that cannot be read is not taken for an empty one, as :meth:`Path.glob` does."""
        try:
            return [path for path in self._folder.iterdir() if path.suffix == ".jsonl"]
        except FileNotFoundError:  # nobody has written yet
            return []

    def _lines(self, path: Path, limit: int) -> list[bytes]:
        offset = self._offsets.setdefault(path, 0)
        with path.open("rb", buffering=0) as stream:
            stream.seek(offset)
            data = stream.read(READ_BYTES)  # at once: a line that is being written would be seen in two pieces
            *whole, torn = data.split(b"\n")
            if not whole and len(data) == READ_BYTES:
                whole, torn = [data], b""  # no entry is that long
            lines = whole[:limit]
            end = min(offset + sum(len(line) + 1 for line in lines), offset + len(data))
            # If its writer died within the last line, the object behind it was not answered for.
            if torn and len(lines) == len(whole) and _abandoned(stream.fileno()):
                size = os.fstat(stream.fileno()).st_size
                end = size if size == offset + len(data) else end
            self._offsets[path] = end
        return lines


def _abandoned(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return True
