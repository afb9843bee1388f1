"""A node that owes results to destinations: its records, its files, its loops."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select

from node.delivery.outbox import Outbox
from node.dicom.part10 import file_meta
from node.records import results
from node.records.engine import Records
from node.records.schema import Delivery, Event, Job, Result, now
from node.records.states import DeliveryState
from node.settings import DeliverySection, Destination, DicomSection, NodeSection, Peer, Settings
from tests import factories
from tests.node.delivery.archive import TITLE
from tests.node.dicom.objects import MR, command_for, encoded, image


class Owing:
    """A node with results for its destinations."""

    def __init__(self, root: Path, records: Records, *destinations: Destination, timeout: float = 5.0) -> None:
        self.root, self.records = root, records
        self.settings = Settings(
            node=NodeSection(root=root),
            dicom=DicomSection(peers=(Peer(ae_title=TITLE), Peer(ae_title="ORTHANC"))),
            delivery=DeliverySection(retry_seconds=0.05, retry_max_seconds=0.2, timeout_seconds=timeout),
            destinations=destinations,
        )

    def queue(self, count: int, *names: str, study: str = "1.2.3") -> list[str]:
        """Queue new objects of one study for destinations; returns their UIDs in order."""
        made = [image(StudyInstanceUID=study) for _ in range(count)]
        with self.records.write() as session:
            job = session.get(Job, f"job-{study}") or factories.job(session, factories.study(session, study))
            for ds in made:
                path = f"results/{ds.SOPInstanceUID}.dcm"
                (self.root / "results").mkdir(exist_ok=True)
                (self.root / path).write_bytes(file_meta(command_for(ds)) + encoded(ds))
                row = Result(kind="seg", uid=str(ds.SOPInstanceUID), path=path, sha256="00", sop_class=MR)
                results.add(session, job, row, names or [item.name for item in self.settings.destinations])
        return [str(ds.SOPInstanceUID) for ds in made]

    def outboxes(self) -> list[Outbox]:
        return [Outbox(item, self.settings, self.records) for item in self.settings.destinations]

    def rows(self, destination: str | None = None) -> list[Delivery]:
        with self.records.read() as session:
            query = select(Delivery).order_by(Delivery.id)
            return list(session.scalars(query if destination is None else query.filter_by(destination=destination)))

    def states(self, destination: str | None = None) -> set[DeliveryState]:
        return {row.state for row in self.rows(destination)}

    def lines(self, kind: str) -> list[str]:
        with self.records.read() as session:
            return list(session.scalars(select(Event.text).where(Event.kind == kind).order_by(Event.id)))

    def hurry(self) -> None:
        """Let all waits be over."""
        with self.records.write() as session:
            for row in session.scalars(select(Delivery)):
                row.next_at = min(row.next_at, now())
                row.commit_at = None if row.commit_at is None else now()


@contextmanager
def looping(*works: Callable[[], int]) -> Iterator[None]:
    """Run loops as the gateway does."""
    stop = threading.Event()

    def loop(work: Callable[[], int]) -> None:
        while not stop.is_set():
            if not work():
                time.sleep(0.02)

    threads = [threading.Thread(target=loop, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(0.2)


@pytest.fixture
def owing(tmp_path: Path, records: Records) -> Callable[..., Owing]:
    """Give a function from destinations to a node that owes them results."""

    def make(*destinations: Destination, timeout: float = 5.0) -> Owing:
        return Owing(tmp_path, records, *destinations, timeout=timeout)

    return make


def to(port: int, name: str = "archive", title: str = TITLE, **values: object) -> Destination:
    """Return a destination of kind dicom."""
    return Destination.model_validate(
        {"name": name, "kind": "dicom", "host": "127.0.0.1", "port": port, "ae_title": title, **values}
    )
