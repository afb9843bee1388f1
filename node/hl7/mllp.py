"""The MLLP client. The server is in :mod:`node.hl7.listener`, framing in :mod:`node.hl7.framing`."""

from __future__ import annotations

import socket
import ssl
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType

from node.errors import DeliveryError
from node.hl7 import ack as acks
from node.hl7.ack import Ack
from node.hl7.framing import FrameDecoder, frame
from node.hl7.message import peek
from node.settings import Hl7Section

READ_BYTES = 65536
ACK_MAX_BYTES = 1 << 20
"""Longest acknowledgement that a client accepts."""
LATE_ANSWERS = 100
"""Answers to earlier messages that may come before the one that is waited for (enhanced mode)."""


class MllpClient:
    """A blocking sender over one connection, opened when it is first needed and kept. Not shared between threads.

    Parameters
    ----------
    timeout
        Seconds for one message and its acknowledgements together, connecting included.
    tls
        The context of the connection; None for a plain one.
    settings
        As whom an acknowledgement that asks to be acknowledged itself is answered.
    """

    def __init__(
        self,
        host: str,
        port: int,
        timeout: float = 60.0,
        *,
        tls: ssl.SSLContext | None = None,
        settings: Hl7Section | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.timeout = timeout
        self._tls = tls
        self._settings = settings or Hl7Section()
        self._socket: socket.socket | None = None
        self._decoder = FrameDecoder(ACK_MAX_BYTES)
        self._answers: deque[bytes] = deque()
        self._used = False
        self._interrupted = False

    def __enter__(self) -> MllpClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    @property
    def connected(self) -> bool:
        """Whether a connection is kept."""
        return self._socket is not None

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def interrupt(self) -> None:
        """Have an exchange that is under way fail at once, and every later one (called by another thread)."""
        self._interrupted = True
        connection = self._socket
        if connection is not None:
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)  # not TLS's own, which is the other thread's

    def open(self) -> None:
        """Connect, as an exchange does where there is no connection.

        Raises
        ------
        DeliveryError
            There is none to be had.
        """
        with self._translated():
            self._connection(time.monotonic() + self.timeout)

    def exchange(self, raw: bytes) -> Ack:
        """Send one message; return the acknowledgement that accepts it (AA or CA, for this control id).

        In the enhanced mode (MSH-15 or MSH-16 valued) that is the accept acknowledgement, and if MSH-16 is AL the
        application's, for which it waits too. A kept connection that turns out to be dead before a byte was answered
        is replaced once: the peer may get the message twice, under one control id.

        Raises
        ------
        DeliveryError
            No connection, no answer in time, an answer that is none, or (:class:`~node.hl7.ack.AckRefused`) a refusal.
        """
        with self._translated():
            return self._exchange(raw, time.monotonic() + self.timeout)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Give errors of the network as ours; after any but a refusal the connection is closed."""
        try:
            yield
        except acks.AckRefused:
            raise
        except TimeoutError as exc:
            self.close()
            raise DeliveryError("the peer did not acknowledge in time") from exc
        except ssl.SSLError as exc:
            self.close()
            raise DeliveryError(f"TLS failed: {exc.reason or type(exc).__name__}") from exc
        except OSError as exc:
            self.close()
            raise DeliveryError(f"the connection failed: {exc.strerror or type(exc).__name__}") from exc
        except DeliveryError:
            self.close()  # what else comes on this connection belongs to nobody knows which message
            raise

    def _exchange(self, raw: bytes, deadline: float) -> Ack:
        header = peek(raw)
        wanted = acks.wanted(raw, header)
        answer = self._send(raw, deadline)
        if not wanted.enhanced:
            ack = acks.read(answer)
            acks.check(ack, header.control_id)
            return ack
        ack = self._own(answer, header.control_id, deadline)
        if ack.code == "CA" and wanted.application == "AL":
            ack = self._own(self._receive(deadline), header.control_id, deadline)
        return ack

    def _own(self, answer: bytes, control_id: str, deadline: float) -> Ack:
        """Return the answer to this message; an application's late answer to an earlier one may come before it."""
        for _ in range(LATE_ANSWERS):
            ack = acks.read(answer)
            if not ack.code.startswith("C"):
                self._acknowledge(answer, deadline)
                if ack.control_id not in ("", control_id):
                    answer = self._receive(deadline)
                    continue
            acks.check(ack, control_id)
            return ack
        raise DeliveryError("the peer answers nothing but other messages")

    def _acknowledge(self, answer: bytes, deadline: float) -> None:
        """Accept an application acknowledgement that asks for it (HL7 v2.5.1 section 2.9.3.2)."""
        header = peek(answer)
        if acks.meets(acks.wanted(answer, header).accept, "CA"):
            said = acks.unasked(acks.accept(header, self._settings, commit=True), header)
            self._connection(deadline).sendall(frame(said))

    def _send(self, raw: bytes, deadline: float) -> bytes:
        """Send a message; return what is answered first."""
        if self._socket is not None and not self._alive(self._socket):
            self.close()
        kept = self._socket is not None and self._used
        try:
            self._connection(deadline).sendall(frame(raw))
            return self._receive(deadline)
        except (ConnectionError, _ClosedError, ssl.SSLEOFError):
            if not kept or self._decoder.pending or self._interrupted:
                raise
        self.close()
        self._connection(deadline).sendall(frame(raw))
        return self._receive(deadline)

    def _connection(self, deadline: float) -> socket.socket:
        """Return the connection, opened if need be."""
        if self._interrupted:
            raise DeliveryError("interrupted")
        if self._socket is None:
            plain = socket.create_connection((self.host, self.port), timeout=_left(deadline))
            _tune(plain)
            self._socket = plain
            self._decoder = FrameDecoder(ACK_MAX_BYTES)
            self._answers.clear()
            self._used = False
            if self._tls is not None:
                self._socket = self._tls.wrap_socket(plain, server_hostname=self.host)
        self._socket.settimeout(_left(deadline))
        return self._socket

    def _alive(self, connection: socket.socket) -> bool:
        """Whether a kept connection is open and silent; what says something unasked is out of step."""
        if self._answers:
            return False
        connection.settimeout(0.0)
        try:
            connection.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
        return False

    def _receive(self, deadline: float) -> bytes:
        """Return the next message of the peer."""
        while not self._answers:
            data = self._connection(deadline).recv(READ_BYTES)
            if not data:
                raise _ClosedError("the peer closed the connection without an acknowledgement")
            self._answers.extend(self._decoder.feed(data))
            if self._decoder.too_large is not None:
                raise DeliveryError("the peer's answer is too long to be an acknowledgement")
        self._used = True
        return self._answers.popleft()


def _tune(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


class _ClosedError(DeliveryError):
    """The peer closed the connection."""


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def send(host: str, port: int, raw: bytes, timeout: float = 60.0) -> Ack:
    """Send one message over a connection of its own; see :meth:`MllpClient.exchange`."""
    with MllpClient(host, port, timeout) as client:
        return client.exchange(raw)
