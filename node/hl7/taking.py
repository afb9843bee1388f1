"""One kept message into the records: all of it or nothing, and an answer whatever happens.

Functions here work within a transaction of their caller, who commits, and who calls again later where something failed
for a passing reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from node import logs
from node.errors import Hl7InputError, OverreadError
from node.hl7 import ack as acks
from node.hl7 import fields
from node.hl7.handlers.common import Incoming
from node.hl7.handlers.handler import Understood
from node.hl7.message import Header, peek
from node.records import messages, timeline
from node.records.schema import Message
from node.settings import Settings

_TRANSIENT = (OperationalError, InterfaceError, PoolTimeout)
_TYPE = re.compile(r"[A-Z0-9]{3}(\^[A-Z0-9]{3})?\Z")


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a message: its application acknowledgement, and one sentence without patient data."""

    answer: bytes
    said: str
    used: bool


def transient(exc: Exception) -> bool:
    """Whether the same message may well be taken over a moment later: a busy database, no room."""
    return isinstance(exc, _TRANSIENT) or (isinstance(exc, OverreadError) and exc.retryable)


def take(session: Session, settings: Settings, kept: Message, judged: Understood | Exception) -> Taken:
    """Take a message over that was kept, and record what became of it.

    Parameters
    ----------
    judged
        The message as its handler read it, or why it cannot be used.

    Raises
    ------
    Exception
        One that is :func:`transient`; nothing of the message is in the records then.
    """
    if isinstance(judged, Exception):
        return _not_used(session, settings, kept, judged)
    try:
        said = _take_over(session, settings, kept, judged)
    except Exception as exc:
        return _not_used(session, settings, kept, exc)
    answer = acks.accept(judged.message.header, settings.hl7)
    messages.processed(kept, answer, said)
    timeline.add(session, "message.processed", f"{judged.message.header.type}: {said}", message=kept.id)
    return Taken(answer, said, used=True)


def give_up(session: Session, settings: Settings, kept: Message, reason: str, exc: Exception) -> Taken:
    """Record that a message failed by a fault of the node: it is processed if it is sent again, or replayed."""
    header = peek(kept.raw)
    logs.get("hl7").error("message.failed", message=kept.id, message_type=shown(header), error=exc)
    return _fail(session, kept, header, reason, "AE 207", None, acks.internal_error(kept.raw, settings.hl7))


def shown(header: Header, unknown: str = "A message of unknown type") -> str:
    """Return MSH-9 if it looks like a message type: what else stands there may be anything."""
    return header.type if _TYPE.match(header.type) else unknown


def _take_over(session: Session, settings: Settings, kept: Message, understood: Understood) -> str:
    at = fields.stated_at(understood.message, kept.received_at)
    incoming = Incoming(session, understood.message, kept.id, settings.hl7, at)
    try:
        with session.begin_nested():
            return understood.take(incoming)
    except IntegrityError:  # another process entered the same patient or order meanwhile: now it is there
        with session.begin_nested():
            return understood.take(incoming)


def _not_used(session: Session, settings: Settings, kept: Message, exc: Exception) -> Taken:
    if isinstance(exc, Hl7InputError):
        header = peek(kept.raw)
        answer = acks.refuse(header, settings.hl7, exc)
        return _fail(session, kept, header, str(exc), f"{exc.hl7_ack} {exc.error_code}", answer, answer)
    if transient(exc):
        raise exc
    return give_up(session, settings, kept, f"internal error ({type(exc).__name__})", exc)


def _fail(
    session: Session, kept: Message, header: Header, reason: str, code: str, ack: bytes | None, answer: bytes
) -> Taken:
    messages.failed(kept, ack, reason)
    text = f"{shown(header)} was refused ({code}): {reason}"
    timeline.add(session, "message.failed", text, message=kept.id, level="error")
    return Taken(answer, reason, used=False)
