"""Messages as they came."""

from __future__ import annotations

import pytest

from node.errors import StateError
from node.records import messages
from node.records.engine import Records
from node.records.states import MessageState


def test_the_same_bytes_of_the_same_sender_are_one_message(records: Records) -> None:
    with records.write() as session:
        first = messages.store(session, b"x", sender="A", control_id="1", type="ADT^A01")
        assert messages.store(session, b"x", sender="A", control_id="1") is first
        assert messages.store(session, b"y", sender="A", control_id="1") is not first
        assert messages.store(session, b"x", sender="B", control_id="1") is not first


def test_a_control_id_that_was_used_for_other_bytes_is_seen(records: Records) -> None:
    with records.write() as session:
        first = messages.store(session, b"x", sender="A", control_id="1")
        second = messages.store(session, b"y", sender="A", control_id="1")
        nameless = [messages.store(session, raw, sender="A") for raw in (b"p", b"q")]
        assert not messages.reuses_control_id(session, first)
        assert messages.reuses_control_id(session, second)
        assert not any(messages.reuses_control_id(session, row) for row in nameless)


def test_values_without_end_are_cut_to_their_columns(records: Records) -> None:
    with records.write() as session:
        row = messages.store(session, b"x", sender="s" * 9000, control_id="c\x00" * 9000, type="t" * 99)
        assert (len(row.sender), len(row.control_id), len(row.type)) == (500, 250, 20)
        assert messages.store(session, b"x", sender="s" * 9000, control_id="c\x00" * 9000) is row


def test_a_processed_message_is_final_and_a_failed_one_is_not(records: Records) -> None:
    with records.write() as session:
        row = messages.store(session, b"x")
        assert list(messages.unprocessed(session)) == [row.id]
        messages.failed(row, b"AE", "why")
        assert (row.state, row.reason, row.ack) == (MessageState.FAILED, "why", b"AE")
        messages.failed(row, None, "why again")
        messages.processed(row, b"AA")
        assert (row.state, row.reason, row.ack) == (MessageState.PROCESSED, "", b"AA")
        assert list(messages.unprocessed(session)) == []
        with pytest.raises(StateError):
            messages.failed(row, b"AE", "late")
