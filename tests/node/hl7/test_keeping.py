"""The thread that makes messages durable, and the one that waits for answers."""

from __future__ import annotations

import datetime as dt
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import update

from node.hl7 import awaiting as awaiting_module
from node.hl7 import keeping
from node.hl7.awaiting import Awaited, Awaiting, digest
from node.hl7.inbox import FILE, Arrival, Inbox
from node.hl7.keeping import Keeper, Told
from node.hl7.message import Header
from node.records.engine import Records
from node.records.schema import Message
from node.records.states import MessageState
from node.settings import Hl7Section
from tests.peers import eventually

SECTION = Hl7Section()


def arrival(raw: bytes = b"MSH") -> Arrival:
    return Arrival(raw, dt.datetime.now(dt.UTC))


def tell(batch: Sequence[tuple[Told, int | None]]) -> None:
    for told, number in batch:
        told(number)


def test_messages_get_ascending_numbers_in_the_order_in_which_they_were_handed_in(tmp_path: Path) -> None:
    numbers: list[int | None] = []
    keeper = Keeper(tmp_path / FILE, tell)
    keeper.start()
    for n in range(1000):
        keeper.keep(arrival(str(n).encode()), numbers.append)
    keeper.stop()
    assert numbers == list(range(1, 1001))
    inbox = Inbox(tmp_path / FILE)
    assert [item.raw for _, item in inbox.waiting(2000)] == [str(n).encode() for n in range(1000)]
    inbox.close()


def test_a_transaction_is_bounded_in_messages_and_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "MOST_TOGETHER", 10)
    monkeypatch.setattr(keeping, "BYTES_TOGETHER", 500)
    sizes: list[tuple[int, int]] = []
    keep = Inbox.keep

    def counted(self: Inbox, arrivals: Sequence[Arrival]) -> list[int]:
        sizes.append((len(arrivals), sum(len(item.raw) for item in arrivals)))
        return keep(self, arrivals)

    monkeypatch.setattr(Inbox, "keep", counted)
    numbers: list[int | None] = []
    keeper = Keeper(tmp_path / FILE, tell)
    for n in range(50):
        keeper.keep(arrival(b"x" * (200 if n < 10 else 1)), numbers.append)
    keeper.start()
    keeper.stop()
    assert len(numbers) == 50
    assert max(count for count, _ in sizes) == 10
    assert max(size for _, size in sizes) == 600


def test_after_an_error_the_inbox_is_opened_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = [True]
    keep = Inbox.keep

    def keeps(self: Inbox, arrivals: Sequence[Arrival]) -> list[int]:
        if broken[0]:
            raise sqlite3.DatabaseError("disk I/O error")
        return keep(self, arrivals)

    monkeypatch.setattr(Inbox, "keep", keeps)
    numbers: list[int | None] = []
    keeper = Keeper(tmp_path / FILE, tell)
    keeper.start()
    keeper.keep(arrival(), numbers.append)
    eventually("it is told", lambda: numbers == [None], pause=0.01)
    broken[0] = False
    keeper.keep(arrival(), numbers.append)
    keeper.stop()
    assert numbers == [None, 1]


def test_an_inbox_on_which_another_process_writes_is_waited_for(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None, check_same_thread=False)
    numbers: list[int | None] = []
    keeper = Keeper(tmp_path / FILE, tell)
    keeper.start()
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(0.3, lambda: other.execute("COMMIT")).start()
    keeper.keep(arrival(), numbers.append)
    keeper.stop()
    other.close()
    assert numbers == [1]


def awaited(number: int, raw: bytes, said: list[bytes | None]) -> Awaited:
    return Awaited(number, digest(raw), Header(control_id="1"), None, said.append)


def test_an_answer_of_the_records_counts_only_once_the_message_has_left_the_inbox(
    tmp_path: Path, records: Records
) -> None:
    inbox = Inbox(tmp_path / FILE)
    (number,) = inbox.keep([arrival(b"again")])
    with records.write() as session:
        session.add(Message(raw=b"again", digest=digest(b"again"), state=MessageState.FAILED, ack=None))
    said: list[bytes | None] = []
    waiting = Awaiting(tmp_path / FILE, records.url, SECTION)
    waiting.add(awaited(number, b"again", said))
    with pytest.raises(AssertionError):
        eventually("it is told too early", lambda: said, timeout=0.3)
    with records.write() as session:
        session.execute(update(Message).values(state=MessageState.PROCESSED, ack=b"MSH|^~\\&|\rMSA|AA|1\r"))
    inbox.forget([number])
    inbox.close()
    eventually("it is told", lambda: said == [b"MSH|^~\\&|\rMSA|AA|1\r"], pause=0.02)
    waiting.stop()


def test_where_processing_failed_without_an_answer_the_sender_is_told_to_try_again(
    tmp_path: Path, records: Records
) -> None:
    with records.write() as session:
        session.add(Message(raw=b"bug", digest=digest(b"bug"), state=MessageState.FAILED, ack=None))
    said: list[bytes | None] = []
    waiting = Awaiting(tmp_path / FILE, records.url, SECTION)
    waiting.add(awaited(1, b"bug", said))
    eventually("it is told", lambda: said, pause=0.02)
    waiting.stop()
    assert said[0] is not None
    assert b"MSA|AE|1|" in said[0]
    assert b"207^" in said[0]


def test_of_too_many_that_wait_the_eldest_are_given_up(
    tmp_path: Path, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(awaiting_module, "MOST_AWAITED", 2)
    said: list[list[bytes | None]] = [[], [], []]
    waiting = Awaiting(tmp_path / FILE, records.url, SECTION)
    for number, each in enumerate(said):
        waiting.add(awaited(number + 1, b"%d" % number, each))
    waiting.stop()
    assert said == [[None], [], []]
