"""Every object that can be stored is on the disk as it was sent, in whatever transfer syntax."""

from __future__ import annotations

import os
import socket
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from node.dicom import headers
from node.dicom.files import Outgoing
from node.dicom.scp.negotiation import TRANSFER_SYNTAXES
from node.storage import dataset_digest
from node.storage.seal import seal_of
from tests.node.dicom.conftest import Node
from tests.node.dicom.objects import BIG, DEFLATED, EXPLICIT, IMPLICIT, encoded, image, outgoing, storable
from tests.node.dicom.test_structure import encapsulated
from tests.part10 import read_file
from tests.peers import FAST, eventually, free_port, run

pytestmark = [pytest.mark.filterwarnings("ignore::UserWarning")]
Start = Callable[..., Node]


@pytest.mark.data
@pytest.mark.parametrize(("folder", "least", "syntaxes"), [("dicom-pydicom", 155, 11), ("dicom-pydicom-data", 38, 8)])
def test_real_objects_of_every_transfer_syntax_are_kept_byte_for_byte(
    start: Start, real_data: Callable[[str], Path], folder: str, least: int, syntaxes: int
) -> None:
    items = storable(real_data(folder))
    for round_ in _rounds(items):
        node = start()
        outcomes = node.send(*round_)
        assert [outcome.status for outcome in outcomes] == [0x0000] * len(round_)
        for item in round_:
            path = node.spool.root / node.spool.name(item.sop_instance)
            meta, data = read_file(path)
            assert data == item.dataset(), item.path.name
            assert meta.transfer_syntax == item.transfer_syntax
            assert dataset_digest(path) == seal_of(data).text
    assert len(items) >= least
    assert len({item.transfer_syntax for item in items}) >= syntaxes


def test_an_object_in_any_transfer_syntax_is_kept_byte_for_byte(start: Start, tmp_path: Path) -> None:
    items = []
    for syntax in sorted(TRANSFER_SYNTAXES):
        ds = image(SOPInstanceUID=generate_uid())
        if syntax in (EXPLICIT, IMPLICIT, BIG, DEFLATED):
            data = encoded(ds, syntax)
        elif syntax in headers.DEFLATED:
            data = encoded(ds, DEFLATED)
        else:
            data = encapsulated(b"any pixels", uid=ds.SOPInstanceUID)
        items.append(outgoing(tmp_path / "out", data, ds.SOPInstanceUID, syntax=syntax))
    node = start()
    assert [outcome.status for outcome in node.send(*items)] == [0x0000] * len(TRANSFER_SYNTAXES)
    for item in items:
        meta, data = read_file(node.spool.root / node.spool.name(item.sop_instance))
        assert (meta.transfer_syntax, data) == (item.transfer_syntax, item.dataset())


