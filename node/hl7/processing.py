"""From the inbox into the records: messages are entered, and taken over strictly in the order in which they came.

One :class:`Processor` works at a time, so what concerns one patient is in order, too. A message that cannot be used, or
that the node stumbles over, is marked as failed, visible, and can be replayed; one that fails for a passing reason
stops the round, and nothing overtakes it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from node import logs
from node.errors import StateError
from node.hl7 import inbound, taking
from node.hl7.handlers.handler import Understood
from node.hl7.inbox import FILE, Arrival, Inbox
from node.hl7.message import peek
from node.records import messages, timeline
from node.records.engine import Records
from node.records.messages import Entry
from node.records.schema import Message
from node.records.states import MessageState
from node.settings import Settings

BATCH = 200
"""Most messages of one transaction."""
BATCH_BYTES = 64 << 20
"""Messages of one transaction beyond which no further one is read: they are held in memory."""
TURN_SECONDS = 0.1
"""How long one transaction takes messages over before others may write."""
PAUSE_SECONDS = 0.02
"""Between two transactions of a backlog: SQLite's writers poll for the lock, and would never find it free."""
TRIES_MAX = 20
"""How often a message may fail for a reason that looks like a passing one, while the records can be written."""

_Judged = tuple[int, Understood | Exception]


class Processor:
    """Brings what the listener kept into the records; :meth:`work` is called again and again, by one thread."""

    def __init__(self, records: Records, settings: Settings) -> None:
        self._records = records
        self._settings = settings
        self._inbox: Inbox | None = None
        self._judged: list[_Judged] = []
        self._stumbles = _Stumbles()
        self._log = logs.get("hl7")

    def work(self) -> int:
        """Enter the messages that came and take over those that wait; returns how many messages it moved.

        Raises
        ------
        SQLAlchemyError, sqlite3.Error
            The records or the inbox cannot be used now; nothing is lost, and the next call goes on.
        """
        moved = self._enter() + self._take()
        if self._judged:
            time.sleep(PAUSE_SECONDS)
        return moved

    def close(self) -> None:
        """Close the inbox."""
        if self._inbox is not None:
            self._inbox.close()
            self._inbox = None

    def _enter(self) -> int:
        """Commit what the inbox has to the records, then forget it there; interrupted between, it comes twice."""
        if self._inbox is None:
            self._inbox = Inbox(self._settings.node.root / FILE)
        arrivals = self._inbox.waiting(BATCH, BATCH_BYTES)
        if arrivals:
            with self._records.write() as session:
                messages.enter(session, [_entry(arrival) for _, arrival in arrivals])
            self._inbox.forget([number for number, _ in arrivals])
        return len(arrivals)

    def _take(self) -> int:
        self._judged = self._judged or self._judge()
        if not self._judged:
            return 0
        judged, self._judged = self._judged, []
        try:
            done = self._together(judged)
        except Exception as exc:
            self._log.warning("messages.again", count=len(judged), error=exc)
            return self._singly(judged)
        self._judged = judged[done:]  # which the turn had no time for
        return done

    def _judge(self) -> list[_Judged]:
        """Read the messages that wait, outside of any transaction."""
        with self._records.read() as session:
            numbers: list[int] = []
            total = 0
            for number, length in messages.unprocessed(session, BATCH):
                numbers.append(number)
                total += length
                if total >= BATCH_BYTES:
                    break
            query = select(Message.id, Message.raw).where(Message.id.in_(numbers)).order_by(Message.id)
            rows = session.execute(query).all() if numbers else []
        return [(number, inbound.judge(raw, self._settings.hl7)) for number, raw in rows]

    def _together(self, judged: Sequence[_Judged]) -> int:
        """Take messages over in one transaction, as many as the turn allows."""
        ends = time.monotonic() + TURN_SECONDS
        count = 0
        with self._records.write() as session:
            query = select(Message).where(Message.id.in_([number for number, _ in judged])).with_for_update()
            rows = {row.id: row for row in session.scalars(query)}
            for number, found in judged:
                row = rows.get(number)
                if row is not None and row.state is MessageState.RECEIVED:
                    taking.take(session, self._settings, row, found)
                count += 1
                if time.monotonic() >= ends:
                    break
        return count

    def _singly(self, judged: Sequence[_Judged]) -> int:
        """Take messages over one by one, up to the one that fails."""
        for count, one in enumerate(judged):
            try:
                self._together([one])
            except Exception as exc:
                self._stumble(one[0], exc)
                return count
        return len(judged)

    def _stumble(self, number: int, exc: Exception) -> None:
        """Leave a message for the next round, or give it up."""
        tries = self._stumbles.count(number)
        with self._records.write() as session:
            row = session.get_one(Message, number)
            if tries >= TRIES_MAX or not taking.transient(exc):
                reason = f"internal error ({type(exc).__name__}, tried {tries} times)"
                taking.give_up(session, self._settings, row, reason, exc)
            elif tries == 1:
                text = (
                    f"{row.type or 'A message'} could not be taken over now ({type(exc).__name__}); it is tried again"
                )
                timeline.add(session, "message.postponed", text, message=number, level="warning")


@dataclass(slots=True)
class _Stumbles:
    """How often the message at the head of the queue failed."""

    message: int = 0
    tries: int = 0

    def count(self, message: int) -> int:
        self.tries = self.tries + 1 if message == self.message else 1
        self.message = message
        return self.tries


def _entry(arrival: Arrival) -> Entry:
    header = peek(arrival.raw)
    return Entry(
        raw=arrival.raw,
        sender=header.sender,
        control_id=header.control_id,
        type=taking.shown(header, unknown=""),
        received_at=arrival.received_at,
        peer=arrival.peer,
        told=arrival.told,
        reason=arrival.reason,
        ack=arrival.ack,
    )


def replay(records: Records, settings: Settings, message_id: int, *, rehearse: bool = False) -> taking.Taken:
    """Take over a message of the records that failed, or waits; with ``rehearse`` nothing of it stays.

    What was stated later than the message stays as it is.

    Raises
    ------
    StateError
        The message was processed already, or there is none with this id.
    """
    with records.read() as session:
        row = session.get(Message, message_id)
        if row is None:
            raise StateError(f"there is no message {message_id}")
        if row.state is MessageState.PROCESSED:
            raise StateError(f"message {message_id} was processed already")
        raw = row.raw
    judged = inbound.judge(raw, settings.hl7)
    with records.write() as session:
        row = session.get_one(Message, message_id, with_for_update=True)
        if row.state is MessageState.PROCESSED:
            raise StateError(f"message {message_id} was processed already")
        savepoint = session.begin_nested()
        taken = taking.take(session, settings, row, judged)
        if rehearse:
            savepoint.rollback()
        return taken
