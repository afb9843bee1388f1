from __future__ import annotations

import contextlib
import sqlite3
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError, OperationalError

from node.dicom import indexer as module
from node.dicom.headers import HEAD_BYTES, check
from node.dicom.indexer import Gathering, Indexer, header_of, known_until
from node.dicom.instance import InstanceHeader
from node.dicom.ledger import Ended, Entry, Ledger, LedgerReader, Noted, Stored
from node.dicom.part10 import file_meta
from node.records import studies
from node.records.engine import Records
from node.records.schema import Event, Instance, Series, Study
from node.storage import Spool
from tests.node.dicom.objects import DEFLATED, EXPLICIT, command_for, encoded, image
from tests.peers import eventually
from tests.stores import fill


class Tell:
    """A spool with a ledger, as a receiver leaves them."""

    def __init__(self, root: Path) -> None:
        self.spool = Spool(root, durability="none")
        self.ledger = Ledger(root / "ledger")
        self.excerpts = False

    def keep(self, association: str = "a", syntax: str = EXPLICIT, **values: Any) -> Stored:
        """Keep an image and return what is to be told of it."""
        ds = image(**values)
        command = command_for(ds, syntax)
        data = encoded(ds, syntax)
        stored = self.spool.store(command.sop_instance, file_meta(command), data)
        excerpt = check(command, memoryview(data)).excerpt() if self.excerpts else b""
        return Stored(association, command, stored.path, stored.size, stored.digest, excerpt)

    def put(self, *entries: Entry) -> None:
        for entry in entries:
            self.ledger.put(entry)


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    store = fill(Records(f"sqlite:///{tmp_path / 'records.sqlite'}", busy_seconds=0.05))
    yield store
    store.close()


@pytest.fixture
def tell(tmp_path: Path) -> Iterator[Tell]:
    made = Tell(tmp_path / "spool")
    yield made
    made.ledger.close()
    made.spool.close()


@pytest.fixture
def indexer(records: Records, tell: Tell, monkeypatch: pytest.MonkeyPatch) -> Iterator[Indexer]:
    monkeypatch.setattr(module, "RETRY_SECONDS", (0.01, 0.02))
    made = Indexer(records, tell.spool.root)
    yield made
    if made._thread.ident is not None:
        made.stop(10.0)


def count(records: Records, what: Any = Instance.id) -> int:
    with records.read() as session:
        return session.scalar(select(func.count(what))) or 0


def lines(records: Records, kind: str) -> list[str]:
    with records.read() as session:
        return list(session.scalars(select(Event.text).where(Event.kind == kind).order_by(Event.id)))


def test_an_instance_is_entered_with_what_its_file_and_the_ledger_say(
    records: Records, tell: Tell, indexer: Indexer
) -> None:
    entry = tell.keep(SeriesDescription="T1", Manufacturer="Acme")
    tell.put(entry)
    indexer.catch_up()
    with records.read() as session:
        instance = session.scalars(select(Instance)).one()
        series = session.scalars(select(Series)).one()
        study = session.scalars(select(Study)).one()
        assert (instance.uid, instance.path) == (entry.command.sop_instance, entry.path)
        assert (instance.size, instance.digest, instance.received_at) == (entry.size, entry.digest, entry.at)
        assert (series.description, series.tags["Manufacturer"]) == ("T1", "Acme")
        assert (study.calling_ae_title, study.called_ae_title, study.last_instance_at) == ("MR1", "OVERREAD", entry.at)


def test_with_an_excerpt_the_file_is_not_opened(records: Records, tell: Tell, indexer: Indexer) -> None:
    tell.excerpts = True
    entry = tell.keep(SeriesDescription="T1", Manufacturer="Acme", PatientName="Zweifel^Hildegard")
    (tell.spool.root / entry.path).unlink()
    tell.put(entry)
    indexer.catch_up()
    with records.read() as session:
        series = session.scalars(select(Series)).one()
        assert (series.description, series.tags["Manufacturer"]) == ("T1", "Acme")
        assert series.study.patient.name == "Zweifel^Hildegard"
    assert "Zweifel" not in repr(entry)


