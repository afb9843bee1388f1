"""What happens to a message that comes in: understood, kept, acknowledged, taken over.

:func:`understand` is pure and says whether a message can be used; the listener asks it before it answers. What the
message means for the records is done by :mod:`node.hl7.processing`, in order, and by :func:`handle` at once. Whatever
it is, the message is in the records and has one line on the timeline, from where it can be replayed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from node import logs
from node.errors import Hl7InputError
from node.hl7 import ack as acks
from node.hl7 import taking
from node.hl7.handlers import adt, merges, notes, orders, results, visits
from node.hl7.handlers.handler import Handler, Understood
from node.hl7.message import Header, parse, peek
from node.records import messages, timeline
from node.records.engine import Records
from node.records.messages import Entry
from node.records.schema import Message
from node.records.states import MessageState
from node.settings import Hl7Section, Settings

HANDLERS: Mapping[str, Handler[Any]] = {
    **dict.fromkeys((f"ADT^{event}" for event in (*visits.STATES, "A28", "A31")), Handler(adt.read, adt.take)),
    **dict.fromkeys(("ADT^A18", "ADT^A34", "ADT^A36", "ADT^A40"), Handler(merges.read, merges.take)),
    **dict.fromkeys(("ORM^O01", "OMG^O19", "OMI^O23"), Handler(orders.read, orders.take)),
    **dict.fromkeys((f"MDM^T{number:02}" for number in range(1, 12)), Handler(notes.read, notes.take)),
    "ORU^R01": Handler(results.read, results.take),
}
"""Message code and trigger event (MSH-9) to what reads and takes over such a message."""


def understand(raw: bytes, settings: Hl7Section) -> Understood:
    """Read a message and find what is to be done with it. Pure: no records, no files.

    Raises
    ------
    Hl7InputError
        It cannot be used; the error is the answer.
    """
    message = parse(raw, settings.charset, settings.charsets)
    handler = _handler(message.header)
    return Understood(message, handler, handler.read(message))


def _handler(header: Header) -> Handler[Any]:
    handler = HANDLERS.get(header.type)
    if handler is not None:
        return handler
    if any(known.startswith(f"{header.code}^") for known in HANDLERS):
        raise Hl7InputError("this event is not supported", error_code="201", location="MSH^1^9^1^2", ack="AR")
    raise Hl7InputError("this message type is not supported", error_code="200", location="MSH^1^9^1^1", ack="AR")


def judge(raw: bytes, settings: Hl7Section) -> Understood | Exception:
    """Return what :func:`understand` does, or the error that it raises; one that is no Hl7InputError is a bug."""
    try:
        return understand(raw, settings)
    except Exception as exc:
        return exc


def handle(records: Records, settings: Settings, raw: bytes, peer: str = "") -> bytes:
    """Keep, process and acknowledge one message; never raises.

    The same bytes from the same sender under the same control id get the answer that they got before, and nothing
    happens twice. What could not be processed for a passing reason (AE 207) is processed when it is sent again.
    """
    header = peek(raw)
    began = time.perf_counter()
    try:
        row, answer = _keep(records, header, raw, peer)
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
        message_type=taking.shown(header),
        ack=acks.code_of(answer),
        action="repeated" if again else "processed",
        seconds=round(time.perf_counter() - began, 4),
    )
    return answer


def _keep(records: Records, header: Header, raw: bytes, peer: str) -> tuple[int, bytes | None]:
    """Commit the message as it came; return its row and, if it was answered for good before, that answer."""
    entry = Entry(raw, header.sender, header.control_id, taking.shown(header, unknown=""), peer=peer)
    with records.write() as session:
        known = messages.known(session, entry)
        if known is not None and known.ack is not None:
            return known.id, known.ack
        return messages.store(session, entry).id, None


def _process(records: Records, settings: Settings, row: int, raw: bytes) -> bytes:
    judged = judge(raw, settings.hl7)
    try:
        with records.write() as session:
            kept = session.get_one(Message, row, with_for_update=True)
            if kept.state is MessageState.PROCESSED and kept.ack is not None:
                return kept.ack  # the same bytes on another connection were faster
            return taking.take(session, settings, kept, judged).answer
    except Exception as exc:
        return _postpone(records, settings, row, raw, exc)


def _postpone(records: Records, settings: Settings, row: int, raw: bytes, exc: Exception) -> bytes:
    """Leave the message as received: it is processed when it is sent again, replayed, or the node starts."""
    logs.get("hl7").warning("message.postponed", message=row, error=exc)
    text = f"{taking.shown(peek(raw))} could not be processed now (AE 207): {type(exc).__name__}"
    try:
        with records.write() as session:
            timeline.add(session, "message.postponed", text, message=row, level="warning")
    except (SQLAlchemyError, OSError) as fault:
        logs.get("hl7").error("timeline.not_written", kind="message.postponed", error=fault)
    return acks.internal_error(raw, settings.hl7)
