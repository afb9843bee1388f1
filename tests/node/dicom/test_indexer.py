from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError, OperationalError

from node.dicom import indexer as module
from node.dicom.indexer import Ended, Indexer, Noted, Stored
from node.errors import OutOfResources
from node.records import studies
from node.records.engine import Records
from node.records.schema import Event, Instance, Study
from node.records.studies import InstanceHeader


def stored(number: int, study: str = "1.2.3", association: str = "a") -> Stored:
    return Stored(association, InstanceHeader(f"{study}.{number}", "1.2", "1.2", study, f"{study}.0"))


@pytest.fixture
def indexer(records: Records) -> Iterator[Indexer]:
    made = Indexer(records)
    made.start()
    yield made
    made.stop(10.0)


def test_an_association_ends_after_its_instances_are_entered(records: Records, indexer: Indexer) -> None:
    for number in range(250):
        indexer.put(stored(number))
    indexer.put(Ended("a"))
    indexer.flush()
    with records.read() as session:
        assert session.scalar(select(func.count(Instance.id))) == 250
        texts = session.scalars(select(Event.text).where(Event.kind == "study.released")).all()
        assert texts == ["The association ended; the study has 250 instances in 1 series."]


def test_associations_are_kept_apart(records: Records, indexer: Indexer) -> None:
    indexer.put(stored(1, "1.2.3", "a"))
    indexer.put(stored(1, "1.2.4", "b"))
    indexer.put(Ended("b"))
    indexer.flush()
    with records.read() as session:
        ended = {study.uid: study.released_at is not None for study in session.scalars(select(Study))}
    assert ended == {"1.2.3": False, "1.2.4": True}


@pytest.mark.parametrize(
    "error", [OperationalError("x", {}, Exception("locked")), IntegrityError("x", {}, Exception())]
)
def test_records_that_are_busy_are_tried_again_and_nothing_is_lost(
    records: Records, indexer: Indexer, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    failures = iter([error, error])
    index = studies.index

    def unreliable(*args: Any) -> Any:
        if failure := next(failures, None):
            raise failure
        return index(*args)

    monkeypatch.setattr(studies, "index", unreliable)
    indexer.put(stored(1))
    indexer.put(Ended("a"))
    indexer.flush()
    with records.read() as session:
        assert session.scalar(select(func.count(Instance.id))) == 1
        assert session.scalars(select(Study)).one().released_at is not None


def test_one_bad_entry_does_not_take_the_others_with_it(
    records: Records, indexer: Indexer, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = studies.index

    def picky(session: Any, header: InstanceHeader) -> Any:
        if header.uid.endswith(".13"):
            raise ValueError("poison")
        return index(session, header)

    monkeypatch.setattr(studies, "index", picky)
    for number in range(20):
        indexer.put(stored(number))
    indexer.put(Noted("some.kind", "A line."))
    indexer.flush()
    with records.read() as session:
        assert session.scalar(select(func.count(Instance.id))) == 19
        assert session.scalars(select(Event.text).where(Event.kind == "some.kind")).all() == ["A line."]


def test_senders_are_told_to_come_again_when_the_records_are_far_behind(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITING", 3)
    slow = Indexer(records)  # not started: nothing is written
    for number in range(3):
        slow.put(stored(number))
    with pytest.raises(OutOfResources):
        slow.put(stored(4), patience=0.05)


def test_several_processes_may_enter_the_same_study_at_once(records: Records) -> None:
    stores = [Records(records.url) for _ in range(3)]
    workers = [Indexer(store) for store in stores]
    barrier = threading.Barrier(3)

    def feed(worker: Indexer) -> None:
        worker.start()
        barrier.wait()
        for number in range(60):
            worker.put(stored(number))
        worker.put(Ended("a"))
        worker.stop(20.0)

    threads = [threading.Thread(target=feed, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in stores:
        store.close()
    with records.read() as session:
        assert session.scalar(select(func.count(Instance.id))) == 60
        assert session.scalar(select(func.count(Event.id)).where(Event.kind == "study.received")) == 1
