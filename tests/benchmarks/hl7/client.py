"""The sender, the same for every receiver: connections with one outstanding message each, as in MLLP; one thread."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.benchmarks.hl7.messages import Sending

END = b"\x1c\r"
SILENT_SECONDS = 60.0
"""After so long without a single answer the receiver counts as dead."""


class NotAnswered(Exception):
    """A receiver answered wrongly, or not at all."""


@dataclass
class Sent:
    """What sending took: seconds in all, and of each message from its first byte to the last of its answer."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    connections: int = 0


class _Line:
    """One sender: its connection, and the message that it waits for."""

    def __init__(self, todo: Sequence[Sending]) -> None:
        self.todo = iter(todo)
        self.socket: socket.socket | None = None
        self.sending: Sending | None = None
        self.began = 0.0
        self.answer = b""


class Client:
    """Sends messages over a number of connections.

    Parameters
    ----------
    anew
        Whether each message gets a connection of its own.
    """

    def __init__(self, port: int, connections: int, *, anew: bool = False) -> None:
        self._port, self._connections, self._anew = port, connections, anew

    def send(self, messages: Sequence[Sending]) -> Sent:
        """Send all messages and take their answers.

        Raises
        ------
        NotAnswered
            An answer is not AA for its message, a connection ended without one, or nothing came for a minute.
        """
        sent = Sent()
        lines = [_Line(messages[number :: self._connections]) for number in range(self._connections)]
        with selectors.DefaultSelector() as selector:
            began = time.perf_counter()
            going = sum(self._next(line, selector, sent) for line in lines)
            while going:
                ready = selector.select(SILENT_SECONDS)
                if not ready:
                    raise NotAnswered(f"{len(sent.latencies)} of {len(messages)} messages were answered, then no more")
                for key, _ in ready:
                    if self._receive(key.data, selector, sent):
                        going -= not self._next(key.data, selector, sent)
            sent.seconds = time.perf_counter() - began
        for line in lines:
            self._close(line, None)
        return sent

    def _next(self, line: _Line, selector: selectors.BaseSelector, sent: Sent) -> bool:
        """Send the next message of a line; False if there is none left."""
        line.sending = next(line.todo, None)
        if line.sending is None:
            return False
        line.began, line.answer = time.perf_counter(), b""
        if line.socket is None:
            line.socket = socket.create_connection(("127.0.0.1", self._port), SILENT_SECONDS)
            line.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(line.socket, selectors.EVENT_READ, line)
            sent.connections += 1
        line.socket.sendall(line.sending.data)
        return True

    def _receive(self, line: _Line, selector: selectors.BaseSelector, sent: Sent) -> bool:
        """Take what came; True once the answer is whole."""
        assert line.socket is not None
        assert line.sending is not None
        data = line.socket.recv(1 << 16)
        line.answer += data
        if not line.answer.endswith(END):
            if not data:
                raise NotAnswered(f"the connection ended without an answer: {line.answer[:200]!r}")
            return False
        sent.latencies.append(time.perf_counter() - line.began)
        if line.sending.accepted not in line.answer:
            raise NotAnswered(f"{line.sending.accepted!r} was to be answered: {line.answer[:300]!r}")
        if self._anew:
            self._close(line, selector)
        return True

    def _close(self, line: _Line, selector: selectors.BaseSelector | None) -> None:
        if line.socket is not None:
            if selector is not None:
                selector.unregister(line.socket)
            line.socket.close()
            line.socket = None
