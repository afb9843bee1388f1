"""HL7 messages as they came in: kept before they are understood, so that nothing is lost when they are not."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.records.schema import Message
from node.records.states import MessageState, check

SENDER_WIDTH = 500
CONTROL_ID_WIDTH = 250
TYPE_WIDTH = 20


def store(session: Session, raw: bytes, *, sender: str = "", control_id: str = "", type: str = "") -> Message:  # noqa: A002
    """Keep a message, or find the one that was kept when the same sender sent the same bytes before."""
    digest = hashlib.sha256(raw).hexdigest()
    sender, control_id = _clean(sender, SENDER_WIDTH), _clean(control_id, CONTROL_ID_WIDTH)
    known = session.scalars(
        select(Message).filter_by(sender=sender, control_id=control_id, digest=digest).order_by(Message.id)
    ).first()
    if known is not None:
        return known
    message = Message(
        sender=sender,
        control_id=control_id,
        digest=digest,
        type=_clean(type, TYPE_WIDTH),
        raw=raw,
        state=MessageState.RECEIVED,
        reason="",
    )
    session.add(message)
    session.flush()
    return message


def reuses_control_id(session: Session, message: Message) -> bool:
    """Whether its sender used its control id before, for other bytes."""
    if not message.control_id:
        return False
    query = select(Message.id).where(
        Message.sender == message.sender,
        Message.control_id == message.control_id,
        Message.digest != message.digest,
        Message.id < message.id,
    )
    return session.scalar(query.limit(1)) is not None


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


def unprocessed(session: Session) -> Sequence[int]:
    """Return the ids of messages that were kept and never finished (a crash, a busy database), oldest first."""
    query = select(Message.id).where(Message.state == MessageState.RECEIVED).order_by(Message.id)
    return session.scalars(query).all()


def _clean(text: str, width: int) -> str:
    return text.replace("\x00", "")[:width]
