"""Messages that were kept and not yet taken over into the records: a SQLite file of its own.

The listener writes here and nowhere else, so that a message is durable, and answered, whatever the record store does at
that moment. :mod:`node.hl7.processing` brings the messages into the records, in order, and deletes them here. If it is
interrupted in between it brings them a second time, which the records notice.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FILE = "hl7-inbox.sqlite"
"""Name of the file, below the node's root."""
BUSY_SECONDS = 30.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS arrivals (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    received_at TEXT NOT NULL,
    peer TEXT NOT NULL,
    told TEXT NOT NULL,
    reason TEXT NOT NULL,
    ack BLOB,
    raw BLOB NOT NULL
)
"""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message as it came.

    Parameters
    ----------
    raw
        Without its frame.
    peer
        The address it came from.
    told
        What its sender is told on arrival: ``AA``, ``CA``, or the refusal with its code, such as ``AE 102``; "" if the
        sender asked for no answer.
    reason
        Why it was refused, "" if it was not.
    ack
        The answer to a message that was refused, to be kept with it; None for one that is still to be taken over.
    """

    raw: bytes
    received_at: dt.datetime
    peer: str = ""
    told: str = ""
    reason: str = ""
    ack: bytes | None = None


class Inbox:
    """The file; each thread that uses it has an instance of its own.

    Parameters
    ----------
    path
        The file; it and its table are made if need be.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.execute(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def keep(self, arrivals: Iterable[Arrival]) -> list[int]:
        """Keep messages, all or none; they survive a power cut when this returns. Gives their numbers.

        Raises
        ------
        sqlite3.Error
            They are not kept.
        """
        numbers: list[int] = []
        with self._writing():
            for item in arrivals:
                values = (item.received_at.isoformat(), item.peer, item.told, item.reason, item.ack, item.raw)
                cursor = self._db.execute(
                    "INSERT INTO arrivals (received_at, peer, told, reason, ack, raw) VALUES (?, ?, ?, ?, ?, ?)", values
                )
                numbers.append(int(cursor.lastrowid or 0))
        return numbers

    def waiting(self, limit: int, most_bytes: int = 64 << 20) -> list[tuple[int, Arrival]]:
        """Return the eldest messages with their numbers, in the order in which they came.

        At most ``limit``, and none after those that have ``most_bytes`` together.
        """
        rows = self._db.execute(
            "SELECT id, raw, received_at, peer, told, reason, ack FROM arrivals ORDER BY id LIMIT ?", (limit,)
        )
        found: list[tuple[int, Arrival]] = []
        total = 0
        for number, raw, at, peer, told, reason, ack in rows:
            found.append((number, Arrival(raw, dt.datetime.fromisoformat(at), peer, told, reason, ack)))
            total += len(raw)
            if total >= most_bytes:
                break
        rows.close()
        return found

    def forget(self, numbers: Sequence[int]) -> None:
        """Delete messages that the records have."""
        with self._writing():
            self._db.executemany("DELETE FROM arrivals WHERE id = ?", [(number,) for number in numbers])

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Commit at the end; an error leaves no transaction open, in which no other could begin."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # with a full disk SQLite has rolled it back itself
                self._db.execute("ROLLBACK")
            raise

    def among(self, numbers: Sequence[int]) -> set[int]:
        """Return which of these messages are still here."""
        if not numbers:
            return set()
        span = (min(numbers), max(numbers))
        rows = self._db.execute("SELECT id FROM arrivals WHERE id BETWEEN ? AND ?", span)
        return {int(number) for (number,) in rows} & set(numbers)

    def oldest(self) -> dt.datetime | None:
        """Return when the eldest message came that waits; None if none does."""
        row = self._db.execute("SELECT received_at FROM arrivals ORDER BY id LIMIT 1").fetchone()
        return dt.datetime.fromisoformat(row[0]) if row else None

    def count(self) -> int:
        """Return how many messages wait."""
        return int(self._db.execute("SELECT count(*) FROM arrivals").fetchone()[0])
