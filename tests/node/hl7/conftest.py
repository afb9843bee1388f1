"""A node's HL7 side without sockets."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import inspect, select
from sqlalchemy.orm import Session

from node.hl7 import ack as acks
from node.hl7 import inbound
from node.hl7.inbox import FILE, Arrival, Inbox
from node.hl7.processing import Processor
from node.records.engine import Records
from node.records.schema import Base, Event, Message
from node.settings import NodeSection, Settings

Row = TypeVar("Row", bound=Base)


class Desk:
    """Takes messages into a record store of its own."""

    def __init__(self, records: Records, root: Path) -> None:
        self.records = records
        self.settings = Settings(node=NodeSection(root=root))
        self.processor = Processor(records, self.settings)

    def take(self, raw: bytes) -> acks.Ack:
        """Hand a message in; return the answer."""
        return acks.read(inbound.handle(self.records, self.settings, raw, "192.0.2.1"))

    def arrive(self, *raws: bytes, told: str = "AA", reason: str = "", ack: bytes | None = None) -> None:
        """Put messages into the inbox, as the listener does."""
        box = Inbox(self.settings.node.root / FILE)
        at = dt.datetime.now(dt.UTC)
        box.keep([Arrival(raw, at, "192.0.2.1", told, reason, ack) for raw in raws])
        box.close()

    def work(self) -> int:
        """Process until nothing is left to do; return how many messages were moved."""
        total = 0
        while moved := self.processor.work():
            total += moved
        return total

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Open a session that may write."""
        with self.records.write() as session:
            yield session

    def rows(self, kind: type[Row]) -> list[Row]:
        """Return all rows of a table."""
        with self.records.read() as session:
            return list(session.scalars(select(kind).order_by(inspect(kind).primary_key[0])))

    def messages(self) -> list[Message]:
        """Return all messages."""
        with self.records.read() as session:
            return list(session.scalars(select(Message).order_by(Message.id)))

    def lines(self, kind: str = "") -> list[Event]:
        """Return the timeline, or its lines of one kind."""
        with self.records.read() as session:
            query = select(Event).order_by(Event.id)
            return list(session.scalars(query.where(Event.kind == kind) if kind else query))


@pytest.fixture
def desk(records: Records, tmp_path: Path) -> Iterator[Desk]:
    """Give a desk with empty records."""
    desk = Desk(records, tmp_path)
    yield desk
    desk.processor.close()


@pytest.fixture
def hl7() -> Callable[..., bytes]:
    """Give a function that writes a message of raw segments."""

    def write(
        kind: str,
        *segments: str,
        control_id: str = "C1",
        charset: str = "",
        sender: str = "RIS|HOSP",
        at: str = "20260101120000+0000",
    ) -> bytes:
        msh = f"MSH|^~\\&|{sender}|OVERREAD||{at}||{kind}|{control_id}|P|2.5.1||||||{charset}"
        return "\r".join((msh, *segments, "")).encode("utf_8")

    return write
