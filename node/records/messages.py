"""HL7 messages as they came in: kept before they are understood, so that nothing is lost when they are not."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session, aliased

from node.records import timeline
from node.records.schema import Message, now
from node.records.states import MessageState, check

SENDER_WIDTH = 500
CONTROL_ID_WIDTH = 250
TYPE_WIDTH = 20
FOREIGN = "belongs to another patient"
"""What the reasons of messages have in common that were refused as another patient's (205)."""
RETRIED_MAX = 200
"""Most messages that one merge looks at, whether they are to be taken over again."""


_REUSED = "The sender used this message's control id before for other content; it is taken as a new message"


@dataclass(frozen=True, slots=True)
class Entry:
    """A message as it came.

    Parameters
    ----------
    sender, control_id, type
        MSH-3 | MSH-4, MSH-10, MSH-9; cut to their columns.
    told
        What its sender was told on arrival.
    reason
        Why it was refused, "" if it is still to be taken over.
    ack
        The answer to one that was refused.
    """

    raw: bytes
    sender: str = ""
    control_id: str = ""
    type: str = ""
    received_at: dt.datetime | None = None
    peer: str = ""
    told: str = ""
    reason: str = ""
    ack: bytes | None = None


def store(session: Session, entry: Entry) -> Message:
    """Keep a message, or find the one that was kept when the same sender sent the same bytes before."""
    return enter(session, [entry])[0]


def known(session: Session, entry: Entry) -> Message | None:
    """Return the row of a message that was kept before."""
    key = _key(entry)
    return _known(session, [key]).get(key)


def enter(session: Session, entries: Iterable[Entry]) -> list[Message]:
    """Keep messages in their order; returns their rows.

    The same bytes of the same sender under the same control id are one row. If it failed and its repetition was not
    refused, it is to be taken over again: its sender was told that it will be.
    """
    keyed = [(_key(entry), entry) for entry in entries]
    rows = _known(session, [key for key, _ in keyed])
    new: list[tuple[Message, Entry]] = []
    for key, entry in keyed:
        row = rows.get(key)
        if row is None:
            rows[key] = row = _row(key, entry)
            new.append((row, entry))
        elif row.state is MessageState.FAILED and not entry.reason:
            row.state, row.reason, row.ack = MessageState.RECEIVED, "", None
    session.add_all([row for row, _ in new])
    session.flush()
    _warn_of_reuse(session, [row for row, _ in new])
    for row, entry in new:
        if entry.reason:
            text = f"{row.type or 'A message of unknown type'} was refused ({entry.told or 'unanswered'}): {row.reason}"
            timeline.add(session, "message.failed", text, message=row.id, level="error")
    return [rows[key] for key, _ in keyed]


_Key = tuple[str, str, str]


def _key(entry: Entry) -> _Key:
    digest = hashlib.sha256(entry.raw).hexdigest()
    return _clean(entry.sender, SENDER_WIDTH), _clean(entry.control_id, CONTROL_ID_WIDTH), digest


def _row(key: _Key, entry: Entry) -> Message:
    return Message(
        sender=key[0],
        control_id=key[1],
        digest=key[2],
        received_at=entry.received_at or now(),
        type=_clean(entry.type, TYPE_WIDTH),
        raw=entry.raw,
        state=MessageState.FAILED if entry.reason else MessageState.RECEIVED,
        reason=entry.reason,
        ack=entry.ack,
        told=entry.told[:20],
        peer=entry.peer[:64],
    )


def _known(session: Session, keys: Sequence[_Key]) -> dict[_Key, Message]:
    """Return the rows of these keys, the eldest where there are several."""
    rows = session.scalars(
        select(Message).where(Message.digest.in_({key[2] for key in keys})).order_by(Message.id.desc())
    )
    return {(row.sender, row.control_id, row.digest): row for row in rows}


def _warn_of_reuse(session: Session, rows: Sequence[Message]) -> None:
    """Say so of each of these new rows whose sender used its control id before, for other bytes."""
    ids = [row.id for row in rows if row.control_id and not row.reason]
    if not ids:
        return
    older = aliased(Message)
    used_before = exists().where(
        older.control_id == Message.control_id, older.sender == Message.sender, older.id < Message.id
    )
    for reused in session.scalars(select(Message.id).where(Message.id.in_(ids), used_before).order_by(Message.id)):
        timeline.add(session, "message.control_id", _REUSED, message=reused, level="warning")


def processed(message: Message, ack: bytes, reason: str = "") -> None:
    """Mark a message as done; ``ack`` is what its sender is told, now and whenever it sends it again."""
    check(message.state, MessageState.PROCESSED)
    message.state = MessageState.PROCESSED
    message.reason = reason
    message.ack = ack


def failed(message: Message, ack: bytes | None, reason: str) -> None:
    """Mark a message as one that cannot be used, and why; it stays, and can be replayed.

    ``ack`` is what its sender is told whenever it sends it again; None lets a repetition be processed.
    """
    if message.state is not MessageState.FAILED:
        check(message.state, MessageState.FAILED)
    message.state = MessageState.FAILED
    message.reason = reason
    message.ack = ack


def unprocessed(session: Session, limit: int | None = None) -> Sequence[tuple[int, int]]:
    """Return the messages that wait to be taken over, in the order in which they came: row id, and length in bytes."""
    query = select(Message.id, func.length(Message.raw)).where(Message.state == MessageState.RECEIVED)
    return [(row, length) for row, length in session.execute(query.order_by(Message.id).limit(limit))]


def failed_since(session: Session, since: dt.datetime | None = None) -> Sequence[int]:
    """Return the ids of the messages that failed, of those that came since ``since``, oldest first."""
    query = select(Message.id).where(Message.state == MessageState.FAILED).order_by(Message.id)
    return session.scalars(query if since is None else query.where(Message.received_at >= since)).all()


def foreign(session: Session) -> Sequence[Message]:
    """Return messages that were refused as another patient's, oldest first: the :data:`RETRIED_MAX` newest of them."""
    query = select(Message).where(Message.state == MessageState.FAILED, Message.reason.contains(FOREIGN))
    return session.scalars(query.order_by(Message.id.desc()).limit(RETRIED_MAX)).all()[::-1]


def retry_foreign(session: Session, message: Message) -> None:
    """Have a message taken over again that was refused as another patient's, who was merged with its own."""
    check(message.state, MessageState.RECEIVED)
    message.state, message.reason, message.ack = MessageState.RECEIVED, "", None
    text = "Patients were merged: the message, refused as another patient's, is taken over again"
    timeline.add(session, "message.again", text, message=message.id)


def _clean(text: str, width: int) -> str:
    return text.replace("\x00", "")[:width]
