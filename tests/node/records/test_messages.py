"""Messages as they came."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import select

from node.errors import StateError
from node.records import messages
from node.records.engine import Records
from node.records.messages import Entry
from node.records.schema import Event
from node.records.states import MessageState


def test_the_same_bytes_of_the_same_sender_are_one_message(records: Records) -> None:
    with records.write() as session:
        first = messages.store(session, Entry(b"x", "A", "1", "ADT^A01"))
        assert messages.store(session, Entry(b"x", "A", "1")) is first
        assert messages.store(session, Entry(b"y", "A", "1")) is not first
        assert messages.store(session, Entry(b"x", "B", "1")) is not first
        assert messages.known(session, Entry(b"x", "A", "1")) is first
        assert messages.known(session, Entry(b"z", "A", "1")) is None


def test_messages_of_one_batch_keep_their_order_and_are_one_where_they_are_the_same(records: Records) -> None:
    with records.write() as session:
        rows = messages.enter(session, [Entry(raw, "A", raw.decode()) for raw in (b"c", b"a", b"c", b"b")])
        assert rows[0] is rows[2]
        assert [row.raw for row in sorted(set(rows), key=lambda row: row.id)] == [b"c", b"a", b"b"]


def test_a_control_id_that_was_used_for_other_bytes_is_on_the_timeline(records: Records) -> None:
    with records.write() as session:
        messages.store(session, Entry(b"x", "A", "1"))
        second, _, third = messages.enter(session, [Entry(b"y", "A", "1"), Entry(b"p", "A"), Entry(b"y2", "A", "1")])
        messages.enter(session, [Entry(b"q", "A"), Entry(b"x", "B", "1"), Entry(b"y", "A", "1")])
        lines = session.scalars(select(Event).where(Event.kind == "message.control_id")).all()
        assert [line.message_fk for line in lines] == [second.id, third.id]


def test_a_message_that_was_refused_on_arrival_is_kept_with_its_reason(records: Records) -> None:
    at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    with records.write() as session:
        entry = Entry(b"x", "A", "1", "ADT^A99", at, "192.0.2.1", "AR 201", "this event is not supported", b"ack")
        row = messages.store(session, entry)
        assert (row.state, row.reason, row.ack, row.told) == (
            MessageState.FAILED,
            "this event is not supported",
            b"ack",
            "AR 201",
        )
        assert (row.peer, row.received_at) == ("192.0.2.1", at)
        (line,) = session.scalars(select(Event))
        assert (line.kind, line.level, line.text) == (
            "message.failed",
            "error",
            "ADT^A99 was refused (AR 201): this event is not supported",
        )
        messages.store(session, entry)
        assert row.state is MessageState.FAILED
        assert len(session.scalars(select(Event)).all()) == 1


def test_a_failed_message_whose_repetition_was_accepted_is_to_be_taken_over(records: Records) -> None:
    with records.write() as session:
        row = messages.store(session, Entry(b"x", "A", "1", reason="wrong character set", ack=b"AE"))
        assert messages.store(session, Entry(b"x", "A", "1", told="AA")) is row
        assert (row.state, row.reason, row.ack) == (MessageState.RECEIVED, "", None)


def test_values_without_end_are_cut_to_their_columns(records: Records) -> None:
    with records.write() as session:
        entry = Entry(b"x", "s" * 9000, "c\x00" * 9000, "t" * 99, peer="p" * 99, told="t" * 99)
        row = messages.store(session, entry)
        assert [len(text) for text in (row.sender, row.control_id, row.type, row.peer, row.told)] == [
            500,
            250,
            20,
            64,
            20,
        ]
        assert messages.store(session, entry) is row


def test_a_processed_message_is_final_and_a_failed_one_is_not(records: Records) -> None:
    with records.write() as session:
        row = messages.store(session, Entry(b"xyz"))
        assert list(messages.unprocessed(session)) == [(row.id, 3)]
        messages.failed(row, b"AE", "why")
        assert (row.state, row.reason, row.ack) == (MessageState.FAILED, "why", b"AE")
        assert list(messages.failed_since(session)) == [row.id]
        assert list(messages.failed_since(session, row.received_at + dt.timedelta(seconds=1))) == []
        messages.failed(row, None, "why again")
        messages.processed(row, b"AA")
        assert (row.state, row.reason, row.ack) == (MessageState.PROCESSED, "", b"AA")
        assert list(messages.unprocessed(session)) == []
        with pytest.raises(StateError):
            messages.failed(row, b"AE", "late")
