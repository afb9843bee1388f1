"""Waiting for what processing makes of a message, to give the application's answer.

The listener shares nothing with the process that takes messages over but two stores: a message that has left the inbox
is in the records, and its answer stands there once it was taken over or refused.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from node import logs
from node.hl7 import ack as acks
from node.hl7.ack import not_now
from node.hl7.inbox import Inbox
from node.hl7.message import Header
from node.records.engine import Records
from node.records.schema import Message
from node.records.states import MessageState
from node.settings import Hl7Section

POLL_SECONDS = 0.05
"""How often the stores are asked while something is awaited."""
FAULT_SECONDS = 1.0
"""Pause after a store could not be asked."""
MOST_AWAITED = 10_000
"""Answers that are awaited at once; beyond it the eldest are given up, as if they had not come in time."""
_TOGETHER = 500

Done = Callable[[bytes | None], None]
"""Called with the answer; with None if it did not come in time."""


@dataclass(frozen=True, slots=True, eq=False)
class Awaited:
    """An answer that a sender waits for.

    Parameters
    ----------
    number
        The message's number in the inbox.
    digest
        SHA-256 of the message, which finds it in the records.
    header
        What an answer of the node's own is addressed by, where processing failed without one.
    until
        When waiting ends, by the monotonic clock; None for never.
    done
        Called in the waiting thread.
    """

    number: int
    digest: str
    header: Header
    until: float | None
    done: Done


def digest(raw: bytes) -> str:
    """Return the digest by which a message is found."""
    return hashlib.sha256(raw).hexdigest()


class Awaiting:
    """Asks the stores for answers, in a thread that starts with the first one that is awaited."""

    def __init__(self, inbox: Path, database_url: str, settings: Hl7Section) -> None:
        self._path = inbox
        self._url = database_url
        self._settings = settings
        self._items: dict[Awaited, None] = {}
        self._changed = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._log = logs.get("hl7")

    def add(self, item: Awaited) -> None:
        """Wait for an answer."""
        dropped = None
        with self._changed:
            self._items[item] = None
            if len(self._items) > MOST_AWAITED:
                dropped = next(iter(self._items))
                self._items.pop(dropped)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="awaiting", daemon=True)
                self._thread.start()
            self._changed.notify()
        if dropped is not None:
            dropped.done(None)

    def forget(self, items: Iterable[Awaited]) -> None:
        """Wait no longer: there is nobody to tell."""
        with self._changed:
            for item in items:
                self._items.pop(item, None)

    def stop(self) -> None:
        """End; what is awaited is told to nobody."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        records = Records(self._url)
        inbox: Inbox | None = None
        while self._wait():
            try:
                inbox = inbox or Inbox(self._path)
                self._ask(inbox, records)
                pause = POLL_SECONDS
            except Exception as exc:
                self._log.warning("answers.not_known", error=exc)
                pause = FAULT_SECONDS
            self._expire()
            with self._changed:
                self._changed.wait_for(lambda: self._stopping, pause)
        if inbox is not None:
            inbox.close()
        records.close()

    def _wait(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._stopping)
            return not self._stopping

    def _ask(self, inbox: Inbox, records: Records) -> None:
        with self._changed:
            items = list(self._items)
        for start in range(0, len(items), _TOGETHER):
            some = items[start : start + _TOGETHER]
            left = inbox.among([item.number for item in some])
            moved = [item for item in some if item.number not in left]
            answers = _answers(records, {item.digest for item in moved})
            for item in moved:
                if item.digest in answers:
                    self._finish(item, answers[item.digest] or acks.refuse(item.header, self._settings, not_now()))

    def _expire(self) -> None:
        now = time.monotonic()
        with self._changed:
            late = [item for item in self._items if item.until is not None and item.until <= now]
        for item in late:
            self._finish(item, None)

    def _finish(self, item: Awaited, answer: bytes | None) -> None:
        with self._changed:
            if item not in self._items:
                return
            self._items.pop(item)
        item.done(answer)


def _answers(records: Records, digests: set[str]) -> Mapping[str, bytes | None]:
    """Return the answers to messages that are done with; None where it is one that a repetition may change."""
    if not digests:
        return {}
    query = select(Message.digest, Message.ack).where(
        Message.digest.in_(digests), Message.state != MessageState.RECEIVED
    )
    with records.read() as session:
        return {row.digest: row.ack for row in session.execute(query)}
