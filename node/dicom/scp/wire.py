"""PDUs from and to one connection (PS3.8 section 9.3): exact reads, and time limits that a slow peer cannot stretch."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import time
from dataclasses import dataclass

from node.errors import OverreadError

AHEAD_BYTES = 8192
"""Read at once where little is asked for: headers and commands come in one piece, data sets go past this buffer."""
READ_BYTES = 1 << 20
QUICK_ACKNOWLEDGEMENT: int | None = getattr(socket, "TCP_QUICKACK", None)
"""Linux has it."""
_HEAD = struct.Struct(">BxL")
_TIMEVAL = struct.Struct("@ll")
PDV_HEAD = struct.Struct(">LBB")
ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA_TF, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)


class PeerGone(OverreadError):
    """The peer closed the connection, or it broke."""


class PeerSlow(OverreadError):
    """The peer took longer than it may."""


class ProtocolError(OverreadError):
    """The peer sent what PS3.8 does not allow; ``reason`` is that of the A-ABORT (table 9-26)."""

    def __init__(self, message: str, reason: int = 6) -> None:
        super().__init__(message)
        self.reason = reason


UNRECOGNISED, UNEXPECTED, INVALID_PARAMETER = 1, 2, 6
"""Reasons of an A-ABORT by the service provider."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds between two PDUs, seconds for one PDU from its first byte to its last, and the longest P-DATA-TF."""

    idle_seconds: float
    read_seconds: float
    max_pdu_bytes: int


class Wire:
    """One connection."""

    def __init__(self, connection: socket.socket, limits: Limits) -> None:
        self._socket = connection
        self._secured = isinstance(connection, ssl.SSLSocket)
        self._limits = limits
        self._ahead = bytearray(AHEAD_BYTES)
        self._view = memoryview(self._ahead)
        self._start = self._end = 0
        self._deadline = 0.0
        waits = [seconds for seconds in (limits.idle_seconds, limits.read_seconds) if seconds]
        self._tick = max(min([*waits, 20.0]) / 4, 0.05)
        self._writable = select.poll()
        self._writable.register(connection, select.POLLOUT)
        self._return_after(self._tick)

    def next_pdu(self, seconds: float | None = None) -> tuple[int, int]:
        """Wait for a PDU and return its type and the length of what follows the head.

        Parameters
        ----------
        seconds
            How long to wait for its first byte; None: the idle limit, where 0 is without limit.

        Raises
        ------
        PeerGone, PeerSlow
            If none comes.
        """
        wait = self._limits.idle_seconds if seconds is None else seconds
        if self._start == self._end:
            self._deadline = time.monotonic() + wait if wait else 0.0
            self._fill()
        self._deadline = time.monotonic() + self._limits.read_seconds
        kind, length = _HEAD.unpack(self.read(_HEAD.size))
        return kind, length

    def read(self, count: int) -> bytes:
        """Return exactly ``count`` bytes; for little ones."""
        while self._end - self._start < count:
            if count > AHEAD_BYTES:
                data = bytearray(count)
                self.read_into(memoryview(data))
                return bytes(data)
            self._fill()
        start, self._start = self._start, self._start + count
        return bytes(self._view[start : start + count])

    def read_into(self, target: memoryview) -> None:
        """Fill ``target``."""
        count = min(self._end - self._start, len(target))
        if count:
            target[:count] = self._view[self._start : self._start + count]
            self._start += count
        while count < len(target):
            piece = target[count : count + READ_BYTES]
            ends = count + len(piece) == len(target)
            count += self._receive_on(piece) if ends else self._receive(piece)

    def skip(self, count: int, scratch: memoryview) -> None:
        """Read ``count`` bytes and forget them."""
        while count:
            part = min(count, len(scratch))
            self.read_into(scratch[:part])
            count -= part

    def send(self, data: bytes) -> None:
        """Send all of it; a peer that does not read a megabyte within the time of a PDU is given up."""
        for start in range(0, len(data), READ_BYTES):
            self._send(memoryview(data)[start : start + READ_BYTES])

    def drain(self, seconds: float) -> None:
        """Wait until the peer closes, whatever it still sends: closing first would take away what it has not read."""
        self._start = self._end = 0
        self._deadline = time.monotonic() + seconds
        self._return_after(min(self._tick, seconds))
        try:
            while True:
                self._receive(self._view)
        except (PeerGone, PeerSlow):
            return

    def _send(self, view: memoryview) -> None:
        deadline = time.monotonic() + self._limits.read_seconds
        while len(view):
            try:
                view = view[self._socket.send(view) :]
            except (TimeoutError, BlockingIOError):
                pass
            except OSError as exc:
                raise PeerGone("the connection broke") from exc
            if len(view) and time.monotonic() > deadline:
                raise PeerSlow("the peer does not read its answers")

    def takes_at_once(self) -> bool:
        """Whether a few bytes can be sent now without waiting for the peer to read."""
        return bool(self._writable.poll(0))

    def _return_after(self, seconds: float) -> None:
        """Have the socket's calls return after that long, so that the limits can be looked at."""
        if self._secured:
            self._socket.settimeout(seconds)
            return
        # The system's own limit: Python's would ask poll(2) before each call.
        limit = _TIMEVAL.pack(int(seconds), int(seconds % 1 * 1e6))
        self._socket.settimeout(None)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self._socket.setsockopt(socket.SOL_SOCKET, option, limit)

    def _fill(self) -> None:
        """Read what is there into the look-ahead, behind what is left in it."""
        if self._start:
            left = self._end - self._start
            self._ahead[:left] = self._ahead[self._start : self._end]
            self._start, self._end = 0, left
        self._end += self._receive(self._view[self._end :])

    def _receive_on(self, target: memoryview) -> int:
        """Read into ``target``, and what comes behind it into the look-ahead, which is empty: the next PDU's head."""
        if self._secured:
            return self._receive(target)
        count = self._receive(target, self._view)
        self._start, self._end = 0, max(0, count - len(target))
        return min(count, len(target))

    def _receive(self, target: memoryview, *more: memoryview) -> int:
        while True:
            try:
                count = self._socket.recvmsg_into((target, *more))[0] if more else self._socket.recv_into(target)
            except (TimeoutError, BlockingIOError):
                count = -1
            except OSError as exc:
                raise PeerGone("the connection broke") from exc
            if count == 0:
                raise PeerGone("the peer closed the connection")
            if self._deadline and time.monotonic() > self._deadline:
                raise PeerSlow("the peer took too long")
            if count > 0:
                self._acknowledge()
                return count

    def _acknowledge(self) -> None:
        """Have the system acknowledge at once what came.

        A peer with Nagle's algorithm on, as DCMTK has, sends no short segment before that (RFC 896), and the system may
        take its time (RFC 1122 section 4.2.3.2). It forgets this at once, so it is told each time.
        """
        if QUICK_ACKNOWLEDGEMENT is not None:
            with contextlib.suppress(OSError):  # the connection is gone; the next call says so
                self._socket.setsockopt(socket.IPPROTO_TCP, QUICK_ACKNOWLEDGEMENT, 1)


def shut(connection: socket.socket, how: int = socket.SHUT_RDWR) -> None:
    """Wake the thread that reads or writes a connection.

    Not by the connection's own method, which for TLS takes away what that thread is using.
    """
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, how)
