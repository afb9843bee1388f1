"""The record store on a real PostgreSQL server."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, select
from sqlalchemy.exc import OperationalError

from node.hl7 import ack as acks
from node.hl7 import inbound
from node.hl7.taking import transient
from node.records import timeline
from node.records.engine import Records
from node.records.schema import Base, Event, Message, Patient
from node.settings import NodeSection, Settings


@pytest.fixture(scope="module")
def database(postgresql: str) -> Iterator[str]:
    """Give the URL of a database of its own, empty."""
    server = postgresql
    name = f"overread_{uuid.uuid4().hex}"
    admin = create_engine(f"{server}/postgres", isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield f"{server}/{name}"
    with admin.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    admin.dispose()


@pytest.fixture
def store(database: str) -> Iterator[Records]:
    """Give a record store on it."""
    store = Records(database)
    store.migrate()
    yield store
    store.close()


def _at_once(count: int, work: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_the_migrations_make_exactly_the_tables_of_the_schema_there_too(store: Records) -> None:
    with store.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_a_writer_sees_what_the_writers_before_it_committed(store: Records) -> None:
    with store.write() as session:
        first = timeline.add(session, "count", "-")
        session.flush()
        start = first.id

    def write(number: int) -> None:
        for _ in range(10):
            with store.write() as session:
                before = timeline.last_id(session)
                timeline.add(session, "count", f"{number} after {before}")

    _at_once(4, write)
    with store.read() as session:
        lines = session.scalars(select(Event).where(Event.id > start).order_by(Event.id)).all()
    assert [int(line.text.rsplit(" ", 1)[1]) for line in lines] == list(range(start, start + 40))


def test_a_writer_that_waits_too_long_is_told_so_and_may_try_again(database: str, store: Records) -> None:
    hasty = Records(database, busy_seconds=0.05)
    with store.write(), pytest.raises(OperationalError) as caught, hasty.write():
        pass
    assert transient(caught.value)
    hasty.close()


def test_a_message_that_comes_on_many_connections_is_one_there_too(store: Records, tmp_path: Path) -> None:
    settings = Settings(node=NodeSection(root=tmp_path))
    raw = b"MSH|^~\\&|RIS|H|O||20260101120000||ADT^A01|C1|P|2.5.1\rPID|1||77^^^H||Doe^Jane||19500101|F\r"
    answers: list[bytes] = []
    _at_once(6, lambda _: answers.append(inbound.handle(store, settings, raw, "192.0.2.1")))
    assert len(set(answers)) == 1
    assert acks.read(answers[0]).code == "AA"
    with store.read() as session:
        assert len(session.scalars(select(Message)).all()) == 1
        assert len(session.scalars(select(Patient).where(Patient.patient_id == "77")).all()) == 1
