"""A receiving node in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from node.dicom.files import Outgoing
from node.dicom.indexer import Indexer
from node.dicom.intake import Intake
from node.dicom.ledger import Ledger
from node.dicom.receiver import DicomReceiver, spool_of
from node.dicom.sender import SendOutcome, send
from node.records.engine import Records
from node.records.schema import Event
from node.settings import Settings
from node.storage import Spool
from tests.peers import eventually
from tests.stores import empty

JOURNAL = 4 << 20


@dataclass
class Node:
    """What a test sends to and looks into."""

    records: Records
    spool: Spool
    indexer: Indexer
    receiver: DicomReceiver

    def send(self, *items: Path | Outgoing, calling: str = "MR1", called: str = "OVERREAD") -> list[SendOutcome]:
        """Send over one association, wait until it is entered in the records, and return what was answered."""
        try:
            return list(send(items, "127.0.0.1", self.receiver.port, called, calling, timeout=20.0))
        finally:
            self.settle()

    def settle(self) -> None:
        """Wait until every association is over and everything is in the records."""
        eventually("every connection is over", lambda: self.receiver.connections() == 0, 10)
        self.indexer.flush()

    def lines(self, kind: str) -> list[str]:
        """Return the timeline's lines of one kind."""
        with self.records.read() as session:
            return list(session.scalars(select(Event.text).where(Event.kind == kind).order_by(Event.id)))


@contextmanager
def running(folder: Path, **settings: Any) -> Iterator[Node]:
    """Run a receiver on a free port."""
    records = empty(folder / "records.sqlite")
    dicom = {
        "host": "127.0.0.1",
        "port": 0,
        "journal_bytes": JOURNAL,
        "min_free_bytes": 0,
        "min_free_percent": 0.0,
    } | settings
    configured = Settings.model_validate(
        {"node": {"root": folder}, "dicom": dicom, "database": {"url": f"sqlite:///{folder / 'records.sqlite'}"}}
    )
    spool = spool_of(configured, journal=True)
    indexer = Indexer(records, spool.root)
    indexer.start()
    ledger = Ledger(spool.root / "ledger")
    receiver = DicomReceiver(configured, Intake(spool, ledger))
    receiver.start()
    try:
        yield Node(records, spool, indexer, receiver)
    finally:
        receiver.stop(5.0)
        ledger.close()
        assert indexer.stop(10.0)
        spool.close()
        records.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Node]]:
    """Give a function that starts a node with the settings given."""
    with ExitStack() as stack:
        count = iter(range(1000))

        def begin(**settings: Any) -> Node:
            folder = tmp_path / f"node{next(count)}"
            folder.mkdir()
            return stack.enter_context(running(folder, **settings))

        yield begin