def test_an_object_whose_excerpt_reads_otherwise_than_the_whole_is_read_from_its_file(
    records: Records, tell: Tell, indexer: Indexer
) -> None:
    """A data set that begins in explicit VR and has implicit elements is taken; an excerpt may look implicit."""
    ds = image()
    explicit = encoded(ds, EXPLICIT)
    image_type = struct.pack("<HHL", 8, 8, 8) + b"ORIGINAL"  # implicit, and the first of those that the index keeps
    data = struct.pack("<HH2sH", 8, 1, b"UL", 4) + bytes(4) + image_type + explicit
    command = command_for(ds, EXPLICIT)
    checked = check(command, memoryview(data))
    stored = tell.spool.store(command.sop_instance, file_meta(command), data)
    tell.put(Stored("a", command, stored.path, stored.size, stored.digest, checked.excerpt()))
    indexer.catch_up()
    assert count(records) == 1


def test_an_association_ends_after_its_instances_are_entered_however_they_fall_into_batches(
    records: Records, tell: Tell, indexer: Indexer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 7)
    tell.put(*(tell.keep() for _ in range(30)), Ended("a"), Noted("some.kind", "A line."))
    indexer.catch_up()
    assert count(records) == 30
    assert lines(records, "study.released") == ["The association ended; the study has 30 instances in 1 series."]
    with records.read() as session:
        kinds = session.scalars(select(Event.kind).order_by(Event.id)).all()
    assert kinds == ["study.received", "study.released", "some.kind"]


def test_associations_are_kept_apart(records: Records, tell: Tell, indexer: Indexer) -> None:
    for study, association in (("1.2.3", "a"), ("1.2.4", "b")):
        tell.put(tell.keep(association, StudyInstanceUID=study, SeriesInstanceUID=f"{study}.1"))
    tell.put(Ended("b"))
    indexer.catch_up()
    with records.read() as session:
        ended = {study.uid: study.released_at is not None for study in session.scalars(select(Study))}
    assert ended == {"1.2.3": False, "1.2.4": True}


def test_what_is_told_twice_changes_nothing(records: Records, tell: Tell, indexer: Indexer) -> None:
    entry = tell.keep()
    tell.put(entry, Ended("a"), entry, Ended("a"), entry)
    indexer.catch_up()
    assert (count(records), count(records, Event.id)) == (1, 2)


def test_an_indexer_that_starts_again_reads_again_and_changes_nothing(
    records: Records, tell: Tell, indexer: Indexer
) -> None:
    tell.put(tell.keep(), tell.keep(), Ended("a"))
    indexer.catch_up()
    before = count(records, Event.id)
    again = Indexer(records, tell.spool.root)
    again.catch_up()
    assert (count(records), count(records, Event.id)) == (2, before)


def test_what_was_entered_is_removed_from_the_ledger_once_its_writer_is_gone(tell: Tell, indexer: Indexer) -> None:
    folder = tell.spool.root / "ledger"
    tell.put(tell.keep())
    indexer.start()
    indexer.flush()
    assert len(list(folder.iterdir())) == 1
    tell.ledger.close()
    eventually("the part is removed", lambda: not list(folder.iterdir()))


def test_a_file_that_is_missing_leaves_a_line_and_stops_nothing(records: Records, tell: Tell, indexer: Indexer) -> None:
    gone = tell.keep()
    (tell.spool.root / gone.path).unlink()
    tell.put(gone, tell.keep(), Ended("a"))
    indexer.catch_up()
    assert count(records) == 1
    assert lines(records, "instance.unreadable") == ["A stored file could not be entered in the index."]


