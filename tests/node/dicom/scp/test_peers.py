"""DCMTK and pynetdicom as senders, with PDUs of every size, objects in memory and in pieces, several at once."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID
from pynetdicom import build_context
from pynetdicom.ae import ApplicationEntity

from node.dicom.files import Outgoing
from node.dicom.sender import VERIFICATION
from tests.node.dicom.conftest import Node
from tests.node.dicom.objects import EXPLICIT, IMPLICIT, MR, encoded, image, outgoing_image
from tests.part10 import read_file
from tests.peers import run

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
Start = Callable[..., Node]


def objects(folder: Path) -> list[Outgoing]:
    """Return three objects: for the journal, at the limit of the memory, and in pieces."""
    shapes = [(6, 5), (1024, 1023), (1024, 3000)]
    return [
        outgoing_image(folder, Rows=rows, Columns=columns, PixelData=bytes(range(256)) * (rows * columns // 128 + 1))
        for rows, columns in shapes
    ]


def kept(node: Node, items: list[Outgoing]) -> list[bool]:
    """Say of each object whether it is kept as it was sent."""
    files = {uid: node.spool.root / path for uid, path in node.spool.files()}
    return [item.sop_instance in files and read_file(files[item.sop_instance])[1] == item.dataset() for item in items]


@pytest.mark.peer
@pytest.mark.parametrize(("ours", "theirs"), [(4096, 4096), (4096, 131072), (16384, 16384), (131072, 131072)])
def test_storescu_sends_pdus_of_any_size(
    start: Start, tmp_path: Path, peer: Callable[[str], str], ours: int, theirs: int
) -> None:
    node = start(max_pdu_bytes=ours)
    items = objects(tmp_path / "out")
    arguments = ["-xe", "-R", "-pdu", str(theirs), "--max-send-pdu", str(theirs), "127.0.0.1", str(node.receiver.port)]
    done = run(peer("storescu"), *arguments, *(str(item.path) for item in items))
    assert done.returncode == 0, done.stderr
    node.settle()
    assert kept(node, items) == [True] * 3


@pytest.mark.peer
def test_several_storescu_at_once_and_echoscu_between_them(
    start: Start, tmp_path: Path, peer: Callable[[str], str]
) -> None:
    node = start()
    port, program = str(node.receiver.port), peer("storescu")
    sets = [objects(tmp_path / str(number)) for number in range(6)]

    def send(items: list[Outgoing]) -> subprocess.CompletedProcess[str]:
        return run(program, "-xe", "-R", "127.0.0.1", port, *(str(item.path) for item in items), env={})

    with ThreadPoolExecutor(6) as pool:
        pending = [pool.submit(send, items) for items in sets]
        assert run(peer("echoscu"), "--repeat", "5", "127.0.0.1", port).returncode == 0
        assert [done.result().returncode for done in pending] == [0] * 6
    node.settle()
    assert all(all(kept(node, items)) for items in sets)
    assert len(node.lines("association.lost")) == 0


@pytest.mark.peer
def test_an_abort_of_storescu_keeps_what_was_answered(start: Start, tmp_path: Path, peer: Callable[[str], str]) -> None:
    node = start()
    item = outgoing_image(tmp_path / "out")
    run(peer("storescu"), "--abort", "-R", "127.0.0.1", str(node.receiver.port), str(item.path))
    node.settle()
    assert kept(node, [item]) == [True]
    assert len(node.lines("association.lost")) == len(node.lines("study.released")) == 1


@pytest.mark.parametrize("max_pdu", [0, 4096, 16384, 131072])
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_pynetdicom_stores_and_verifies_on_one_association(start: Start, max_pdu: int, syntax: str) -> None:
    node = start()
    ae = ApplicationEntity("PYNETDICOM")
    contexts = [build_context(MR, syntax), build_context(VERIFICATION)]
    assoc = ae.associate("127.0.0.1", node.receiver.port, contexts=contexts, max_pdu=max_pdu)
    assert assoc.is_established
    sent: list[Dataset] = []
    for size in (60, 3_000_000):
        ds = image(Rows=60, Columns=size // 120, PixelData=bytes(size))
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = UID(syntax)
        assert assoc.send_c_store(ds).Status == 0
        assert assoc.send_c_echo().Status == 0
        sent.append(ds)
    assoc.release()
    node.settle()
    for ds in sent:
        assert read_file(node.spool.root / node.spool.name(ds.SOPInstanceUID))[1] == encoded(ds, syntax)
