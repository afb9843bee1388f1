"""What the pages ask of HL7 messages: lists without content, and how long taking over takes."""

from __future__ import annotations

import datetime as dt

from node.records import message_views, timeline
from node.records.engine import Records
from node.records.schema import Message, now
from node.records.states import MessageState


def keep(records: Records, state: MessageState, seconds: float | None, ended: str = "message.processed") -> int:
    """Enter a message that was taken over some seconds after it came."""
    with records.write() as session:
        row = Message(digest="d", raw=b"MSH" * 10, state=state, received_at=now() - dt.timedelta(minutes=5))
        session.add(row)
        session.flush()
        if seconds is not None:
            at = row.received_at + dt.timedelta(seconds=seconds)
            timeline.add(session, ended, "x", message=row.id, at=at)
            timeline.add(session, "message.processed", "again", message=row.id, at=at + dt.timedelta(minutes=1))
        return row.id


def test_the_delay_is_from_arrival_to_the_first_end(records: Records) -> None:
    for seconds, ended in ((1.0, "message.processed"), (3.0, "message.failed"), (10.0, "message.processed")):
        keep(records, MessageState.PROCESSED, seconds, ended)
    keep(records, MessageState.RECEIVED, None)
    with records.read() as session:
        found = message_views.delays(session)
    assert (found.count, round(found.median, 3), round(found.longest, 3)) == (3, 3.0, 10.0)


def test_a_node_without_messages_has_no_delay(records: Records) -> None:
    with records.read() as session:
        assert message_views.delays(session) == message_views.Delays()


def test_the_list_has_no_content_and_says_where_it_goes_on(records: Records) -> None:
    numbers = [keep(records, MessageState.PROCESSED, None) for _ in range(message_views.PAGE + 1)]
    with records.read() as session:
        first = message_views.listed(session)
        assert [row.id for row in first.rows] == numbers[:0:-1]
        assert first.older == numbers[1]
        rest = message_views.listed(session, before=first.older)
    assert [row.id for row in rest.rows] == numbers[:1]
    assert rest.older is None
    assert rest.rows[0].size == 30
    assert not hasattr(rest.rows[0], "raw")


def test_only_what_was_not_processed_can_be_taken_over_again(records: Records) -> None:
    numbers = {state: keep(records, state, None) for state in MessageState}
    with records.read() as session:
        views = {state: message_views.message(session, number) for state, number in numbers.items()}
        assert message_views.message(session, 999) is None
    assert {state: view is not None and view.replayable for state, view in views.items()} == {
        MessageState.RECEIVED: True,
        MessageState.FAILED: True,
        MessageState.PROCESSED: False,
    }
