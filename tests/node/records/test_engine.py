from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select, text

from node.records import timeline
from node.records.engine import Records
from node.records.schema import Base, Event


def test_the_migrations_make_exactly_the_tables_of_the_schema(records: Records) -> None:
    with records.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_several_processes_may_migrate_at_once(tmp_path: Path) -> None:
    code = "import sys; from node.records.engine import Records; Records(sys.argv[1]).migrate()"
    command = [sys.executable, "-c", code, f"sqlite:///{tmp_path / 'a.sqlite'}"]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], said


def test_a_commit_survives_a_power_cut(tmp_path: Path) -> None:
    records = Records(f"sqlite:///{tmp_path / 'records.sqlite'}")
    with records.engine.connect() as connection:
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2  # FULL
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
    records.close()


def test_an_error_rolls_everything_back(records: Records) -> None:
    def fail() -> None:
        with records.write() as session:
            timeline.add(session, "x", "never kept")
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with records.read() as session:
        assert session.scalars(select(Event)).all() == []


def test_writers_wait_for_each_other_instead_of_failing(records: Records) -> None:
    def write(number: int) -> None:
        for _ in range(20):
            with records.write() as session:
                before = timeline.last_id(session)
                timeline.add(session, "x", f"{number} after {before}")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with records.read() as session:
        lines = session.scalars(select(Event).order_by(Event.id)).all()
    assert len(lines) == 80
    assert [line.text.rsplit(" ", 1)[1] for line in lines] == [str(number) for number in range(80)]


def test_the_cursor_gives_what_came_after_it(records: Records) -> None:
    with records.write() as session:
        timeline.add(session, "a", "first")
    with records.read() as session:
        cursor = timeline.last_id(session)
    with records.write() as session:
        timeline.add(session, "b", "second")
    with records.read() as session:
        assert [line.text for line in timeline.since(session, cursor)] == ["second"]
        assert [line.text for line in timeline.of_node(session)] == ["second", "first"]
