from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from sqlalchemy import func, select

from node.dicom import reconcile as module
from node.dicom.headers import HEAD_BYTES
from node.dicom.part10 import file_meta
from node.dicom.reconcile import Reconciled, reconcile
from node.records import studies
from node.records.engine import Records
from node.records.schema import Event, Instance, Result, Study
from node.storage import Spool, dataset_digest
from tests import factories
from tests.node.dicom.objects import command_for, encoded, image
from tests.node.storage.objects import buffer_with


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "spool", durability="none", duplicates="keep")
    yield made
    made.close()


def keep(spool: Spool, count: int, **values: Any) -> list[str]:
    """Store images without telling the records, as a crash between the two does."""
    uids = []
    for number in range(count):
        ds = image(**{"InstanceNumber": number, "SeriesInstanceUID": f"1.2.3.{number % 2}"} | values)
        spool.store(str(ds.SOPInstanceUID), file_meta(command_for(ds)), encoded(ds))
        uids.append(str(ds.SOPInstanceUID))
    return uids


def lines(records: Records, kind: str) -> list[str]:
    with records.read() as session:
        return list(session.scalars(select(Event.text).where(Event.kind == kind).order_by(Event.id)))


def count(records: Records, what: Any = Instance.id) -> int:
    with records.read() as session:
        return session.scalar(select(func.count(what))) or 0


def test_files_that_the_index_lacks_are_entered_with_all_that_is_known(spool: Spool, records: Records) -> None:
    keep(spool, 250)
    assert reconcile(spool, records) == Reconciled(indexed=250)
    assert count(records) == 250
    with records.read() as session:
        study = session.scalars(select(Study)).one()
        assert study.released_at is not None
        assert (study.calling_ae_title, study.called_ae_title) == ("MR1", "OVERREAD")
        for instance in session.scalars(select(Instance).limit(5)):
            path = spool.root / instance.path
            assert (instance.digest, instance.size) == (dataset_digest(path), path.stat().st_size)
    assert lines(records, "spool.repaired") == [
        "Stored instances that were missing in the index have been entered: 250."
    ]


def test_a_second_time_there_is_nothing_to_do(spool: Spool, records: Records) -> None:
    keep(spool, 3)
    reconcile(spool, records)
    before = count(records, Event.id)
    assert reconcile(spool, records) == Reconciled()
    assert count(records, Event.id) == before


def test_a_file_without_a_seal_is_entered_with_the_digest_of_what_it_holds(spool: Spool, records: Records) -> None:
    """As of a spool that was put together by hand."""
    (uid,) = keep(spool, 1)
    path = spool.root / spool.name(uid)
    path.write_bytes(bytes(128) + path.read_bytes()[128:])
    assert reconcile(spool, records) == Reconciled(indexed=1)
    with records.read() as session:
        assert session.scalars(select(Instance.digest)).one() == dataset_digest(path)


def test_a_row_whose_file_is_gone_is_reported_on_its_study_once(spool: Spool, records: Records) -> None:
    uids = keep(spool, 4)
    reconcile(spool, records)
    for uid in uids[:2]:
        (spool.root / spool.name(uid)).unlink()
    for _ in range(2):
        assert reconcile(spool, records) == Reconciled(missing=2)
    with records.read() as session:
        event = session.scalars(select(Event).where(Event.kind == "spool.missing")).one()
        assert (event.level, event.text) == ("error", "2 of the study's files are missing in the spool.")
        assert event.study_fk == session.scalars(select(Study.id)).one()
    (spool.root / spool.name(uids[2])).unlink()
    reconcile(spool, records)
    assert lines(records, "spool.missing")[1:] == ["3 of the study's files are missing in the spool."]


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "zeros"])
def test_a_file_that_is_not_whole_is_set_aside_and_reported(spool: Spool, records: Records, damage: str) -> None:
    uids = keep(spool, 3)
    path = spool.root / spool.name(uids[1])
    data = path.read_bytes()
    flipped = data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]
    path.write_bytes({"cut": data[:-1], "flip": flipped, "empty": b"", "zeros": bytes(len(data))}[damage])
    assert reconcile(spool, records) == Reconciled(indexed=2, damaged=1)
    assert not path.exists()
    assert len(list((spool.root / "damaged").iterdir())) == 1
    assert lines(records, "spool.damaged") == [
        "Stored files that are not whole have been set aside in the spool's damaged folder: 1."
    ]
    assert reconcile(spool, records) == Reconciled()


