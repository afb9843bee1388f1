"""Older records keep what they knew of deliveries when the ledger comes."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text

from node.records.engine import MIGRATIONS, Records
from node.records.schema import Delivery
from node.records.states import DeliveryState
from tests import factories

STATES = ("queued", "sending", "delivered", "retrying", "failed")


@pytest.fixture
def older(records: Records, tmp_path: Path) -> Records:
    """Give records as they were before, with a delivery in each state."""
    with records.write() as session:
        job = factories.job(session, factories.study(session))
        for number, _ in enumerate(STATES):
            factories.result(session, job, tmp_path, f"1.{number}", ["pacs"])
    migrate(records, "0003", down=True)
    with records.engine.begin() as connection:
        for number, state in enumerate(STATES, 1):
            at = "2026-01-02 03:04:05.000000" if state == "delivered" else None
            values = {"state": state, "at": at, "id": number}
            connection.execute(text("UPDATE deliveries SET state = :state, delivered_at = :at WHERE id = :id"), values)
    return records


def migrate(records: Records, revision: str, *, down: bool = False) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["engine"] = records.engine
    (command.downgrade if down else command.upgrade)(config, revision)


def test_what_was_delivered_is_accepted_and_all_else_stays(older: Records) -> None:
    older.migrate()
    with older.read() as session:
        rows = [session.get_one(Delivery, number) for number in range(1, 6)]
    assert [row.state.value for row in rows] == ["queued", "sending", "accepted", "retrying", "failed"]
    assert rows[2].accepted_at is not None
    assert rows[2].accepted_at.isoformat() == "2026-01-02T03:04:05+00:00"
    assert {(row.commit_at, row.commit_asked, row.committed_at) for row in rows} == {(None, 0, None)}


def test_what_was_committed_is_delivered_again_when_the_ledger_goes(older: Records) -> None:
    older.migrate()
    with older.write() as session:
        session.get_one(Delivery, 3).state = DeliveryState.COMMITTED
    migrate(older, "0003", down=True)
    with older.engine.begin() as connection:
        assert connection.execute(text("SELECT state FROM deliveries WHERE id = 3")).scalar() == "delivered"


def test_deliveries_outlive_results_without_profiles(older: Records) -> None:
    migrate(older, "0002", down=True)
    older.migrate()
    with older.engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM deliveries")).scalar() == len(STATES)
        assert connection.execute(text("SELECT profile FROM results")).scalars().all() == [""] * len(STATES)
        assert connection.execute(text("SELECT count(*) FROM deliveries WHERE state = 'accepted'")).scalar() == 1
