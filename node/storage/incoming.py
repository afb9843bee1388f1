"""An instance on its way into the spool, in pieces: for objects too long to wait in memory."""

from __future__ import annotations

import os

from node.storage.seal import Seal, Sealer
from node.storage.system import start_writing

WRITE_BEHIND = 8 << 20
"""After so many bytes the system is asked to write them, so that the end does not wait for gigabytes."""


class Incoming:
    """A file without a name yet. Made by :meth:`Spool.begin`, ended by :meth:`Spool.finish` or :meth:`discard`."""

    def __init__(self, part: str, meta: bytes, sop_instance: str, name: str, *, durable: bool) -> None:
        self.part, self.sop_instance, self.name = part, sop_instance, name
        self.size = 0
        self._meta = meta
        self._durable = durable
        self._sealer = Sealer()
        self._asked = 0
        self._descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o640)
        try:
            write_all(self._descriptor, memoryview(meta))
        except OSError:
            self.discard()
            raise
        self.size = len(meta)

    def write(self, piece: bytes | memoryview) -> None:
        """Append a piece of the data set."""
        view = memoryview(piece)
        for start in range(0, len(view), WRITE_BEHIND):
            part = view[start : start + WRITE_BEHIND]
            self._sealer.update(part)
            write_all(self._descriptor, part)
            self.size += len(part)
            if self._durable and self.size - self._asked >= WRITE_BEHIND:
                start_writing(self._descriptor, self._asked, self.size - self._asked)
                self._asked = self.size

    @property
    def descriptor(self) -> int:
        """The open file: File Meta, then the data set as far as it came."""
        return self._descriptor

    @property
    def offset(self) -> int:
        """Where the data set begins in the file."""
        return len(self._meta)

    def complete(self) -> Seal:
        """Seal the file, make it durable where that is the policy, and close it."""
        seal = self._sealer.seal()
        os.pwrite(self._descriptor, seal.preamble(), 0)
        if self._durable:
            os.fdatasync(self._descriptor)
        self._close()
        return seal

    def discard(self) -> None:
        """Remove the file if it has not got its name; may be called more than once."""
        self._close()
        try:
            os.unlink(self.part)  # noqa: PTH108
        except FileNotFoundError:
            return

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def write_file(path: str, data: memoryview) -> None:
    """Write a file, without waiting for the disk."""
    descriptor = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o640)
    try:
        write_all(descriptor, data)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: memoryview) -> None:
    """Write all of it, however often the system takes only a part."""
    while len(data):
        data = data[os.write(descriptor, data) :]
