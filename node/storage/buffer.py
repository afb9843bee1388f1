"""Page-aligned memory in which an object lies as the disk wants it: File Meta before the data set, without a copy."""

from __future__ import annotations

import mmap

from node.storage.lasting import Lasting

HEADROOM = 4096
"""Bytes before the file: the journal's head lies there."""
FIRST = 1 << 18


class Buffer:
    """A buffer that grows up to a limit and is used for one object after the other.

    The file begins at :data:`HEADROOM`: File Meta, whose length is known before the data set comes, then the data set.

    Parameters
    ----------
    limit
        Most bytes of a data set.
    lasting
        Memory that outlives the process, where there is any.
    """

    def __init__(self, limit: int, lasting: Lasting | None = None) -> None:
        self.limit = limit
        self.lasting = lasting
        self.length = 0
        self._head = 0
        self.view = memoryview(self._map(HEADROOM + FIRST))

    def clear(self, head: int = 0) -> None:
        """Begin with another object, before whose data set ``head`` bytes of File Meta go."""
        self.length = 0
        self._head = head

    def room(self, count: int) -> memoryview:
        """Return where the next ``count`` bytes of the data set go; :meth:`advance` says that they are there."""
        end = HEADROOM + self.size + count
        if end > len(self.view):
            self._grow(end)
        return self.view[end - count : end]

    def advance(self, count: int) -> None:
        """Say that ``count`` bytes came."""
        self.length += count

    @property
    def size(self) -> int:
        """Length of the file."""
        return self._head + self.length

    @property
    def data(self) -> memoryview:
        """The data set as far as it came."""
        start = HEADROOM + self._head
        return self.view[start : start + self.length]

    @property
    def file(self) -> memoryview:
        """The file's memory: :attr:`size` bytes, and the rest of their last page."""
        return self.view[HEADROOM : HEADROOM + -(-self.size // HEADROOM) * HEADROOM]

    def prepend(self, head: bytes) -> None:
        """Put File Meta before the data set.

        Raises
        ------
        ValueError
            If it has another length than :meth:`clear` was told.
        """
        if len(head) != self._head:
            raise ValueError("File Meta has another length than was said")
        self.view[HEADROOM : HEADROOM + len(head)] = head

    def close(self) -> None:
        """Give lasting memory back."""
        if self.lasting is not None:
            self.lasting.close()
            self.lasting = None

    def _map(self, size: int) -> mmap.mmap:
        """Return memory; where it would last and there is no room for it, the usual kind."""
        if self.lasting is not None:
            try:
                return self.lasting.map(size)
            except OSError:
                self.close()
        return mmap.mmap(-1, size)

    def _grow(self, end: int) -> None:
        size = HEADROOM + FIRST
        while size < end:
            size *= 2
        size = -(-size // HEADROOM) * HEADROOM
        lasted = self.lasting
        grown = memoryview(self._map(size))
        if lasted is None or self.lasting is None:  # else it is the same memory
            used = HEADROOM + self.size
            grown[:used] = self.view[:used]
        # The old memory is not closed: who still looks at a piece of it keeps it alive.
        self.view = grown
