"""Listening: several processes on one port (SO_REUSEPORT), a thread for each connection.

The accepting thread only accepts. TLS handshakes, and everything else that a peer can draw out, happen in the
connection's own thread, under its time limits.
"""

from __future__ import annotations

import collections
import itertools
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable

from node import logs
from node.dicom.scp.association import Association
from node.dicom.scp.session import Port
from node.dicom.scp.sharing import Place
from node.dicom.scp.wire import Limits, Wire, shut
from node.errors import OverreadError

BACKLOG = 512
MAX_CONNECTIONS = 1024
MAX_CONNECTIONS_OF_HOST = 768
"""Connections of one process, in all and from one address, with or without an association."""
_TLS_WORDS = {
    "WRONG_VERSION_NUMBER": "the peer spoke plain DICOM, or an old version of TLS",
    "HTTP_REQUEST": "the peer spoke HTTP",
    "TLSV1_ALERT_UNKNOWN_CA": "the peer does not trust the node's certificate",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the peer showed no certificate",
    "CERTIFICATE_VERIFY_FAILED": "the peer's certificate is not valid, or not of a known authority",
}
HANDSHAKE_SECONDS = 10.0
TAKING_SECONDS = 0.5
"""How long to wait for a connection from a sibling before looking whether to stop."""
ABORT_SECONDS = 2.0
"""How long connections that were shut may take to end."""


class Server:
    """The listening side of one process.

    Parameters
    ----------
    address
        Host and port; port 0 lets the system choose.
    port
        What the associations share.
    context
        TLS, or None.
    place
        This process among those of the port, which share connections out; None for one that is alone.
    """

    def __init__(
        self, address: tuple[str, int], port: Port, context: ssl.SSLContext | None = None, place: Place | None = None
    ) -> None:
        self._port, self._context, self._place = port, context, place
        settings = port.settings
        self._limits = Limits(settings.idle_seconds, settings.read_seconds, settings.max_pdu_bytes)
        self._log = logs.get("receiver")
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, tuple[socket.socket, Association]] = {}
        self._hosts: collections.Counter[str] = collections.Counter()
        self._stopping = False
        self._listener = _listen(address)
        self.address: tuple[str, int] = self._listener.getsockname()[:2]

    def start(self) -> None:
        """Accept from now on."""
        if self._place is not None:
            self._place.join()
            threading.Thread(target=self._take, name="taker", daemon=True).start()
        threading.Thread(target=self._accept, name="acceptor", daemon=True).start()

    def associations(self) -> int:
        """Return how many associations are open."""
        with self._lock:
            return sum(association.established for _, association in self._open.values())

    def connections(self) -> int:
        """Return how many connections are open."""
        with self._lock:
            return len(self._open)

    def stop(self, timeout: float) -> None:
        """Accept nothing more, let associations finish for ``timeout`` seconds, abort the rest."""
        with self._lock:
            self._stopping = True
        if self._place is not None:
            self._place.leave()
        shut(self._listener)
        self._listener.close()
        for connection, association in self._opened():
            if not association.established:
                shut(connection)
        _wait(lambda: not self.associations(), timeout)
        for connection, association in self._opened():
            association.stop(connection)
        _wait(lambda: not self.connections(), ABORT_SECONDS)
        for connection, _ in self._opened():
            shut(connection)
        _wait(lambda: not self.connections(), ABORT_SECONDS)

    def _opened(self) -> list[tuple[socket.socket, Association]]:
        with self._lock:
            return list(self._open.values())

    def _accept(self) -> None:
        while not self._stopping:
            try:
                connection, peer = self._listener.accept()
            except OSError as exc:
                if not self._stopping:
                    self._log.error("a connection could not be accepted", error=exc)
                    time.sleep(0.1)  # out of descriptors: others have to end first
                continue
            if self._place is not None and self._place.give(connection):
                connection.close()  # a sibling has it; this descriptor is of no use any more
            elif not self._begin(connection, str(peer[0]), int(peer[1])):
                connection.close()

    def _take(self) -> None:
        """Serve what siblings hand over."""
        while not self._stopping and self._place is not None:
            connection = self._place.take(TAKING_SECONDS)
            if connection is None:
                continue
            try:
                host, port = connection.getpeername()[:2]
            except OSError:  # the peer has gone already
                self._place.ended()
                connection.close()
                continue
            if not self._begin(connection, str(host), int(port)):
                connection.close()

    def _begin(self, connection: socket.socket, host: str, port: int) -> bool:
        with self._lock:
            full = self._hosts.total() >= MAX_CONNECTIONS or self._hosts[host] >= MAX_CONNECTIONS_OF_HOST
            if not full:
                self._hosts[host] += 1
        if full:
            if self._place is not None:
                self._place.ended()
            return False
        name = f"{host}:{port}#{os.getpid()}-{next(self._numbers)}"
        thread = threading.Thread(target=self._serve, args=(connection, host, name), name=name, daemon=True)
        try:
            _tune(connection)
            thread.start()
        except (OSError, RuntimeError) as exc:
            self._log.error("a connection could not be served", error=exc)
            self._forget(host)
            return False
        return True

    def _serve(self, connection: socket.socket, host: str, name: str) -> None:
        try:
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            association = Association(Wire(connection, self._limits), host, name, self._port)
            with self._lock:
                if self._stopping:
                    return
                self._open[threading.current_thread()] = (connection, association)
            if self._secured(connection, name):
                association.serve()
        except Exception as exc:  # the thread's last resort: nothing may end without a line
            self._log.error("a connection broke the receiver", association=name, error=exc)
        finally:
            with self._lock:
                self._open.pop(threading.current_thread(), None)
            self._forget(host)
            connection.close()

    def _secured(self, connection: socket.socket, name: str) -> bool:
        """Do the TLS handshake, where there is one to do; False if it fails."""
        if not isinstance(connection, ssl.SSLSocket):
            return True
        usual = connection.gettimeout()
        connection.settimeout(HANDSHAKE_SECONDS)
        try:
            connection.do_handshake()
        except OSError as exc:
            reason = getattr(exc, "reason", None) or type(exc).__name__
            self._log.warning("the TLS handshake failed", association=name, reason=str(reason))
            text = f"A TLS handshake with {name.rsplit(':', 1)[0]} failed: {_TLS_WORDS.get(str(reason), reason)}."
            self._port.intake.note("association.rejected", text)
            return False
        connection.settimeout(usual)
        return True

    def _forget(self, host: str) -> None:
        with self._lock:
            self._hosts[host] -= 1
            if self._hosts[host] <= 0:
                del self._hosts[host]
        if self._place is not None:
            self._place.ended()


def _listen(address: tuple[str, int]) -> socket.socket:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as exc:
        listener.close()
        raise OverreadError(f"cannot listen on {address[0]}:{address[1]} (DICOM): {exc.strerror}") from exc
    return listener


def _tune(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def _wait(done: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(0.02)