def test_a_file_that_would_have_been_refused_is_set_aside(spool: Spool, records: Records) -> None:
    ds = image(StudyInstanceUID="../x")
    spool.store(str(ds.SOPInstanceUID), file_meta(command_for(ds)), encoded(ds))
    (spool.root / spool.name("1.2.3.99")).write_bytes(b"not DICOM")
    keep(spool, 1)
    assert reconcile(spool, records) == Reconciled(indexed=1, damaged=2)


def test_a_file_that_cannot_be_read_now_stays_where_it_is(
    spool: Spool, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    uids = keep(spool, 3)
    read = module._read

    def failing(file: Path, path: str) -> Any:
        if file.stem == uids[1]:
            raise OSError(24, "Too many open files")
        return read(file, path)

    with monkeypatch.context() as patch:
        patch.setattr(module, "_read", failing)
        assert reconcile(spool, records) == Reconciled(indexed=2)
    assert reconcile(spool, records) == Reconciled(indexed=1)


def test_an_object_with_long_references_before_its_identifiers_is_entered_and_not_thought_damaged(
    spool: Spool, records: Records
) -> None:
    item = Dataset()
    item.TextValue = "x" * HEAD_BYTES
    keep(spool, 1, ReferencedSeriesSequence=Items([item]))
    assert reconcile(spool, records) == Reconciled(indexed=1)


def test_what_is_kept_beside_another_object_is_no_instance(spool: Spool, records: Records) -> None:
    uid = "1.2.3.4"
    for text in ("first", "second"):
        ds = image(SOPInstanceUID=uid, SeriesDescription=text)
        spool.store(uid, file_meta(command_for(ds)), encoded(ds))
    assert reconcile(spool, records) == Reconciled(indexed=1)
    with records.read() as session:
        assert session.scalars(select(Study)).one().series[0].description == "first"


def test_a_result_of_this_node_that_came_back_is_known(spool: Spool, records: Records, tmp_path: Path) -> None:
    (uid,) = keep(spool, 1)
    with records.write() as session:
        job = factories.job(session, factories.study(session, "1.2.9"))
        session.add(Result(job_fk=job.id, kind="seg", uid=uid, path="x", sha256="x"))
        session.query(Instance).delete()
    assert reconcile(spool, records) == Reconciled()
    assert count(records) == 0


def test_what_a_power_cut_took_is_brought_back_before_it_is_thought_damaged(tmp_path: Path, records: Records) -> None:
    receiver = Spool(tmp_path / "spool", journal_bytes=1 << 20)
    ds = image()
    meta = file_meta(command_for(ds))
    buffer = buffer_with(encoded(ds), head=len(meta))
    path = receiver.root / receiver.keep(str(ds.SOPInstanceUID), meta, buffer).path
    os.truncate(path, 200)
    assert receiver._slot is not None
    receiver._slot.release()
    spool = Spool(receiver.root)
    assert reconcile(spool, records) == Reconciled(indexed=1)
    assert path.read_bytes().endswith(encoded(ds))
    for opened in (spool, receiver):
        opened.close()


def test_one_process_at_a_time_does_it(spool: Spool, records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(spool, 2)
    inside, go_on = threading.Event(), threading.Event()
    enter = module._enter

    def slowly(*args: Any) -> int:
        inside.set()
        assert go_on.wait(20)
        return enter(*args)

    monkeypatch.setattr(module, "_enter", slowly)
    done: list[Reconciled] = []
    thread = threading.Thread(target=lambda: done.append(reconcile(spool, records)))
    thread.start()
    assert inside.wait(20)
    assert reconcile(spool, records) == Reconciled()
    go_on.set()
    thread.join()
    assert done == [Reconciled(indexed=2)]


def test_an_empty_node_is_in_order(spool: Spool, records: Records) -> None:
    assert reconcile(spool, records) == Reconciled()


def test_the_digest_of_a_series_does_not_depend_on_how_its_files_were_entered(spool: Spool, records: Records) -> None:
    keep(spool, 2)
    reconcile(spool, records)
    with records.read() as session:
        series = session.scalars(select(Study)).one().series
        assert len({studies.input_digest(item) for item in series}) == 2
