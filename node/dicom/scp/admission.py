"""How many associations there may be: in all, and of one peer, over all processes of the node.

The table is a file of one entry an association. Its holder locks the entry (an open file description lock), so that the
kernel frees the entries of a process that is killed.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ENTRY = 16
_FLOCK = struct.Struct("hhqqi4x")


class Admission:
    """The table of associations; each process opens its own view of it.

    Parameters
    ----------
    path
        Its file; made where it is missing.
    most, most_of_peer
        The limits.
    """

    def __init__(self, path: Path, most: int, most_of_peer: int) -> None:
        self._most, self._most_of_peer = most, most_of_peer
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        size = max(os.fstat(self._descriptor).st_size, most * ENTRY)
        os.posix_fallocate(self._descriptor, 0, size)  # a page that has no room when it is touched is a SIGBUS
        self._table = mmap.mmap(self._descriptor, size)
        self._mine: set[int] = set()
        self._lock = threading.Lock()

    def enter(self, peer: str) -> int | None:
        """Take an entry for an association of ``peer``; None if there are too many."""
        key = hashlib.sha256(peer.encode("utf-8", "replace")).digest()[:ENTRY]
        with self._alone() as opened:
            if not opened:
                return None
            taken = dict(self._taken())
            if len(taken) >= self._most or sum(other == key for other in taken.values()) >= self._most_of_peer:
                return None
            free = next(n for n in range(len(self._table) // ENTRY) if n not in taken)
            self._try_lock(free, fcntl.F_WRLCK)
            self._table[free * ENTRY : (free + 1) * ENTRY] = key
            self._mine.add(free)
            return free

    def leave(self, entry: int) -> None:
        """Give an entry back; after :meth:`close`, which did that already, nothing."""
        with self._alone() as opened:
            if opened:
                self._free(entry)
                self._mine.discard(entry)

    def count(self) -> int:
        """Return how many associations there are."""
        with self._alone() as opened:
            return sum(1 for _ in self._taken()) if opened else 0

    def close(self) -> None:
        """Give everything back."""
        with self._lock:
            for entry in self._mine:
                self._table[entry * ENTRY : (entry + 1) * ENTRY] = bytes(ENTRY)
            self._table.close()
            os.close(self._descriptor)
            self._descriptor = -1

    def _taken(self) -> Iterator[tuple[int, bytes]]:
        for number in range(len(self._table) // ENTRY):
            key = self._table[number * ENTRY : (number + 1) * ENTRY]
            if not any(key):
                continue
            if number not in self._mine and self._try_lock(number, fcntl.F_WRLCK):
                self._free(number)  # its process is dead
                continue
            yield number, key

    def _free(self, entry: int) -> None:
        self._table[entry * ENTRY : (entry + 1) * ENTRY] = bytes(ENTRY)
        self._try_lock(entry, fcntl.F_UNLCK)

    def _try_lock(self, entry: int, kind: int) -> bool:
        try:
            fcntl.fcntl(self._descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, entry * ENTRY, ENTRY, 0))
        except OSError:
            return False
        return True

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        with self._lock:
            if self._descriptor < 0:
                yield False
                return
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            try:
                yield True
            finally:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
