"""Empty record stores: copies of one that is migrated once in a process, as a migration takes 0.2 s and more.

They leave out what a power cut needs, the wait for the disk at each commit, which takes half of a commit's time.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import event

from node.records.engine import Records


@cache
def _migrated() -> bytes:
    """Give the content of a SQLite file with the newest schema and no row."""
    with tempfile.TemporaryDirectory(prefix="overread-") as folder:
        path = Path(folder) / "migrated.sqlite"
        store = Records(f"sqlite:///{path}")
        store.migrate()
        with store.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        store.close()
        return path.read_bytes()


def _unforced(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA synchronous=OFF")


def fill(records: Records) -> Records:
    """Give a SQLite store the newest schema, unless its file is there already; returns it."""
    path = Path(str(records.engine.url.database))
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_bytes(_migrated())
    event.listen(records.engine, "connect", _unforced)
    return records


def empty(path: Path) -> Records:
    """Give a record store, without a row where the file is new."""
    return fill(Records(f"sqlite:///{path}"))
