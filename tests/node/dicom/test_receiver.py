from __future__ import annotations

import socket
import struct
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, AllTransferSyntaxes, generate_uid
from pynetdicom import build_context
from pynetdicom.dimse_primitives import C_STORE
from sqlalchemy import select

from node.dicom.requestor import associated, wait_until_over
from node.dicom.scp.negotiation import TRANSFER_SYNTAXES, contexts_for, is_storage, transfer_syntaxes
from node.dicom.scp.wire import Limits, Wire
from node.dicom.sender import echo
from node.errors import DeliveryError, OutOfResources
from node.records.schema import Instance, Study
from node.settings import Peer
from node.storage import Spool
from tests.node.dicom.conftest import Node
from tests.node.dicom.objects import (
    BIG,
    EXPLICIT,
    IMPLICIT,
    MR,
    PRIVATE_CLASS,
    encoded,
    image,
    outgoing,
    outgoing_image,
)
from tests.node.dicom.scp import raw
from tests.part10 import read_file
from tests.peers import eventually

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom, of what these tests send on purpose

Start = Callable[..., Node]


def test_an_image_is_stored_indexed_and_its_study_released(start: Start, tmp_path: Path) -> None:
    node = start()
    item = outgoing_image(tmp_path / "out", AccessionNumber="A7", BodyPartExamined="BRAIN")
    (outcome,) = node.send(item)
    assert (outcome.status, outcome.ok) == (0x0000, True)
    with node.records.read() as session:
        study = session.scalars(select(Study)).one()
        assert (study.accession_number, study.calling_ae_title, study.called_ae_title) == ("A7", "MR1", "OVERREAD")
        assert study.released_at is not None
        assert study.released_at >= study.last_instance_at
        instance = session.scalars(select(Instance)).one()
        meta, data = read_file(node.spool.root / instance.path)
    assert data == item.dataset()
    assert (meta.sop_class, meta.sop_instance, meta.transfer_syntax) == (MR, item.sop_instance, EXPLICIT)
    assert (meta.calling_ae_title, meta.called_ae_title) == ("MR1", "OVERREAD")
    assert node.lines("study.received") == ["The first instance arrived from MR1."]
    assert node.lines("study.released") == ["The association ended; the study has 1 instance in 1 series."]


def test_c_echo_is_answered(start: Start) -> None:
    echo("127.0.0.1", start().receiver.port, "OVERREAD", "ANYONE")


def test_a_truncated_object_is_refused_with_c000_and_leaves_one_line(start: Start, tmp_path: Path) -> None:
    node = start()
    ds = image()
    (outcome,) = node.send(outgoing(tmp_path, encoded(ds)[:-10], str(ds.SOPInstanceUID)))
    assert outcome.status == 0xC000
    assert "cut off" in outcome.comment
    assert list(node.spool.files()) == []
    (line,) = node.lines("instance.refused")
    assert line == "An object from MR1 was refused with status C000: the value of (7FE0,0010) is cut off."


def test_an_object_of_another_class_than_the_command_names_is_refused_with_a900(start: Start, tmp_path: Path) -> None:
    ds = image()
    ct = "1.2.840.10008.5.1.4.1.1.2"
    (outcome,) = start().send(outgoing(tmp_path, encoded(ds), str(ds.SOPInstanceUID), ct))
    assert outcome.status == 0xA900


def test_another_instance_than_the_command_names_is_refused_with_a900(start: Start, tmp_path: Path) -> None:
    node = start()
    (outcome,) = node.send(outgoing(tmp_path, encoded(image()), "1.2.3.4"))
    assert outcome.status == 0xA900
    assert list(node.spool.files()) == []


@pytest.mark.parametrize("hostile", ["../../x", "/etc/passwd", "1.2.3\x00.4", "1..2", "1.2.", "a.b"])
def test_a_hostile_instance_uid_is_refused_with_c002_and_writes_no_file(
    start: Start, tmp_path: Path, hostile: str
) -> None:
    node = start()
    ds = image(SOPInstanceUID="9.9.9.9")
    data = encoded(ds).replace(b"\x08\x00\x18\x00UI\x08\x009.9.9.9\0", _ui(0x0018, hostile))
    answer = _store_raw(node, data, hostile)
    assert getattr(answer, "Status", None) == 0xC002
    assert len(node.lines("instance.refused")) == 1
    assert [path for path in tmp_path.rglob("*") if path.suffix in (".dcm", ".part")] == []


