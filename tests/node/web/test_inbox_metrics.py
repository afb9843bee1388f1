"""How many HL7 messages wait for the records, and for how long."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from prometheus_client import generate_latest

from node.clock import now
from node.hl7.inbox import FILE, Arrival, Inbox
from node.records.engine import Records
from node.web.metrics import registry


def test_messages_that_wait_for_the_records_are_counted_with_the_age_of_the_eldest(
    tmp_path: Path, records: Records
) -> None:
    inbox = Inbox(tmp_path / FILE)
    inbox.keep(Arrival(b"MSH", now() - dt.timedelta(seconds=age)) for age in (60, 5))
    found = registry(records, (), tmp_path / FILE)
    assert b"\noverread_hl7_waiting 2.0\n" in generate_latest(found)
    age = found.get_sample_value("overread_hl7_oldest_waiting_seconds")
    assert age is not None
    assert 60 <= age < 90
    inbox.forget([1, 2])
    inbox.close()
    assert found.get_sample_value("overread_hl7_waiting") == 0
    assert found.get_sample_value("overread_hl7_oldest_waiting_seconds") == 0


def test_a_node_without_an_inbox_gets_none_by_being_asked(tmp_path: Path, records: Records) -> None:
    assert registry(records, (), tmp_path / FILE).get_sample_value("overread_hl7_waiting") is None
    assert not (tmp_path / FILE).exists()
