"""Opening the record store: engine, sessions, migrations.

SQLite runs in WAL mode with ``synchronous=FULL``: a committed transaction survives a power cut, which is what an HL7
acknowledgement promises. Every write transaction begins IMMEDIATE, so that two writers wait for each other instead of
failing. On PostgreSQL they wait for one lock, to the same end: a writer sees all that the writers before it committed,
and rows get their numbers in the order of the commits, which cursors over the timeline rely on.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.orm import Session, sessionmaker

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_SECONDS = 30.0
WRITE_LOCK = 0x0FE44EAE
"""PostgreSQL advisory lock of the one that writes."""


class Records:
    """The record store of one process; safe to share between its threads.

    Parameters
    ----------
    busy_seconds
        How long a writer waits for another one before it gives up.
    """

    def __init__(self, url: str, busy_seconds: float = BUSY_SECONDS) -> None:
        self.url = url
        self.engine = _engine(url, busy_seconds)
        self._busy_seconds = busy_seconds
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open a session whose transaction may write; commits at the end, rolls back on an error."""
        with self._sessions(info={"write": True}) as session, session.begin():
            connection = session.connection(execution_options={"overread_write": True})
            if connection.dialect.name == "postgresql":
                _wait_for_writers(connection, self._busy_seconds)
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a session that only reads."""
        with self._sessions() as session:
            yield session

    def migrate(self) -> None:
        """Bring the schema to the newest version; several processes may call it at once."""
        from alembic import command  # not every process migrates: what does not, saves its 10 MB
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["engine"] = self.engine
        with _alone(self.url):
            command.upgrade(config, "head")

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()


@contextmanager
def _alone(url: str) -> Iterator[None]:
    """Keep other processes from migrating the same SQLite file meanwhile: SQLite's own locks hold only from WAL on."""
    path = _file(url)
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{path}.migrating").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _file(url: str) -> Path | None:
    """Return the file of a SQLite URL, None for another database or one in memory."""
    path = url.removeprefix("sqlite:///")
    return None if path in (url, "", ":memory:") else Path(path)


def _engine(url: str, busy_seconds: float) -> Engine:
    """Make an engine whose errors name a statement and never its values, which are a patient's."""
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True, hide_parameters=True, isolation_level="READ COMMITTED")
    if (path := _file(url)) is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url, connect_args={"timeout": busy_seconds, "check_same_thread": False}, hide_parameters=True
    )
    event.listen(engine, "connect", _sqlite_connect)
    event.listen(engine, "begin", _sqlite_begin)
    return engine


def _sqlite_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun by _sqlite_begin, not by the driver's guesses
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _sqlite_begin(connection: Connection) -> None:
    write = connection.get_execution_options().get("overread_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _wait_for_writers(connection: Connection, seconds: float) -> None:
    """Wait, in PostgreSQL, until no other transaction writes."""
    connection.execute(text("SELECT set_config('lock_timeout', :most, true)"), {"most": f"{int(seconds * 1000)}ms"})
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITE_LOCK})