def test_a_uid_longer_than_a_uid_is_refused_with_c002(start: Start) -> None:
    node = start()
    assert _store_raw(node, encoded(image()), "1" * 64 + ".1").Status == 0xC002
    assert list(node.spool.files()) == []
    assert node.lines("association.lost") == []


def test_a_store_without_data_set_or_instance_uid_is_answered_and_noted(start: Start) -> None:
    node = start()
    assert _store_raw(node, None, "1.2.3.4").Status == 0x0212
    assert _store_raw(node, encoded(image()), None).Status == 0x0117
    assert len(node.lines("instance.refused")) == 2


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID"])
@pytest.mark.parametrize("value", ["../../x", None])
def test_an_object_without_good_study_and_series_is_refused_with_c002(
    start: Start, tmp_path: Path, keyword: str, value: str | None
) -> None:
    node = start()
    (outcome,) = node.send(outgoing_image(tmp_path / "out", **{keyword: value}))
    assert outcome.status == 0xC002
    assert node.lines("instance.refused")


@pytest.mark.parametrize("sop_class", [PRIVATE_CLASS, "1.2.840.10008.5.1.4.1.1.999", "1.2.840.10008.5.1.4.1.1.6"])
def test_private_unknown_and_retired_storage_classes_are_taken(start: Start, tmp_path: Path, sop_class: str) -> None:
    (outcome,) = start().send(outgoing_image(tmp_path / "out", SOPClassUID=sop_class))
    assert outcome.status == 0x0000


def test_an_object_without_an_image_is_taken(start: Start, tmp_path: Path) -> None:
    report = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.22", "Modality": "SR", "PixelData": None, "Rows": None}
    (outcome,) = start().send(outgoing_image(tmp_path / "out", **report))
    assert outcome.status == 0x0000


def test_the_same_object_again_is_taken_and_changes_nothing(start: Start, tmp_path: Path) -> None:
    node = start()
    item = outgoing_image(tmp_path / "out")
    assert node.send(item)[0].status == 0x0000
    (before,) = [(path, path.stat().st_mtime_ns) for path in node.spool.root.rglob("*.dcm")]
    assert node.send(item)[0].status == 0x0000
    assert [(path, path.stat().st_mtime_ns) for path in node.spool.root.rglob("*.dcm")] == [before]
    assert len(node.lines("study.received")) == 1
    assert len(node.lines("study.released")) == 1


def test_other_content_under_a_known_uid_is_refused_and_the_first_is_kept(start: Start, tmp_path: Path) -> None:
    node = start()
    uid = generate_uid()
    first = outgoing_image(tmp_path / "out", SOPInstanceUID=uid)
    other = outgoing_image(tmp_path / "out", SOPInstanceUID=uid, PatientID="P2")
    assert [outcome.status for outcome in node.send(first, other)] == [0x0000, 0xC001]
    (path,) = node.spool.root.rglob("*.dcm")
    assert read_file(path)[1] == first.dataset()


