"""A listener in a thread of the test, and what takes its messages over; raw connections to it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from node.hl7 import ack as acks
from node.hl7.framing import FrameDecoder
from node.hl7.inbox import FILE, Arrival, Inbox
from node.hl7.listener import Listener
from node.hl7.processing import Processor
from node.records import timeline
from node.records.engine import Records
from node.settings import Hl7Section, NodeSection, Settings


def settings(root: Path, **hl7: object) -> Settings:
    """Return settings of a node that listens on a free port of this machine."""
    section = Hl7Section.model_validate({"host": "127.0.0.1", "port": 0, **hl7})
    return Settings(node=NodeSection(root=root), hl7=section)


class Listening:
    """A running listener."""

    def __init__(self, of: Settings) -> None:
        self.settings = of
        self.listener: Listener
        self.errors: list[object] = []
        """What went wrong inside the loop, which nobody else hears of."""
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda _, context: self.errors.append(context.get("exception")))
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        """Start it in a loop of its own."""
        self._thread.start()

        async def start() -> Listener:
            listener = Listener(self.settings)
            await listener.start()
            return listener

        self.listener = self.call(start())

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run something on the listener's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def stop(self, timeout: float = 5.0) -> None:
        """Stop it."""
        self.call(self.listener.stop(timeout))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self.listener.port

    def connect(self) -> socket.socket:
        """Return a connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def kept(self) -> list[Arrival]:
        """Return what the inbox holds."""
        inbox = Inbox(self.settings.node.root / FILE)
        try:
            return [arrival for _, arrival in inbox.waiting(100_000)]
        finally:
            inbox.close()

    def lines(self, kind: str) -> list[str]:
        """Return the timeline's lines of a kind."""
        records = Records(self.settings.database_url)
        try:
            with records.read() as session:
                return [event.text for event in timeline.of_node(session) if event.kind == kind]
        finally:
            records.close()


@contextmanager
def listening(root: Path, **hl7: object) -> Iterator[Listening]:
    """Run a listener that keeps its messages under ``root``."""
    running = Listening(settings(root, **hl7))
    running.start()
    try:
        yield running
    finally:
        running.stop()


@contextmanager
def processing(of: Settings) -> Iterator[Records]:
    """Take over what a listener keeps, as the gateway does; gives the records."""
    records = Records(of.database_url)
    records.migrate()
    processor = Processor(records, of)
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            if not processor.work():
                ended.wait(0.02)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield records
    finally:
        ended.set()
        thread.join(10)
        processor.close()
        records.close()


def take_over(of: Settings) -> Records:
    """Take over all that is kept; returns the records."""
    records = Records(of.database_url)
    records.migrate()
    processor = Processor(records, of)
    while processor.work():
        pass
    processor.close()
    return records


class Answers:
    """Reads the answers of a connection one after the other."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._decoder = FrameDecoder(1 << 20)
        self._found: list[acks.Ack] = []

    def next(self, count: int = 1) -> list[acks.Ack]:
        """Return the next answers, fewer if the connection ends before."""
        while len(self._found) < count and (data := self._connection.recv(65536)):
            self._found += [acks.read(raw) for raw in self._decoder.feed(data)]
        said, self._found = self._found[:count], self._found[count:]
        return said