@pytest.mark.parametrize("error", [ValueError("x"), LookupError("x"), RecursionError()])
def test_a_header_that_breaks_its_reader_leaves_a_line_and_stops_nothing(
    records: Records, tell: Tell, indexer: Indexer, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    bad = tell.keep()
    read = module.header_of

    def picky(spool: Path, entry: Stored, *rest: Any) -> InstanceHeader:
        if entry is not None and entry.command == bad.command:
            raise error
        return read(spool, entry, *rest)

    monkeypatch.setattr(module, "header_of", picky)
    tell.put(tell.keep(), bad, tell.keep())
    indexer.start()
    indexer.flush()
    assert count(records) == 2
    assert len(lines(records, "instance.unreadable")) == 1
    assert indexer.stop(10.0)


@pytest.mark.parametrize(
    "error", [ValueError("poison"), IntegrityError("x", {}, Exception("contradiction"))], ids=["value", "integrity"]
)
def test_one_bad_entry_does_not_take_the_others_with_it(
    records: Records, tell: Tell, indexer: Indexer, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    entries = [tell.keep() for _ in range(6)]
    _poison(monkeypatch, lambda headers: any(h.uid == entries[3].command.sop_instance for h in headers), error)
    tell.put(*entries, Ended("a"), Noted("some.kind", "A line."))
    indexer.catch_up()
    assert count(records) == 5
    assert lines(records, "study.released") == ["The association ended; the study has 5 instances in 1 series."]
    assert lines(records, "some.kind") == ["A line."]


@pytest.mark.parametrize(
    "error", [OperationalError("x", {}, Exception("locked")), IntegrityError("x", {}, Exception("another was first"))]
)
def test_records_that_are_busy_are_tried_again_and_nothing_is_lost(
    records: Records, tell: Tell, indexer: Indexer, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    failures = iter([True])
    _poison(monkeypatch, lambda _: next(failures, False), error)
    tell.put(tell.keep(), Ended("a"))
    indexer.catch_up()
    assert count(records) == 1
    assert len(lines(records, "study.released")) == 1


def _poison(
    monkeypatch: pytest.MonkeyPatch, wrong: Callable[[Sequence[InstanceHeader]], bool], error: Exception
) -> None:
    index_all = studies.index_all

    def unreliable(session: Any, headers: Sequence[InstanceHeader]) -> Any:
        done = index_all(session, headers)
        if wrong(headers):
            raise error
        return done

    monkeypatch.setattr(studies, "index_all", unreliable)


@contextlib.contextmanager
def locked(records: Records) -> Iterator[None]:
    """Hold the records as another writer does that does not come to an end."""
    connection = sqlite3.connect(records.url.removeprefix("sqlite:///"), isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.close()


def test_while_the_records_are_out_of_reach_everything_waits_and_then_is_entered(
    records: Records, tell: Tell, indexer: Indexer
) -> None:
    indexer.start()
    with locked(records):
        for _ in range(5):
            tell.put(tell.keep())
        tell.put(Ended("a"))
        time.sleep(0.3)
        assert indexer._thread.is_alive()
    indexer.flush()
    assert count(records) == 5
    assert lines(records, "study.released") == ["The association ended; the study has 5 instances in 1 series."]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # the thread says SystemExit
def test_it_stops_in_time_and_the_ledger_stays_where_the_records_are_out_of_reach(
    records: Records, tell: Tell, indexer: Indexer
) -> None:
    indexer.start()
    tell.put(tell.keep(), Ended("a"))
    tell.ledger.close()
    with locked(records):
        began = time.monotonic()
        indexer.stop(0.3)
        assert time.monotonic() - began < 2
        eventually("the thread ends", lambda: not indexer._thread.is_alive())
    assert len(LedgerReader(tell.spool.root / "ledger").batch(9)[0]) == 2
    again = Indexer(records, tell.spool.root)
    again.catch_up()
    assert (count(records), len(lines(records, "study.released"))) == (1, 1)


def test_stopping_enters_what_is_in_the_ledger_first(records: Records, tell: Tell, indexer: Indexer) -> None:
    indexer.start()
    tell.put(*(tell.keep() for _ in range(20)), Ended("a"))
    assert indexer.stop(10.0)
    assert count(records) == 20


def test_a_ledger_that_cannot_be_read_is_not_taken_for_one_that_is_empty(
    tell: Tell, indexer: Indexer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a study would be judged quiet that is still coming."""

    tried = threading.Event()

    def fail(*_: object) -> None:
        tried.set()
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(LedgerReader, "batch", fail)
    indexer.start()
    assert tried.wait(10)
    time.sleep(0.05)
    assert known_until(tell.spool.root).timestamp() == 0
    assert indexer.stop(5.0)


def test_it_says_until_when_the_records_know_everything(tell: Tell, indexer: Indexer) -> None:
    began = time.time()
    assert known_until(tell.spool.root).timestamp() == 0
    tell.put(tell.keep())
    indexer.start()
    indexer.flush()
    eventually("it says so", lambda: known_until(tell.spool.root).timestamp() > began - 1)
    assert known_until(tell.spool.root).timestamp() < time.time() + 1


def test_it_says_so_too_while_objects_come_without_a_pause(tell: Tell, indexer: Indexer) -> None:
    stop = threading.Event()

    def stream() -> None:
        while not stop.wait(0.01):
            tell.put(tell.keep())

    sender = threading.Thread(target=stream)
    sender.start()
    try:
        indexer.start()
        for _ in range(2):  # once could be before the first object
            moment = time.time()
            eventually("it says so", lambda moment=moment: known_until(tell.spool.root).timestamp() > moment)  # type: ignore[misc]
    finally:
        stop.set()
        sender.join()


def test_entries_are_gathered_while_more_come_and_not_for_ever() -> None:
    gathering = Gathering(1.0)
    gathering.begin(100.0)
    assert not gathering.goes_on(0, 100.1)  # nothing waits: the usual look
    gathering.begin(100.1)
    assert [gathering.goes_on(unread, moment) for unread, moment in ((500, 100.2), (900, 100.3), (900, 100.4))] == [
        True, True, False,
    ]  # fmt: skip
    gathering.begin(100.4)
    assert gathering.goes_on(500, 101.3)
    assert not gathering.goes_on(900, 101.4)


def test_what_streams_in_is_entered_in_few_transactions(
    records: Records, tell: Tell, indexer: Indexer, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    write = Indexer._write

    def counted(self: Indexer, items: Sequence[Any]) -> None:
        written.append(len(items))
        write(self, items)

    monkeypatch.setattr(Indexer, "_write", counted)
    monkeypatch.setattr(module, "POLL_SECONDS", 0.5)  # no pause of a busy machine is that long
    indexer.start()
    for _ in range(40):
        tell.put(tell.keep())
        time.sleep(0.01)
    eventually("all are entered", lambda: count(records) == 40)
    assert len(written) <= 6
    assert max(written) >= 15


def test_several_processes_may_enter_the_same_study_at_once(records: Records, tell: Tell, tmp_path: Path) -> None:
    tell.put(*(tell.keep() for _ in range(60)), Ended("a"))
    stores = [Records(records.url) for _ in range(3)]
    workers = [Indexer(store, tell.spool.root) for store in stores]
    threads = [threading.Thread(target=worker.catch_up) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in stores:
        store.close()
    assert count(records) == 60
    assert len(lines(records, "study.received")) == 1


@pytest.mark.parametrize("syntax", [EXPLICIT, DEFLATED])
def test_an_object_with_more_references_than_the_beginning_holds_is_entered(
    records: Records, tell: Tell, indexer: Indexer, syntax: str
) -> None:
    """Referenced Series Sequence (0008,1115) of a segmentation stands before the Study Instance UID (0020,000D)."""
    references = []
    for number in range(4000):
        item = Dataset()
        item.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        item.ReferencedSOPInstanceUID = f"1.2.826.0.1.3680043.8.498.1{number:036d}"
        references.append(item)
    series = Dataset()
    series.ReferencedInstanceSequence = Items(references)
    series.SeriesInstanceUID = "1.2.9"
    entry = tell.keep(syntax=syntax, ReferencedSeriesSequence=Items([series]), SeriesDescription="Segmentation")
    assert len(encoded(image(ReferencedSeriesSequence=Items([series])))) > HEAD_BYTES
    assert header_of(tell.spool.root, entry).series_description == "Segmentation"
    tell.put(entry)
    indexer.catch_up()
    assert (count(records), lines(records, "instance.unreadable")) == (1, [])


def test_attributes_for_rules_are_read_once_a_series(records: Records, tell: Tell, indexer: Indexer) -> None:
    tell.put(tell.keep(Manufacturer="Acme"))
    indexer.catch_up()
    second = tell.keep(Manufacturer="Acme")
    assert header_of(tell.spool.root, second, indexer._series).tags == {}
    tell.put(second)
    indexer.catch_up()
    with records.read() as session:
        assert session.scalars(select(Series)).one().tags["Manufacturer"] == "Acme"
    assert count(records) == 2
