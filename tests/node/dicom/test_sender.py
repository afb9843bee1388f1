from __future__ import annotations

import contextlib
import copy
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, RLELossless
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ

from node.dicom.files import Outgoing, describe
from node.dicom.scu import Remote
from node.dicom.sender import Sender, SendOutcome, echo, send
from node.errors import DeliveryError
from node.simulator.pacs import PacsSimulator
from tests.node.dicom.objects import (
    BIG,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    MR,
    PRIVATE_CLASS,
    encoded,
    image,
    outgoing,
    outgoing_image,
)
from tests.part10 import read_file
from tests.peers import eventually, free_port


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[PacsSimulator]:
    with PacsSimulator(tmp_path / "pacs") as simulator:
        yield simulator


def sent(pacs: PacsSimulator, *items: Path | Outgoing) -> list[SendOutcome]:
    return list(send(items, "127.0.0.1", pacs.port, "SIM_PACS", "OVERREAD", timeout=10.0))


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
def test_an_object_arrives_as_the_bytes_it_was(pacs: PacsSimulator, tmp_path: Path, syntax: str) -> None:
    ds = image()
    item = outgoing(tmp_path / "out", encoded(ds, syntax), str(ds.SOPInstanceUID), syntax=syntax)
    (outcome,) = sent(pacs, item.path)
    assert (outcome.status, outcome.ok, outcome.comment) == (0x0000, True, "")
    (received,) = pacs.received
    assert received.path == tmp_path / "pacs" / "1.2.3" / f"{ds.SOPInstanceUID}.dcm"
    meta, data = read_file(received.path)
    assert data == item.dataset()
    assert meta.transfer_syntax == syntax


