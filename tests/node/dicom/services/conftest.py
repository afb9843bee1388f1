"""What services use, and objects in the spool as the receiver leaves them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from sqlalchemy import select

from node.dicom.part10 import PREAMBLE, Command, file_meta
from node.dicom.services.base import Caller, Request, Resources
from node.records.commitments import Reference
from node.records.engine import Records
from node.records.schema import Event
from node.settings import DicomSection, NodeSection, Peer, Settings
from node.storage import Spool
from node.storage.seal import seal_of
from tests.node.dicom.objects import EXPLICIT, MR, encoded, image

Keep = Callable[..., Reference]


@pytest.fixture
def resources(tmp_path: Path, records: Records) -> Resources:
    """A node that knows one peer it can call, STATION, and answers everybody else on their own association."""
    dicom = DicomSection(peers=(Peer(ae_title="STATION", host="127.0.0.1", port=104), Peer(ae_title="SILENT")))
    settings = Settings(node=NodeSection(root=tmp_path), dicom=dicom)
    spool = Spool(tmp_path / "spool")
    spool.root.mkdir()
    return Resources(settings, records, spool)


@pytest.fixture
def keep(resources: Resources) -> Keep:
    """Give a function that puts an image into the spool, sealed, and returns its reference."""

    def put(**values: object) -> Reference:
        ds = image(**values)
        sop_class, uid, data = str(ds.SOPClassUID), str(ds.SOPInstanceUID), encoded(ds)
        meta = file_meta(Command(sop_class, uid, EXPLICIT))
        path = path_of(resources.spool, uid)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(seal_of(data).preamble() + meta[len(PREAMBLE) :] + data)
        return sop_class, uid

    return put


def path_of(spool: Spool, uid: str) -> Path:
    return spool.root / spool.name(uid)


def absent(uid: str = "1.2.999") -> Reference:
    return MR, uid


def request(
    command: int, sop_class: str, instance: str, ds: Dataset | None, *, number: int = 0, calling: str = "SILENT"
) -> Request:
    return Request(command, sop_class, instance, Caller(calling, "OVERREAD", "127.0.0.1"), number, ds)


def lines(records: Records, kind: str) -> list[str]:
    with records.read() as session:
        return list(session.scalars(select(Event.text).where(Event.kind == kind).order_by(Event.id)))
