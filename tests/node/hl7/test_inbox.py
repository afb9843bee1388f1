"""The inbox: all of a batch or none, and nothing that goes wrong once stands in the way of the next."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.hl7.inbox import Arrival, Inbox

AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    """Give an inbox."""
    box = Inbox(tmp_path / "inbox.sqlite")
    yield box
    box.close()


def run(path: Path, statement: str) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute(statement)
    other.close()


def test_of_a_batch_that_does_not_fit_on_the_disk_nothing_is_kept_and_the_error_says_why(inbox: Inbox) -> None:
    inbox.keep([Arrival(b"first", AT)])
    inbox._db.execute("PRAGMA max_page_count = 8")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        inbox.keep([Arrival(b"x" * 9000, AT) for _ in range(9)])
    assert [arrival.raw for _, arrival in inbox.waiting(10)] == [b"first"]
    inbox._db.execute("PRAGMA max_page_count = 1000")
    inbox.keep([Arrival(b"second", AT)])
    assert inbox.count() == 2


def test_a_deletion_that_failed_leaves_no_transaction_open(inbox: Inbox, tmp_path: Path) -> None:
    numbers = inbox.keep([Arrival(b"1", AT), Arrival(b"2", AT)])
    run(
        tmp_path / "inbox.sqlite",
        "CREATE TRIGGER broken BEFORE DELETE ON arrivals WHEN OLD.raw = x'32' BEGIN SELECT RAISE(FAIL, 'no'); END",
    )
    with pytest.raises(sqlite3.Error, match="no"):
        inbox.forget(numbers)
    assert inbox.count() == 2  # all or none
    run(tmp_path / "inbox.sqlite", "DROP TRIGGER broken")
    inbox.forget(numbers)
    assert inbox.count() == 0
