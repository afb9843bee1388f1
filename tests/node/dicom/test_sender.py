from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from node.dicom.files import Outgoing, describe
from node.dicom.sender import SendOutcome, batches, echo, proposals, send
from node.errors import DeliveryError
from node.simulator.pacs import PacsSimulator
from tests.node.dicom.objects import BIG, EXPLICIT, IMPLICIT, MR, encoded, image, outgoing, outgoing_image
from tests.part10 import read_file


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
    assert (refused.ok, refused.status) == (False, 0x0122)
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


def test_more_than_128_contexts_take_more_associations_and_keep_the_order(tmp_path: Path) -> None:
    items = [Outgoing(tmp_path / str(n), f"1.2.{n}", f"1.3.{n}", EXPLICIT, 0) for n in range(150)]
    parts = list(batches(items))
    assert [item for part in parts for item in part] == items
    assert len(parts) == 3
    for part in parts:
        needed = {proposal for item in part if isinstance(item, Outgoing) for proposal in proposals(item)}
        assert len(needed) <= 128


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
    outcomes = send(items, "127.0.0.1", pacs.port, "SIM_PACS", "OVERREAD", 10.0)
    assert next(outcomes).ok
    pacs.abort_next = True
    tried = next(outcomes)
    assert (tried.ok, tried.status) == (False, None)
    with pytest.raises(DeliveryError, match="2 objects were not tried"):
        next(outcomes)


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
