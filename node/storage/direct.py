"""Writing a file past the page cache (O_DIRECT): an object that is read once, minutes later, has no business in memory.

A buffered write of half a megabyte has to find, clear and map 128 pages; where memory is scarce, or a virtual machine
has to ask its host for it, that takes many times the processor time of a direct write. It needs aligned memory, which
:class:`~node.storage.buffer.Buffer` is, and a disk that is quick to answer.
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

ALIGNMENT = 4096
LEAST_BYTES = 128 << 10
"""Below this the page cache is cheaper."""
LEAST_RATE = 150e6
"""Bytes a second. A disk slower than that makes a sender wait which need not: the page cache is used for a while."""
REST = 200
"""Objects until a slow disk is tried again."""
_NAMES_WITH_FILES = frozenset({"ext3", "ext4", "xfs", "btrfs", "f2fs"})
"""File systems whose fsync(2) of a file makes a name durable that it had before: their journals keep the order."""


class Direct:
    """Direct writes of one spool; threads share it."""

    def __init__(self, folder: Path) -> None:
        self._works = hasattr(os, "O_DIRECT")
        self._rate = 2 * LEAST_RATE
        self._resting = 0
        self.keeps_names = file_system(folder) in _NAMES_WITH_FILES

    def pays(self, size: int, *, durable: bool) -> bool:
        """Whether a file of this size is better written directly; ``durable``: the disk is waited for in any case."""
        if not self._works or size < LEAST_BYTES:
            return False
        if self._resting and not durable:
            self._resting -= 1
            return False
        return True

    def write(self, path: str, data: memoryview, size: int) -> int | None:
        """Write a new file and return its descriptor; None where the file system does not take it this way.

        Parameters
        ----------
        data
            Aligned memory with at least ``size`` bytes, rounded up to :data:`ALIGNMENT`; what is behind ``size`` is
            overwritten with zeros.
        """
        flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC | os.O_DIRECT
        try:
            descriptor = os.open(path, flags, 0o640)
        except OSError as exc:
            self._not_this_way(exc)
            return None
        try:
            began = time.monotonic()
            padded = -(-size // ALIGNMENT) * ALIGNMENT
            data[size:padded] = bytes(padded - size)
            written = os.pwrite(descriptor, data[:padded], 0)
            if written == padded:
                os.ftruncate(descriptor, size)
                self._learn(size, time.monotonic() - began)
                return descriptor
        except OSError as exc:
            os.close(descriptor)
            self._not_this_way(exc)
            return None
        os.close(descriptor)  # a short write leaves an offset that need not be aligned: a full disk, mostly
        return None

    def _not_this_way(self, exc: OSError) -> None:
        """Let direct writes be where the file system does not know them; it is another matter if it is full."""
        if exc.errno != errno.EINVAL:
            raise exc
        self._works = False

    def _learn(self, size: int, seconds: float) -> None:
        self._rate += (size / max(seconds, 1e-6) - self._rate) / 16
        if self._rate < LEAST_RATE:
            self._resting, self._rate = REST, 2 * LEAST_RATE


def file_system(folder: Path) -> str:
    """Return the type of the file system that holds a folder; empty where the system does not tell (Linux does)."""
    device = folder.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in reversed(lines):
        fields = line.split()
        if len(fields) > 6 and fields[2] == wanted and "-" in fields:
            return fields[fields.index("-") + 1]
    return ""
