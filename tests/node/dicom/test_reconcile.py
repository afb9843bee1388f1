from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import func, select

from node.dicom.part10 import file_meta
from node.dicom.reconcile import Reconciled, reconcile
from node.records import studies
from node.records.engine import Records
from node.records.schema import Event, Instance, Study
from node.storage import Spool, dataset_digest
from tests.node.dicom.objects import command_for, encoded, image


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


def keep(spool: Spool, count: int) -> list[str]:
    """Store images without telling the records, as a crash between the two does."""
    uids = []
    for number in range(count):
        ds = image(InstanceNumber=number, SeriesInstanceUID=f"1.2.3.{number % 2}")
        spool.store(str(ds.SOPInstanceUID), file_meta(command_for(ds)), encoded(ds))
        uids.append(str(ds.SOPInstanceUID))
    return uids


def test_files_that_the_index_lacks_are_entered_with_all_that_is_known(spool: Spool, records: Records) -> None:
    keep(spool, 250)
    assert reconcile(spool, records) == Reconciled(indexed=250)
    with records.read() as session:
        assert session.scalar(select(func.count(Instance.id))) == 250
        study = session.scalars(select(Study)).one()
        assert study.released_at is not None
        assert (study.calling_ae_title, study.called_ae_title) == ("MR1", "OVERREAD")
        instance = session.scalars(select(Instance)).first()
        assert instance is not None
        path = spool.root / instance.path
        assert (instance.sha256, instance.size) == (dataset_digest(path), path.stat().st_size)
        repaired = session.scalars(select(Event.text).where(Event.kind == "spool.repaired")).all()
        assert repaired == ["Stored instances that were missing in the index have been entered: 250."]


def test_a_second_time_there_is_nothing_to_do(spool: Spool, records: Records) -> None:
    keep(spool, 3)
    reconcile(spool, records)
    with records.read() as session:
        before = session.scalar(select(func.count(Event.id)))
    assert reconcile(spool, records) == Reconciled()
    with records.read() as session:
        assert session.scalar(select(func.count(Event.id))) == before


def test_a_row_whose_file_is_gone_is_reported_on_its_study(spool: Spool, records: Records) -> None:
    uids = keep(spool, 4)
    reconcile(spool, records)
    for uid in uids[:2]:
        (spool.root / spool.name(uid)).unlink()
    assert reconcile(spool, records) == Reconciled(missing=2)
    with records.read() as session:
        event = session.scalars(select(Event).where(Event.kind == "spool.missing")).one()
        assert (event.level, event.text) == ("error", "2 of the study's files are missing in the spool.")
        assert event.study_fk == session.scalars(select(Study.id)).one()


def test_a_file_that_cannot_be_read_stops_nothing(spool: Spool, records: Records) -> None:
    keep(spool, 2)
    broken = spool.root / spool.name("1.2.3.99")
    broken.parent.mkdir(exist_ok=True)
    broken.write_bytes(b"not DICOM")
    assert reconcile(spool, records) == Reconciled(indexed=2, unreadable=1)


def test_an_empty_node_is_in_order(spool: Spool, records: Records) -> None:
    assert reconcile(spool, records) == Reconciled()


def test_the_digest_of_a_series_does_not_depend_on_how_its_files_were_entered(spool: Spool, records: Records) -> None:
    keep(spool, 2)
    reconcile(spool, records)
    with records.read() as session:
        series = session.scalars(select(Study)).one().series
        assert len({studies.input_digest(item) for item in series}) == 2