@pytest.mark.data
@pytest.mark.peer
@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("dicom-pydicom/test_files/CT_small.dcm", "-xe"),
        ("dicom-pydicom/test_files/MR_small_implicit.dcm", "-xi"),
        ("dicom-pydicom/test_files/MR_small_bigendian.dcm", "-xb"),
        ("dicom-pydicom/test_files/image_dfl.dcm", "-xd"),
        ("dicom-pydicom/test_files/MR_small_RLE.dcm", "-xr"),
        ("dicom-pydicom/test_files/JPEG2000.dcm", "-xw"),
        ("dicom-pydicom/test_files/MR_small_jpeg_ls_lossless.dcm", "-xt"),
    ],
)
def test_what_storescu_sends_is_what_it_reads(
    start: Start,
    real_data: Callable[[str], Path],
    peer: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    option: str,
) -> None:
    """DCMTK encodes anew (lengths of sequences), so the elements are compared, and the pixels byte for byte."""
    monkeypatch.setenv("TCP_NODELAY", "1")
    folder, file = name.split("/", 1)
    source = real_data(folder) / file
    node = start()
    command = [peer("storescu"), option, "-aec", "OVERREAD", "127.0.0.1", str(node.receiver.port), str(source)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    node.settle()
    ((_, path),) = node.spool.files()
    sent, kept = dcmread(source), dcmread(node.spool.root / path)
    assert kept.file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID
    assert kept.PixelData == sent.PixelData
    assert _elements(kept) == _elements(sent)


@pytest.mark.data
@pytest.mark.peer
@pytest.mark.parametrize(("folder", "least"), [("dicom-pydicom", 130), ("dicom-pydicom-data", 30)])
def test_what_storescu_puts_on_the_wire_is_kept_byte_for_byte(
    start: Start, real_data: Callable[[str], Path], peer: Callable[[str], str], tmp_path: Path, folder: str, least: int
) -> None:
    """DCMTK encodes anew what it sends, so its own storescp, which writes what it receives, says what that was."""
    compared = 0
    for number, round_ in enumerate(_rounds(storable(real_data(folder)))):
        node = start()
        groups = defaultdict(list)
        for item in round_:
            groups[item.transfer_syntax].append(item)
        with _storescp(peer("storescp"), tmp_path / str(number)) as (port, kept):
            for syntax, items in groups.items():
                for target in (port, node.receiver.port):
                    _storescu(peer("storescu"), tmp_path, syntax, items, target)
            node.settle()
            theirs = {read_file(path)[0].sop_instance: read_file(path) for path in kept.iterdir()}
        ours = {uid: read_file(node.spool.root / path) for uid, path in node.spool.files()}
        assert ours.keys() == theirs.keys()
        for uid, (meta, data) in theirs.items():
            assert ours[uid][1] == data, uid
            assert ours[uid][0].transfer_syntax == meta.transfer_syntax
        compared += len(theirs)
    assert compared >= least


PROFILE = """
[[TransferSyntaxes]]
[Only]
TransferSyntax1 = {syntax}
[[PresentationContexts]]
[Contexts]
{contexts}
[[Profiles]]
[Default]
PresentationContexts = Contexts
"""


def _storescu(program: str, folder: Path, syntax: str, items: list[Outgoing], port: int) -> None:
    """Send objects of one transfer syntax in it; whatever DCMTK cannot read or send is left out."""
    classes = sorted({item.sop_class for item in items})
    contexts = "\n".join(f"PresentationContext{n} = {uid}\\Only" for n, uid in enumerate(classes, 1))
    profile = folder / "storescu.cfg"
    profile.write_text(PROFILE.format(syntax=syntax, contexts=contexts))
    run(
        program, "-nh", "-xf", str(profile), "Default", "127.0.0.1", str(port),
        *(str(item.path) for item in items),
    )  # fmt: skip


@contextmanager
def _storescp(program: str, folder: Path) -> Iterator[tuple[int, Path]]:
    """Run DCMTK's receiver, which writes data sets as they come."""
    folder.mkdir()
    port = free_port()
    options = ["+B", "+xa", "-pm"]
    process = subprocess.Popen([program, *options, "-od", str(folder), str(port)], env=os.environ | FAST)
    try:
        eventually("storescp listens", lambda: _listens(port), 10, 0.02)
        yield port, folder
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _rounds(items: list[Outgoing]) -> list[list[Outgoing]]:
    """Spread objects that share a UID with other content over several nodes."""
    seen: dict[str, int] = defaultdict(int)
    rounds: dict[int, list[Outgoing]] = defaultdict(list)
    for item in items:
        rounds[seen[item.sop_instance]].append(item)
        seen[item.sop_instance] += 1
    return list(rounds.values())


def _elements(ds: Dataset) -> dict[str, object]:
    """Return the elements but Data Set Trailing Padding (FFFC,FFFC), which DCMTK drops, and the pixels."""
    return {tag: value for tag, value in ds.to_json_dict().items() if tag not in ("FFFCFFFC", "7FE00010")}
