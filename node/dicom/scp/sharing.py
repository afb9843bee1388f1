"""Sharing connections out evenly among the processes of one port.

The kernel deals connections to the listeners of a port (SO_REUSEPORT) by a hash of their addresses: of four, two or
three often meet in one process, and wait for each other's interpreter there, while another process has nothing to do.
So who accepts one that a sibling has more time for hands it over, as a descriptor over a socket (SCM_RIGHTS, unix(7)).
"""

from __future__ import annotations

import fcntl
import mmap
import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_COUNT = struct.Struct("i")
GONE = 1 << 30
"""What the table says of a process that does not run."""


class Shares:
    """What all processes of a port have in common; made before the first of them is forked.

    Parameters
    ----------
    processes
        How many there are, numbered from 0.
    """

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._descriptor = os.memfd_create("overread-connections")
        os.ftruncate(self._descriptor, processes * _COUNT.size)
        self._table = mmap.mmap(self._descriptor, processes * _COUNT.size)
        self._lock = threading.Lock()
        self._ways = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(processes)]
        for number in range(processes):
            self.gone(number)

    def gone(self, number: int) -> None:
        """Hand nothing over to a process that has ended or is about to."""
        with self._alone():
            self._write(number, GONE)

    def join(self, number: int) -> None:
        """Begin as a process without connections."""
        with self._alone():
            self._write(number, 0)

    def place(self, number: int) -> int:
        """Choose who serves a connection that process ``number`` accepted, and count it there.

        The process itself, unless another has fewer connections.
        """
        with self._alone():
            counts = [self._read(other) for other in range(self._processes)]
            chosen = min(range(self._processes), key=lambda other: (counts[other], other != number))
            if counts[chosen] >= GONE:
                chosen = number
            self._write(chosen, counts[chosen] + 1)
            return chosen

    def count(self, number: int) -> None:
        """Count a connection of a process."""
        with self._alone():
            self._write(number, self._read(number) + 1)

    def left(self, number: int) -> None:
        """Count a connection of a process that has ended, or was not handed over."""
        with self._alone():
            count = self._read(number)
            if 0 < count < GONE:
                self._write(number, count - 1)

    def hand(self, connection: socket.socket, number: int) -> bool:
        """Hand a connection over; False if the process has too many on the way to it already."""
        try:
            # Not socket.send_fds, which takes flags and passes none on (Python 3.11).
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, _COUNT.pack(connection.fileno()))
            self._ways[number][0].sendmsg([b"."], [rights], socket.MSG_DONTWAIT)
        except OSError:
            self.left(number)
            return False
        return True

    def handed(self, number: int, seconds: float) -> socket.socket | None:
        """Return the next connection that was handed over to a process, or None if none comes within ``seconds``."""
        way = self._ways[number][1]
        way.settimeout(seconds)
        try:
            _, descriptors, _, _ = socket.recv_fds(way, 1, 1)
        except OSError:
            return None
        return socket.socket(fileno=descriptors[0]) if descriptors else None

    def _read(self, number: int) -> int:
        count: int = _COUNT.unpack_from(self._table, number * _COUNT.size)[0]
        return count

    def _write(self, number: int, count: int) -> None:
        _COUNT.pack_into(self._table, number * _COUNT.size, count)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One thread of one process at a time; the kernel frees the lock of a process that is killed (fcntl(2))."""
        with self._lock:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN)


class Place:
    """One process's side of the table."""

    def __init__(self, shares: Shares, number: int) -> None:
        self._shares, self._number = shares, number

    def join(self) -> None:
        """Begin."""
        self._shares.join(self._number)

    def leave(self) -> None:
        """Be handed nothing any more."""
        self._shares.gone(self._number)

    def give(self, connection: socket.socket) -> bool:
        """Hand an accepted connection over if another process has fewer; False if it is to be served here."""
        chosen = self._shares.place(self._number)
        if chosen == self._number:
            return False
        if self._shares.hand(connection, chosen):
            return True
        self._shares.count(self._number)
        return False

    def take(self, seconds: float) -> socket.socket | None:
        """Return the next connection that a sibling handed over."""
        return self._shares.handed(self._number, seconds)

    def ended(self) -> None:
        """Count a connection that is served no more."""
        self._shares.left(self._number)