def test_a_file_without_preamble_or_meta_is_sent_all_the_same(pacs: PacsSimulator, tmp_path: Path) -> None:
    for syntax in (EXPLICIT, IMPLICIT, BIG):
        path = tmp_path / syntax
        path.write_bytes(encoded(image(), syntax))
        assert describe(path).transfer_syntax == syntax
        assert sent(pacs, path)[0].ok
    assert len(pacs.received) == 3


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_uncompressed_object_is_converted_where_the_other_side_wants_that(
    pacs: PacsSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.dicom.scp.negotiation.TRANSFER_SYNTAXES", (IMPLICIT,))
    item = outgoing_image(tmp_path / "out")
    assert sent(pacs, item)[0].ok
    (received,) = pacs.received
    ds = dcmread(received.path)
    assert ds.file_meta.TransferSyntaxUID == IMPLICIT
    assert ds.PixelData == image().PixelData


def test_what_the_other_side_does_not_take_is_said_and_the_rest_is_sent(
    pacs: PacsSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.dicom.scp.negotiation.TRANSFER_SYNTAXES", (EXPLICIT,))
    ds = image()
    big = outgoing(tmp_path / "out", encoded(ds, BIG), str(ds.SOPInstanceUID), syntax=BIG)
    refused, taken = sent(pacs, big, outgoing_image(tmp_path / "out"))
    assert (refused.ok, refused.status, refused.word) == (False, None, "not accepted")
    assert taken.ok


def test_refusals_and_warnings_of_the_other_side_are_kept_apart(pacs: PacsSimulator, tmp_path: Path) -> None:
    pacs.answers.extend([0xA700, 0xB000, 0xC123, 0xA900])
    outcomes = sent(pacs, *(outgoing_image(tmp_path / "out") for _ in range(5)))
    assert [outcome.status for outcome in outcomes] == [0xA700, 0xB000, 0xC123, 0xA900, 0x0000]
    assert [outcome.ok for outcome in outcomes] == [False, True, False, False, True]
    assert "Warning 0xB000" in outcomes[1].comment
    assert outcomes[0].comment.startswith("Failure 0xA700; Refused: Out of Resources")
    outcomes[4].raise_for_status()
    for outcome, retryable in ((outcomes[0], True), (outcomes[2], True), (outcomes[3], False)):
        with pytest.raises(DeliveryError) as raised:
            outcome.raise_for_status()
        assert raised.value.retryable is retryable
        assert raised.value.status == f"0x{outcome.status:04X}"


def test_files_that_are_no_objects_have_outcomes_of_their_own(pacs: PacsSimulator, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("nothing here")
    outcomes = sent(pacs, text, outgoing_image(tmp_path / "out").path, tmp_path / "gone.dcm")
    assert [(outcome.ok, outcome.status) for outcome in outcomes] == [(False, None), (True, 0), (False, None)]


def test_one_association_carries_all(pacs: PacsSimulator, tmp_path: Path) -> None:
    seen: list[SendOutcome] = []
    items = [outgoing_image(tmp_path / "out") for _ in range(5)]
    list(send(items, "127.0.0.1", pacs.port, "SIM_PACS", "OVERREAD", 10.0, seen.append))
    assert [outcome.sop_uid for outcome in seen] == [item.sop_instance for item in items]
    assert pacs.associations == 1


def test_objects_of_more_than_128_contexts_take_more_associations_and_keep_the_order(
    pacs: PacsSimulator, tmp_path: Path
) -> None:
    items = []
    for number in range(150):
        sop_class = f"{PRIVATE_CLASS}.{number}"
        ds = image(SOPClassUID=sop_class)
        items.append(outgoing(tmp_path / "out", encoded(ds), str(ds.SOPInstanceUID), sop_class))
    outcomes = sent(pacs, *items)
    assert [outcome.status for outcome in outcomes] == [0] * 150
    assert [row.sop_instance for row in pacs.received] == [item.sop_instance for item in items]
    assert 1 < pacs.associations <= 4


def test_a_host_that_does_not_answer_is_a_delivery_error_that_may_pass() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    item = Outgoing(Path("x"), MR, "1.2.3", EXPLICIT, 0)
    for attempt in (
        lambda: echo("127.0.0.1", port, "A", "B", 2.0),
        lambda: list(send([item], "127.0.0.1", port, "A", "B", 2.0)),
    ):
        with pytest.raises(DeliveryError, match="does not answer") as raised:
            attempt()
        assert raised.value.retryable


def test_an_association_that_breaks_names_what_was_tried(pacs: PacsSimulator, tmp_path: Path) -> None:
    items = [outgoing_image(tmp_path / "out") for _ in range(4)]
    pacs.abort_next = True
    outcomes = send(items, "127.0.0.1", pacs.port, "SIM_PACS", "OVERREAD", 10.0)
    tried = next(outcomes)
    assert (tried.ok, tried.status, tried.word) == (False, None, "no answer")
    assert "aborted" in tried.comment
    with pytest.raises(DeliveryError, match="3 objects were not tried"):
        next(outcomes)


def kept(pacs: PacsSimulator) -> Sender:
    return Sender(Remote("127.0.0.1", pacs.port, "SIM_PACS", "OVERREAD", 5.0))


def test_an_association_is_used_again_and_released_after_a_rest(pacs: PacsSimulator, tmp_path: Path) -> None:
    sender = kept(pacs)
    for _ in range(3):
        assert [outcome.status for outcome in sender.send([outgoing_image(tmp_path / "out")])] == [0]
    assert pacs.associations == 1
    sender.rest(60.0)
    list(sender.send([outgoing_image(tmp_path / "out")]))
    assert pacs.associations == 1
    sender.rest(0.0)
    list(sender.send([outgoing_image(tmp_path / "out")]))
    assert pacs.associations == 2
    sender.close()


def test_a_kept_association_that_the_other_side_ended_is_replaced_and_nothing_is_lost(
    pacs: PacsSimulator, tmp_path: Path
) -> None:
    sender = kept(pacs)
    list(sender.send([outgoing_image(tmp_path / "out")]))
    pacs.stop()
    pacs.start()
    assert [outcome.status for outcome in sender.send([outgoing_image(tmp_path / "out") for _ in range(3)])] == [0] * 3
    assert pacs.associations == 2
    pacs.abort_next = True  # it breaks only when it is used: what was under way is sent once more
    assert [outcome.status for outcome in sender.send([outgoing_image(tmp_path / "out") for _ in range(3)])] == [0] * 3
    assert pacs.associations == 3
    assert len(pacs.received) == len({row.sop_instance for row in pacs.received}) == 7
    sender.close()


def test_a_sender_that_is_left_in_the_middle_begins_anew(pacs: PacsSimulator, tmp_path: Path) -> None:
    sender = kept(pacs)
    outcomes = sender.send([outgoing_image(tmp_path / "out") for _ in range(5)])
    assert next(outcomes).ok
    outcomes.close()
    last = outgoing_image(tmp_path / "out")
    assert [outcome.sop_uid for outcome in sender.send([last])] == [last.sop_instance]
    sender.close()


def test_an_object_of_many_pdus_arrives_whole(pacs: PacsSimulator, tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 4096, (1500, 1500), "<u2")
    item = outgoing_image(tmp_path / "out", Rows=1500, Columns=1500, PixelData=pixels.tobytes())
    assert sent(pacs, item)[0].ok
    assert read_file(pacs.received[0].path)[1] == item.dataset()


def segmentation(folder: Path, syntax: str) -> tuple[Outgoing, Dataset]:
    """Write a labelled multi-frame object in a transfer syntax; gives it and its data set as it was."""
    labels = np.random.default_rng(2).integers(0, 6, (4, 33, 21), "u1")
    ds = image(Rows=33, Columns=21, NumberOfFrames=4, PixelData=labels.tobytes(), PixelRepresentation=0)
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
    ds["PixelData"].VR = "OB"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(EXPLICIT)
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    made = copy.deepcopy(ds)
    if syntax == RLELossless:
        made.compress(RLELossless, generate_instance_uid=False)
    made.file_meta.TransferSyntaxUID = UID(syntax)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{ds.SOPInstanceUID}.dcm"
    made.save_as(path, enforce_file_format=True)
    return describe(path), ds


@pytest.mark.parametrize("taken", [IMPLICIT, EXPLICIT])
@pytest.mark.parametrize("syntax", [RLELossless, DEFLATED])
def test_a_compressed_object_reaches_a_peer_that_takes_only_uncompressed_ones_with_equal_pixels(
    pacs: PacsSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, syntax: str, taken: str
) -> None:
    monkeypatch.setattr("node.dicom.scp.negotiation.TRANSFER_SYNTAXES", (taken,))
    item, ds = segmentation(tmp_path / "out", syntax)
    (outcome,) = sent(pacs, item)
    assert (outcome.ok, outcome.status) == (True, 0)
    assert outcome.comment == f"sent in {UID(taken).name} instead of {UID(syntax).name}"
    received = dcmread(pacs.received[0].path)
    assert received.file_meta.TransferSyntaxUID == taken
    assert received.SOPInstanceUID == ds.SOPInstanceUID
    assert np.array_equal(received.pixel_array, ds.pixel_array)


@pytest.mark.peer
@pytest.mark.parametrize("syntax", [RLELossless, DEFLATED])
def test_a_compressed_object_reaches_dcmtk_that_takes_only_implicit_vr(
    peer: Callable[[str], str], tmp_path: Path, syntax: str
) -> None:
    port, folder = free_port(), tmp_path / "dcmtk"
    folder.mkdir()
    server = subprocess.Popen([peer("storescp"), "+xi", "-od", str(folder), str(port)])
    try:
        eventually("storescp listens", lambda: listens(port), 10)
        item, ds = segmentation(tmp_path / "out", syntax)
        (outcome,) = send([item], "127.0.0.1", port, "ANY", "OVERREAD", 10.0)
        assert (outcome.status, outcome.comment) == (0, f"sent in {UID(IMPLICIT).name} instead of {UID(syntax).name}")
    finally:
        server.terminate()
        server.wait()
    [path] = folder.iterdir()
    received = dcmread(path)
    assert received.file_meta.TransferSyntaxUID == IMPLICIT
    assert np.array_equal(received.pixel_array, ds.pixel_array)


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@pytest.mark.parametrize("syntax", [RLELossless, DEFLATED])
def test_a_compressed_object_goes_as_it_is_to_a_peer_that_takes_it(
    pacs: PacsSimulator, tmp_path: Path, syntax: str
) -> None:
    item, _ = segmentation(tmp_path / "out", syntax)
    (outcome,) = sent(pacs, item)
    assert (outcome.status, outcome.comment) == (0, "")
    assert read_file(pacs.received[0].path)[1] == item.dataset()


def test_an_object_that_can_be_neither_taken_nor_decoded_is_refused_with_the_reason(
    pacs: PacsSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.dicom.scp.negotiation.TRANSFER_SYNTAXES", (IMPLICIT,))
    item, _ = segmentation(tmp_path / "out", RLELossless)
    data = bytearray(item.path.read_bytes())
    del data[-400:]
    item.path.write_bytes(data)
    refused, taken = sent(pacs, item, outgoing_image(tmp_path / "out"))
    assert (refused.ok, refused.word) == (False, "not accepted")
    assert refused.comment == "the other side does not take RLE Lossless, and it cannot be decoded from RLE Lossless"
    assert taken.ok


def answers_with(data: bytes) -> Iterator[int]:
    """Listen on a port, and answer the first thing that comes with these bytes."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(1 << 16)
            connection.sendall(data)
            connection.recv(1 << 16)

    threading.Thread(target=serve, daemon=True).start()
    yield server.getsockname()[1]
    server.close()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "DICOM does not allow"),
        (bytes((2, 0, 0, 0, 0, 4)) + b"abcd", "accepts none"),
        (bytes((7, 0, 0, 0, 0, 4, 0, 0, 0, 0)), "aborted"),
        (bytes((3, 0, 0, 0, 0, 4, 0, 1, 1, 7)), "called ae title not recognised"),
        (b"", "did not answer within 1 s"),
    ],
    ids=["web server", "broken", "abort", "reject", "silence"],
)
def test_an_answer_that_is_no_association_says_what_is_wrong(tmp_path: Path, data: bytes, said: str) -> None:
    for port in answers_with(data):
        with pytest.raises(DeliveryError) as raised:
            list(send([outgoing_image(tmp_path / "out")], "127.0.0.1", port, "A", "B", 1.0))
        assert said in str(raised.value).lower().replace("dicom", "DICOM")


def accepted(request: bytes, number: int = 1) -> bytes:
    """Return an A-ASSOCIATE-AC that accepts one presentation context with the first transfer syntax it offers."""
    asked = A_ASSOCIATE_RQ()
    asked.decode(request)
    answer = asked.to_primitive()
    [wanted, *_] = answer.presentation_context_definition_list
    wanted.transfer_syntax, wanted.result = [wanted.transfer_syntax[0]], 0
    answer.result, answer.result_source = 0, 1
    answer.presentation_context_definition_results_list = [wanted]
    pdu = A_ASSOCIATE_AC()
    pdu.from_primitive(answer)
    pdu.presentation_context[0].presentation_context_id = number
    return bytes(pdu.encode())


@pytest.mark.parametrize(
    ("number", "said"),
    [(2, "what DICOM does not allow"), (1, "did not answer within 1 s")],
    ids=["an id that there is not", "an answer without end"],
)
def test_a_peer_that_makes_no_sense_is_given_up(tmp_path: Path, number: int, said: str) -> None:
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(accepted(connection.recv(1 << 16), number))
            while True:  # empty fragments of a command, none of them the last
                connection.sendall(bytes((4, 0, 0, 0, 0, 6, 0, 0, 0, 2, 1, 1)))
                time.sleep(0.05)

    threading.Thread(target=serve, daemon=True).start()
    with server:
        where = ("127.0.0.1", server.getsockname()[1], "A", "B", 1.0)
        began = time.monotonic()
        try:
            [outcome] = send([outgoing_image(tmp_path / "out")], *where)
            reason = outcome.reason
        except DeliveryError as exc:
            reason = str(exc)
    assert said in reason
    assert time.monotonic() - began < 5


def test_c_echo_is_answered(pacs: PacsSimulator) -> None:
    echo("127.0.0.1", pacs.port, "SIM_PACS", "OVERREAD")


@pytest.mark.data
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_real_files_of_every_kind_are_described_as_pydicom_does(real_data: Callable[[str], Path]) -> None:
    count = 0
    for path in sorted((real_data("dicom-pydicom") / "test_files").glob("*.dcm")):
        try:
            item = describe(path)
        except Exception:  # noqa: S112  pydicom's collection has files without any identity
            continue
        ds = dcmread(path, force=True, stop_before_pixels=True)
        assert item.sop_instance == ds.get("SOPInstanceUID", item.sop_instance)
        assert item.sop_class == ds.get("SOPClassUID", item.sop_class)
        assert item.dataset()[:8] != b"\x02\0\0\0UL\x04\0"
        count += 1
    assert count > 70
