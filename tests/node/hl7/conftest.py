"""A node's HL7 side without sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest
from sqlalchemy import inspect, select
from sqlalchemy.orm import Session

from node.hl7 import ack as acks
from node.hl7 import inbound
from node.records.engine import Records
from node.records.schema import Base, Event, Message
from node.settings import Settings

Row = TypeVar("Row", bound=Base)


class Desk:
    """Takes messages into a record store of its own."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.settings = Settings()

    def take(self, raw: bytes) -> acks.Ack:
        """Hand a message in; return the answer."""
        return acks.read(inbound.handle(self.records, self.settings, raw, "192.0.2.1"))

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
def desk(records: Records) -> Desk:
    """Give a desk with empty records."""
    return Desk(records)


@pytest.fixture
def hl7() -> Callable[..., bytes]:
    """Give a function that writes a message of raw segments."""

    def write(kind: str, *segments: str, control_id: str = "C1", charset: str = "", sender: str = "RIS|HOSP") -> bytes:
        msh = f"MSH|^~\\&|{sender}|OVERREAD||20260101120000+0000||{kind}|{control_id}|P|2.5.1||||||{charset}"
        return "\r".join((msh, *segments, "")).encode("utf_8")

    return write
