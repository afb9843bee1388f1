"""The questions that the pages ask of HL7 messages: lists without their content, and how long taking over takes."""

from __future__ import annotations

import datetime as dt
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from node.records import timeline
from node.records.schema import Event, Message
from node.records.states import MessageState

PAGE = 100
"""Messages of one page of the list."""
RECENT = 200
"""Newest messages of which the delay is told."""
ENDED = ("message.processed", "message.failed")
"""Lines of the timeline that end the wait of a message."""


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A message without its content. Control id, sender and reason come from it and name no patient."""

    id: int
    received_at: dt.datetime
    type: str
    sender: str
    control_id: str
    told: str
    peer: str
    state: MessageState
    reason: str
    size: int


@dataclass(frozen=True, slots=True)
class MessageList:
    """One page of the list; ``older`` is the number to go on before, None at the end."""

    rows: Sequence[MessageRow]
    older: int | None


@dataclass(frozen=True, slots=True)
class MessageView:
    """One message and what became of it."""

    row: MessageRow
    answer: bytes | None
    events: Sequence[Event]

    @property
    def replayable(self) -> bool:
        """Whether it can be taken over again."""
        return self.row.state is not MessageState.PROCESSED


@dataclass(frozen=True, slots=True)
class Delays:
    """Seconds between arrival and taking over, of the newest messages that were; 0 of none."""

    count: int = 0
    median: float = 0.0
    longest: float = 0.0


_COLUMNS = (
    Message.id, Message.received_at, Message.type, Message.sender, Message.control_id, Message.told, Message.peer,
    Message.state, Message.reason, func.length(Message.raw),
)  # fmt: skip


def listed(session: Session, state: MessageState | None = None, before: int | None = None) -> MessageList:
    """Return messages, newest first, of one state or all; ``before`` is where the page before ended."""
    query = select(*_COLUMNS).order_by(Message.id.desc()).limit(PAGE + 1)
    if state is not None:
        query = query.where(Message.state == state)
    if before is not None:
        query = query.where(Message.id < before)
    rows = [MessageRow(*row) for row in session.execute(query)]
    return MessageList(rows[:PAGE], rows[PAGE - 1].id if len(rows) > PAGE else None)


def message(session: Session, message_id: int) -> MessageView | None:
    """Return one message without its content, or None."""
    found = session.execute(select(*_COLUMNS, Message.ack).where(Message.id == message_id)).one_or_none()
    if found is None:
        return None
    *columns, answer = found
    return MessageView(MessageRow(*columns), answer, timeline.of_message(session, message_id))


def delays(session: Session) -> Delays:
    """Return how long the newest messages waited until they were taken over, or refused."""
    newest = select(Message.id).order_by(Message.id.desc()).limit(RECENT).scalar_subquery()
    query = (
        select(Message.received_at, func.min(Event.at))
        .join(Event, Event.message_fk == Message.id)
        .where(Message.id.in_(newest), Event.kind.in_(ENDED))
        .group_by(Message.id, Message.received_at)
    )
    seconds = [max(0.0, (ended - received).total_seconds()) for received, ended in session.execute(query)]
    return Delays(len(seconds), statistics.median(seconds), max(seconds)) if seconds else Delays()