def test_a_full_disk_is_answered_with_a700(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OutOfResources("the spool has no room or cannot be written")

    node = start()
    monkeypatch.setattr(Spool, "enter", full)
    assert node.send(outgoing_image(tmp_path / "out"))[0].status == 0xA700
    assert len(node.lines("instance.refused")) == 1


def test_an_unexpected_error_is_answered_with_c0ff_and_the_next_object_is_taken(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = start()
    item = outgoing_image(tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr("node.dicom.intake.check", lambda *args: 1 / 0)
        assert node.send(item)[0].status == 0xC0FF
    assert node.send(item)[0].status == 0x0000


def test_refusals_and_log_name_no_patient(start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node = start()
    ds = image(PatientName="Secretname^Xavier", PatientID="SECRET77", StudyDescription="Secretname again")
    node.send(outgoing(tmp_path, encoded(ds)[:-10], str(ds.SOPInstanceUID)))
    node.send(outgoing_image(tmp_path / "out", PatientName="Secretname^Xavier", StudyInstanceUID="Secretname"))
    output = capsys.readouterr()
    said = output.out + output.err + "".join(node.lines("instance.refused"))
    assert len(node.lines("instance.refused")) == 2
    assert "Secret" not in said
    assert "SECRET" not in said


def test_a_stranger_is_rejected_as_not_recognised(start: Start) -> None:
    node = start(peers=(Peer(ae_title="MR1"), Peer(ae_title="MR2", address="192.0.2.0/24")))
    echo("127.0.0.1", node.receiver.port, "OVERREAD", "MR1")
    assert _rejection(node, calling="MR9") == (1, 1, 3)
    assert _rejection(node, calling="MR2") == (1, 1, 3)  # known, but from another address
    node.settle()
    assert {line.split(" at ")[0] for line in node.lines("association.rejected")} == {
        "An association from MR9",
        "An association from MR2",
    }


def test_another_called_title_is_rejected_only_where_that_is_asked_for(start: Start) -> None:
    echo("127.0.0.1", start().receiver.port, "SOMEONE", "MR1")
    node = start(require_called_ae_title=True)
    echo("127.0.0.1", node.receiver.port, "OVERREAD", "MR1")
    assert _rejection(node, called="SOMEONE") == (1, 1, 7)


def test_one_association_too_many_is_rejected_until_another_ends(start: Start) -> None:
    node = start(max_associations=2)
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(_association(node))
        assert _rejection(node) == (2, 3, 2)
    node.settle()
    echo("127.0.0.1", node.receiver.port, "OVERREAD", "MR1")


def test_a_lost_connection_releases_the_study_too(start: Start, tmp_path: Path) -> None:
    node = start()
    with _association(node) as assoc:
        assert _c_store(assoc, image()).Status == 0x0000
        assoc.dul.socket.socket.shutdown(socket.SHUT_RDWR)
        wait_until_over(assoc)
    node.settle()
    assert len(node.lines("study.released")) == 1


def test_an_abort_releases_the_study_too(start: Start) -> None:
    node = start()
    with _association(node) as assoc:
        assert _c_store(assoc, image()).Status == 0x0000
        assoc.abort()
    node.settle()
    assert len(node.lines("study.released")) == 1


def test_an_idle_association_is_ended_after_the_time_set(start: Start) -> None:
    node = start(idle_seconds=0.3)
    with _association(node) as assoc:
        deadline = time.monotonic() + 5
        while assoc.is_established and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not assoc.is_established


def test_a_peer_that_stops_within_a_pdu_holds_no_thread(start: Start) -> None:
    node = start(read_seconds=0.3)
    with socket.create_connection(("127.0.0.1", node.receiver.port)) as stuck:
        stuck.sendall(b"\x01\x00\x00\x00\x01\x00half")
        stuck.settimeout(5)
        assert stuck.recv(1000) == b""
    node.settle()


def test_a_pdu_of_four_gigabytes_ends_the_connection(start: Start) -> None:
    node = start()
    with socket.create_connection(("127.0.0.1", node.receiver.port)) as hostile:
        hostile.sendall(struct.pack(">BBL", 1, 0, 0xFFFFFFF0))
        hostile.settimeout(5)
        assert hostile.recv(1000)[:1] == b"\x07"
    node.settle()


def test_a_connection_that_closes_at_once_is_no_association(start: Start) -> None:
    node = start(max_associations=1)
    for _ in range(5):
        socket.create_connection(("127.0.0.1", node.receiver.port)).close()
    eventually("no connection is left", lambda: node.receiver.connections() == 0, 2)
    echo("127.0.0.1", node.receiver.port, "OVERREAD", "MR1")


def test_associations_that_do_not_end_are_aborted_together_when_the_receiver_stops(start: Start) -> None:
    node = start()
    with ExitStack() as stack:
        opened = [stack.enter_context(_association(node)) for _ in range(5)]
        began = time.monotonic()
        node.receiver.stop(0.2)
        assert time.monotonic() - began < 3.0
        for assoc in opened:
            wait_until_over(assoc)
        assert [assoc.is_established for assoc in opened] == [False] * 5
        assert [assoc.is_aborted for assoc in opened] == [True] * 5


def test_garbage_on_the_port_does_no_harm(start: Start, tmp_path: Path) -> None:
    node = start()
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", bytes(1000), b"\x01\x00\x00\x00\x00\x44" + bytes(68)):
        with socket.create_connection(("127.0.0.1", node.receiver.port)) as peer:
            peer.sendall(garbage)
    assert node.send(outgoing_image(tmp_path / "out"))[0].ok


def test_query_and_worklist_are_no_storage_classes() -> None:
    for uid in ("1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.31", "1.2.840.10008.1.20.1", "1.2.840.10008.1.1"):
        assert not is_storage(uid)
    assert is_storage(MR)
    assert is_storage(PRIVATE_CLASS)


def test_the_first_proposed_transfer_syntax_that_is_known_is_accepted(start: Start) -> None:
    node = start()
    proposed = [
        build_context(MR, ["1.2.840.113619.5.2", IMPLICIT, EXPLICIT]),
        build_context(MR, ["1.2.840.113619.5.2"]),
    ]
    with associated(proposed, "127.0.0.1", node.receiver.port, "OVERREAD", "MR1", 10.0) as assoc:
        assert [cx.transfer_syntax[0] for cx in assoc.accepted_contexts] == [IMPLICIT]
        assert [cx.result for cx in assoc.rejected_contexts] == [4]  # transfer syntaxes not supported, PS3.8 table 9-18


def test_every_transfer_syntax_of_pydicom_is_supported() -> None:
    (context,) = contexts_for([build_context(MR)])
    assert {str(uid) for uid in AllTransferSyntaxes} <= set(TRANSFER_SYNTAXES)
    assert {str(uid) for uid in context.transfer_syntax} == set(TRANSFER_SYNTAXES)
    assert set(transfer_syntaxes("1.2.840.10008.1.1")) == {IMPLICIT, EXPLICIT, BIG}


def test_accepted_sockets_do_not_delay_small_packets(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    options: list[int] = []

    class Watched(Wire):
        def __init__(self, connection: socket.socket, limits: Limits) -> None:
            options.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            super().__init__(connection, limits)

    monkeypatch.setattr("node.dicom.scp.server.Wire", Watched)
    echo("127.0.0.1", start().receiver.port, "OVERREAD", "MR1")
    assert options == [1]


@pytest.mark.peer
def test_storescu_of_dcmtk_and_its_refusals(
    start: Start, tmp_path: Path, peer: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TCP_NODELAY", "1")
    node = start()
    good, bad = outgoing_image(tmp_path / "out"), outgoing_image(tmp_path / "out", StudyInstanceUID=None)
    command = [peer("storescu"), "-v", "127.0.0.1", str(node.receiver.port), str(good.path), str(bad.path)]
    done = subprocess.run([*command[:1], "-R", *command[1:]], capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert "Received Store Response (Success)" in said
    assert "CannotUnderstand" in said
    node.settle()
    assert len(list(node.spool.files())) == 1


def _ui(number: int, value: str) -> bytes:
    raw = value.encode("latin-1")
    raw += b"\0" * (len(raw) % 2)
    return struct.pack("<HH2sH", 8, number, b"UI", len(raw)) + raw


def _association(node: Node) -> Any:
    return associated([build_context(MR, EXPLICIT)], "127.0.0.1", node.receiver.port, "OVERREAD", "MR1", 10.0)


def _c_store(assoc: Any, ds: Dataset) -> Dataset:
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(EXPLICIT)
    answer: Dataset = assoc.send_c_store(ds)
    return answer


def _store_raw(node: Node, data: bytes | None, sop_instance: str | None) -> Any:
    """Send what pynetdicom would refuse to send; give its answer, or nothing."""
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID = UID(MR)
    request._affected_sop_instance_uid = UID(sop_instance) if sop_instance else None
    request.DataSet = None if data is None else BytesIO(data)
    with _association(node) as assoc:
        assoc._reactor_checkpoint.clear()
        assoc.dimse.send_msg(request, 1)
        _, answer = assoc.dimse.get_msg(block=True)
        assoc._reactor_checkpoint.set()
    node.settle()
    return answer or Dataset()


def _rejection(node: Node, calling: str = "MR1", called: str = "OVERREAD") -> tuple[int, int, int]:
    with raw.connected(node) as user:
        user.send(raw.request(calling=calling, called=called))
        kind, body = user.pdu()
    assert kind == raw.REJECT
    with pytest.raises(DeliveryError, match="rejected the association"):
        echo("127.0.0.1", node.receiver.port, called, calling)
    return body[1], body[2], body[3]
