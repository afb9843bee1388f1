"""What happens to a message that comes in: kept first, then understood, then acknowledged.

An AA means that the message was taken over and survives a power cut. AE and AR say what is wrong, in ERR. Whatever it
is, the message is in the records and has one line on the timeline, from where it can be replayed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from node import logs
from node.errors import Hl7InputError, OverreadError, StateError
from node.hl7 import ack as acks
from node.hl7.handlers import adt, notes, orders, results
from node.hl7.handlers.common import Incoming
from node.hl7.handlers.handler import Handler, at_once
from node.hl7.message import Header, Hl7Message, parse, peek
from node.hl7.mllp import MllpServer
from node.records import messages, timeline
from node.records.engine import Records
from node.records.schema import Message
from node.records.states import MessageState
from node.settings import Settings

HANDLERS: Mapping[str, Handler[Any]] = {
    "ADT^A01": at_once(adt.register),
    "ADT^A04": at_once(adt.register),
    "ADT^A08": at_once(adt.register),
    "ORM^O01": at_once(orders.order),
    "OMI^O23": at_once(orders.order),
    "MDM^T02": at_once(notes.document),
    "ORU^R01": at_once(results.results),
}
"""Message code and trigger event (MSH-9) to the function that takes such a message over."""

_TRANSIENT = (OperationalError, InterfaceError, PoolTimeout)
_TYPE = re.compile(r"[A-Z0-9]{3}(\^[A-Z0-9]{3})?\Z")


def server(records: Records, settings: Settings) -> MllpServer:
    """Return an MLLP server that does with messages what this module says; not started."""
    return MllpServer(
        settings,
        partial(handle, records, settings),
        oversize=partial(refuse_oversize, records, settings),
        garbage=partial(note_garbage, records),
    )


def handle(records: Records, settings: Settings, raw: bytes, peer: str = "") -> bytes:
    """Keep, process and acknowledge one message; never raises.

    The same bytes from the same sender under the same control id get the answer that they got before, and nothing
    happens twice. What could not be processed for a passing reason (AE 207) is processed when it is sent again.
    """
    header = peek(raw)
    began = time.perf_counter()
    try:
        row, answer = _keep(records, header, raw)
    except (SQLAlchemyError, OSError) as exc:
        logs.get("hl7").error("message.not_kept", peer=peer, error=exc)
        return acks.internal_error(raw, settings.hl7)
    again = answer is not None
    if answer is None:
        answer = _process(records, settings, row, raw)
    logs.get("hl7").info(
        "message.answered",
        peer=peer,
        message=row,
        message_type=_shown(header),
        ack=_code(answer),
        action="repeated" if again else "processed",
        seconds=round(time.perf_counter() - began, 4),
    )
    return answer


def replay(records: Records, settings: Settings, message_id: int) -> bytes:
    """Process a message of the records again that failed, or was never finished; returns its acknowledgement.

    Raises
    ------
    StateError
        The message was processed already, or there is none with this id.
    """
    with records.read() as session:
        row = session.get(Message, message_id)
        if row is None:
            raise StateError("there is no such message")
        if row.state is MessageState.PROCESSED:
            raise StateError("the message was processed already")
        raw = row.raw
    return _process(records, settings, message_id, raw)


def recover(records: Records, settings: Settings) -> int:
    """Process what was kept and never finished, as after a crash; returns how many messages there were."""
    with records.read() as session:
        waiting = list(messages.unprocessed(session))
    for message_id in waiting:
        with records.read() as session:
            raw = session.get_one(Message, message_id).raw
        _process(records, settings, message_id, raw)
    return len(waiting)


def refuse_oversize(records: Records, settings: Settings, head: bytes, peer: str) -> bytes:
    """Answer a message that is longer than the limit. It is not kept: half a message is not to be replayed."""
    limit = settings.hl7.max_message_bytes
    text = f"A message from {peer} was longer than {limit} bytes and was refused"
    _line(records, "message.refused", text, None)
    return acks.refuse(peek(head), settings.hl7, acks.too_long(limit))


def note_garbage(records: Records, count: int, peer: str) -> None:
    """Say that bytes came which are no MLLP frame: often a sender that frames its messages wrongly."""
    _line(records, "message.garbage", f"{count} bytes from {peer} were outside of MLLP frames and were ignored", None)


def _keep(records: Records, header: Header, raw: bytes) -> tuple[int, bytes | None]:
    """Commit the message as it came; return its row and, if it was answered for good before, that answer."""
    with records.write() as session:
        row = messages.store(
            session, raw, sender=header.sender, control_id=header.control_id, type=_shown(header, unknown="")
        )
        if row.state is MessageState.RECEIVED and messages.reuses_control_id(session, row):
            text = "The sender used this message's control id before for other content; it is taken as a new message"
            timeline.add(session, "message.control_id", text, message=row.id, level="warning")
        return row.id, row.ack


def _process(records: Records, settings: Settings, row: int, raw: bytes) -> bytes:
    header = peek(raw)
    try:
        return _take_over(records, settings, row, raw)
    except Hl7InputError as exc:
        answer = acks.refuse(header, settings.hl7, exc)
        return _fail(records, settings, row, raw, str(exc), f"{exc.hl7_ack} {exc.error_code}", answer)
    except _TRANSIENT as exc:
        return _postpone(records, settings, row, raw, exc)
    except Exception as exc:
        if isinstance(exc, OverreadError) and exc.retryable:
            return _postpone(records, settings, row, raw, exc)
        logs.get("hl7").error("message.failed", message=row, message_type=_shown(header), error=exc)
        return _fail(records, settings, row, raw, f"internal error ({type(exc).__name__})", "AE 207", None)


def _take_over(records: Records, settings: Settings, row: int, raw: bytes) -> bytes:
    """Understand the message and put it into the records, all or nothing."""
    message = parse(raw, settings.hl7.charset)
    handler = _handler(message.header)
    try:
        return _commit(records, settings, row, message, handler)
    except IntegrityError:  # another process entered the same patient or order meanwhile: now it is there
        return _commit(records, settings, row, message, handler)


def _commit(records: Records, settings: Settings, row: int, message: Hl7Message, handler: Handler[Any]) -> bytes:
    with records.write() as session:
        kept = session.get_one(Message, row, with_for_update=True)
        if kept.state is MessageState.PROCESSED and kept.ack is not None:
            return kept.ack  # the same bytes on another connection were faster
        said = handler.take(Incoming(session, message, row, settings.hl7), handler.read(message))
        answer = acks.accept(message.header, settings.hl7)
        messages.processed(kept, answer, said)
        timeline.add(session, "message.processed", f"{message.header.type}: {said}", message=row)
        return answer


def _handler(header: Header) -> Handler[Any]:
    handler = HANDLERS.get(header.type)
    if handler is not None:
        return handler
    if any(known.startswith(f"{header.code}^") for known in HANDLERS):
        raise Hl7InputError("this event is not supported", error_code="201", location="MSH^1^9^1^2", ack="AR")
    raise Hl7InputError("this message type is not supported", error_code="200", location="MSH^1^9^1^1", ack="AR")


def _fail(
    records: Records, settings: Settings, row: int, raw: bytes, reason: str, code: str, answer: bytes | None
) -> bytes:
    """Record that a message cannot be used. Without ``answer`` the fault is ours, and a repetition is processed."""
    told = answer if answer is not None else acks.internal_error(raw, settings.hl7)
    try:
        with records.write() as session:
            kept = session.get_one(Message, row)
            messages.failed(kept, answer, reason)
            text = f"{_shown(peek(raw))} was refused ({code}): {reason}"
            timeline.add(session, "message.failed", text, message=row, level="error")
    except SQLAlchemyError as exc:
        return _postpone(records, settings, row, raw, exc)
    return told


def _postpone(records: Records, settings: Settings, row: int, raw: bytes, exc: Exception) -> bytes:
    """Leave the message as received: it is processed when it is sent again, replayed, or the node starts."""
    logs.get("hl7").warning("message.postponed", message=row, error=exc)
    text = f"{_shown(peek(raw))} could not be processed now (AE 207): {type(exc).__name__}"
    _line(records, "message.postponed", text, row)
    return acks.internal_error(raw, settings.hl7)


def _line(records: Records, kind: str, text: str, row: int | None) -> None:
    try:
        with records.write() as session:
            timeline.add(session, kind, text, message=row, level="warning")
    except (SQLAlchemyError, OSError) as exc:
        logs.get("hl7").error("timeline.not_written", kind=kind, error=exc)


def _shown(header: Header, unknown: str = "A message of unknown type") -> str:
    """Return MSH-9 if it looks like a message type: what else stands there may be anything."""
    return header.type if _TYPE.match(header.type) else unknown


def _code(answer: bytes) -> str:
    match = re.search(rb"\rMSA.([AC][AER])", answer)
    return match.group(1).decode() if match else ""
