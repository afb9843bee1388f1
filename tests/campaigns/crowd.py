"""Hundreds of connections that do nothing good: silent, half an association request, byte by byte, half a handshake."""

from __future__ import annotations

import contextlib
import itertools
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tests.campaigns.objects import CLASS, SYNTAX
from tests.campaigns.processes import connect
from tests.node.dicom.scp.raw import pdu, pdv, request, store_command

CLIENT_HELLO = bytes.fromhex("160301004a010000460303") + bytes(60)
"""The beginning of a TLS handshake, which nobody finishes."""
DRIP_SECONDS = 0.5
"""How often a slow connection sends a byte."""
_STORE = pdu(4, pdv(1, 3, store_command("1.2.3.4")))
ASK = request({1: (CLASS, [SYNTAX])}, calling="CROWD", max_pdu=0)
LIES: Sequence[bytes] = (
    struct.pack(">BxL", 1, 0xFFFFFFFF) + bytes(100),
    struct.pack(">BxL", 4, 0xFFFFFFFF) + bytes(100),
    struct.pack(">BxL", 0xEE, 0xFFFFFFFF) + bytes(100),
    ASK + struct.pack(">BxL", 4, 0xFFFFFFFF) + bytes(100),
    ASK + struct.pack(">BxL", 4, 16) + struct.pack(">LBB", 0xFFFFFFFF, 1, 3) + bytes(10),
    ASK + _STORE + struct.pack(">BxL", 4, 131072) + struct.pack(">LBB", 131068, 1, 0),
    ASK + pdu(4, pdv(1, 3, struct.pack("<HHL", 0, 0x1000, 0xFFFFFFFF) + bytes(20))),
    ASK + _STORE + pdu(4, pdv(1, 2, struct.pack("<HH2sHL", 8, 0x1140, b"SQ", 0, 0xFFFFFFFE))),
)  # fmt: skip
"""Lengths of PDU, presentation data value, command element and data element that nobody can mean."""


def silent(connection: socket.socket) -> None:
    """Say nothing."""


def half_open(connection: socket.socket) -> None:
    """Send half an association request."""
    connection.sendall(ASK[: len(ASK) // 2])


def associated(connection: socket.socket) -> None:
    """Ask for an association, whatever comes, and stop within a command."""
    connection.sendall(ASK + struct.pack(">BxL", 4, 100) + struct.pack(">LBB", 96, 1, 1) + bytes(10))


def lying(connection: socket.socket) -> None:
    """Announce four gigabytes."""
    connection.sendall(random.choice(LIES))


def greeting(connection: socket.socket) -> None:
    """Begin a TLS handshake."""
    connection.sendall(CLIENT_HELLO[: random.randrange(1, len(CLIENT_HELLO))])


def slow(connection: socket.socket) -> None:
    """Begin with one byte; :class:`Crowd` sends the others, one at a time."""
    connection.sendall(ASK[:1])


PLAIN: Sequence[Callable[[socket.socket], None]] = (silent, half_open, associated, lying, slow, slow)
SECURE: Sequence[Callable[[socket.socket], None]] = (silent, greeting, greeting, slow)


class Crowd:
    """Connections that are open at the same time; from two addresses, as an attack from one is easily refused."""

    def __init__(self, port: int, count: int, manners: Sequence[Callable[[socket.socket], None]]) -> None:
        self._connections: list[socket.socket] = []
        self._slow: list[socket.socket] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._drip, name="drip", daemon=True)
        for number, manner in zip(range(count), itertools.cycle(manners), strict=False):
            connection = connect(port, source=f"127.0.0.{2 + number % 2}")
            self._connections.append(connection)
            with contextlib.suppress(OSError):
                manner(connection)
            connection.setblocking(False)
            if manner is slow:
                self._slow.append(connection)
        self._thread.start()

    def open(self) -> int:
        """Return how many the node has not closed."""
        return sum(not _ended(connection) for connection in self._connections)

    def close(self) -> None:
        """Close all of them, half of them with a reset."""
        self._over.set()
        self._thread.join()
        for number, connection in enumerate(self._connections):
            if number % 2:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

    def _drip(self) -> None:
        for position in range(1, len(ASK)):
            if self._over.wait(DRIP_SECONDS):
                return
            for connection in self._slow:
                with contextlib.suppress(OSError):
                    connection.send(ASK[position : position + 1])


@contextmanager
def crowd(port: int, count: int, manners: Sequence[Callable[[socket.socket], None]] = PLAIN) -> Iterator[Crowd]:
    """Open a crowd and close it."""
    found = Crowd(port, count, manners)
    try:
        yield found
    finally:
        found.close()


def _ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(1 << 16) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def timed(work: Callable[[], object], times: int) -> float:
    """Return the median of the seconds that something takes."""
    found = []
    for _ in range(times):
        began = time.monotonic()
        work()
        found.append(time.monotonic() - began)
    return sorted(found)[times // 2]
