"""Writing a file past the page cache (O_DIRECT), or through it: whichever is quicker at the moment.

A buffered write of half a megabyte has to find, clear and copy to 128 pages. Where memory is at hand, that is the
quicker way; where the system has to find it first, or a virtual machine has to ask its host for it, or the disk does
not keep up and writers are made to wait, it takes many times the time of a direct write. That changes from minute to
minute, so both ways are measured. A direct write needs aligned memory, which :class:`~node.storage.buffer.Buffer` is.
"""

from __future__ import annotations

import errno
import fcntl
import os
from typing import Literal

Way = Literal["direct", "cached"]
ALIGNMENT = 4096
LEAST_BYTES = 128 << 10
"""Below this the page cache is always quicker."""
EXPLORE = 32
"""Every so many files the other way is tried."""
WEIGHT = 1 / 8
"""Of the last file in the mean of its way."""


class Direct:
    """Direct writes of one spool; threads share it."""

    def __init__(self) -> None:
        self._works = hasattr(os, "O_DIRECT")
        self._files = 0
        self._cost: dict[Way, float] = {"direct": 0.0, "cached": 0.0}  # seconds a byte

    def way(self, size: int) -> Way:
        """Return how a file of this size is better written."""
        if not self._works or size < LEAST_BYTES:
            return "cached"
        self._files += 1
        direct = self._cost["direct"] <= self._cost["cached"]
        return "direct" if direct != (self._files % EXPLORE == 0) else "cached"

    def learn(self, way: Way, size: int, seconds: float) -> None:
        """Take notice of how long a file took."""
        if size >= LEAST_BYTES:
            before = self._cost[way]
            self._cost[way] = before + (seconds / size - before) * (WEIGHT if before else 1.0)

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
            whole = size // ALIGNMENT * ALIGNMENT
            if os.pwrite(descriptor, data[:whole], 0) == whole:
                # The last piece through the page cache: to cut a longer file off, the system would read it again.
                fcntl.fcntl(descriptor, fcntl.F_SETFL, flags & ~os.O_DIRECT)
                if os.pwrite(descriptor, data[whole:size], whole) == size - whole:
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
