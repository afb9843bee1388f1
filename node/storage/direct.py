"""Writing a file past the page cache (O_DIRECT): an object that is read once, minutes later, has no business in memory.

A buffered write of half a megabyte has to find, clear and map 128 pages; where memory is scarce, or a virtual machine
has to ask its host for it, that takes many times the processor time of a direct write. It needs aligned memory, which
:class:`~node.storage.buffer.Buffer` is, and a disk that is quick to answer.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time

ALIGNMENT = 4096
LEAST_BYTES = 128 << 10
"""Below this the page cache is cheaper."""
LEAST_RATE = 150e6
"""Bytes a second. A disk slower than that makes a sender wait which need not: the page cache is used for a while."""
REST = 200
"""Objects until a slow disk is tried again."""


class Direct:
    """Direct writes of one spool; threads share it."""

    def __init__(self) -> None:
        self._works = hasattr(os, "O_DIRECT")
        self._rate = 2 * LEAST_RATE
        self._resting = 0

    def pays(self, size: int) -> bool:
        """Whether a file of this size is better written directly."""
        if not self._works or size < LEAST_BYTES:
            return False
        if self._resting:
            self._resting -= 1
            return False
        return True

    def write(self, path: str, data: memoryview, size: int) -> int | None:
        """Write a new file and return its descriptor; None where the file system does not take it this way.

        Parameters
        ----------
        data
            Aligned memory with at least ``size`` bytes.
        """
        flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC | os.O_DIRECT
        try:
            descriptor = os.open(path, flags, 0o640)
        except OSError as exc:
            self._not_this_way(exc)
            return None
        try:
            began = time.monotonic()
            whole = size // ALIGNMENT * ALIGNMENT
            if os.pwrite(descriptor, data[:whole], 0) == whole:
                # The last piece through the page cache: to cut a longer file off, the system would read it again.
                fcntl.fcntl(descriptor, fcntl.F_SETFL, flags & ~os.O_DIRECT)
                if os.pwrite(descriptor, data[whole:size], whole) == size - whole:
                    self._learn(size, time.monotonic() - began)
                    return descriptor
        except OSError as exc:
            os.close(descriptor)
            self._not_this_way(exc)
            return None
        os.close(descriptor)  # a short write: a full disk, mostly
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
