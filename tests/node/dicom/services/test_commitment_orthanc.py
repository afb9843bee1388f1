"""Orthanc as the requester of storage commitment: it asks, releases, and is told on an association of the node's."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from node.delivery.commitment import Reporter
from node.dicom.sender import send
from node.records.commitments import Reference
from node.settings import DicomSection, Peer, Settings
from tests.node.dicom.conftest import Node
from tests.node.dicom.objects import MR, outgoing_image
from tests.nodes import running
from tests.peers import Orthanc, eventually, free_port

pytestmark = pytest.mark.peer
LOST = (MR, "1.2.840.99.2")


@contextmanager
def orthanc(program: str, folder: Path, node_port: int) -> Iterator[Orthanc]:
    """Run an Orthanc that knows the node."""
    modality = {"AET": "OVERREAD", "Host": "127.0.0.1", "Port": node_port, "AllowStorageCommitment": True}
    server = Orthanc(program, folder, DicomModalities={"node": modality})
    try:
        yield server
    finally:
        server.stop()


def ask(server: Orthanc, *references: Reference) -> str:
    """Have Orthanc ask for commitment; returns where its REST interface tells the outcome."""
    named = [{"SOPClassUID": sop_class, "SOPInstanceUID": uid} for sop_class, uid in references]
    url = f"http://127.0.0.1:{server.http_port}/modalities/node/storage-commitment"
    request = urllib.request.Request(url, json.dumps({"DicomInstances": named}).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return str(json.load(answer)["Path"])


def outcome(server: Orthanc, path: str) -> dict[str, Any] | None:
    """Return what Orthanc was told; None while it waits."""
    told: dict[str, Any] = server.get(path)
    return None if told["Status"] == "Pending" else told


@contextmanager
def reporting(node: Node, peer: Peer) -> Iterator[None]:
    """Run the gateway's loop for a peer."""
    stop = threading.Event()
    reporter = Reporter(peer, Settings(dicom=DicomSection(peers=(peer,))), node.records, node.spool)

    def loop() -> None:
        while not stop.wait(0.1):
            reporter.work()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_orthanc_is_told_what_is_safe_and_what_is_not(
    start: Callable[..., Node], peer: Callable[[str], str], tmp_path: Path
) -> None:
    station = Peer(ae_title="ORTHANC", host="127.0.0.1", port=free_port())
    node = start(peers=[station.model_dump()])
    with orthanc(peer("Orthanc"), tmp_path / "orthanc", node.receiver.port) as server:
        station = station.model_copy(update={"port": server.dicom_port})
        sent = [outgoing_image(tmp_path / "sent") for _ in range(3)]
        node.send(*sent, calling="ORTHANC")
        stored = [(item.sop_class, item.sop_instance) for item in sent]
        with reporting(node, station):
            good = ask(server, *stored)
            told = eventually("Orthanc was told", lambda: outcome(server, good), 20)
            assert told["Status"] == "Success"
            assert {item["SOPInstanceUID"] for item in told["Success"]} == {uid for _, uid in stored}
            bad = ask(server, *stored, LOST)
            told = eventually("Orthanc was told", lambda: outcome(server, bad), 20)
        assert told["Status"] == "Failure"
        assert [(item["SOPInstanceUID"], item["FailureReason"]) for item in told["Failures"]] == [(LOST[1], 0x0112)]
        assert len(told["Success"]) == 3


@pytest.mark.e2e
def test_a_whole_node_commits_to_orthanc_what_it_received(peer: Callable[[str], str], tmp_path: Path) -> None:
    program, dicom_port = peer("Orthanc"), free_port()
    station = f'[[dicom.peers]]\nae_title = "ORTHANC"\nhost = "127.0.0.1"\nport = {dicom_port}\n'
    with running(tmp_path / "node", station) as node:
        modality = {"AET": "OVERREAD", "Host": "127.0.0.1", "Port": node.dicom_port, "AllowStorageCommitment": True}
        server = Orthanc(program, tmp_path / "orthanc", DicomModalities={"node": modality}, DicomPort=dicom_port)
        try:
            sent = [outgoing_image(tmp_path / "sent") for _ in range(5)]
            answers = send(sent, "127.0.0.1", node.dicom_port, "OVERREAD", "ORTHANC")
            assert [answer.status for answer in answers] == [0] * 5
            path = ask(server, *((item.sop_class, item.sop_instance) for item in sent))
            told = eventually("Orthanc was told", lambda: outcome(server, path), 30)
            assert (told["Status"], len(told["Success"])) == ("Success", 5)
            assert len(eventually("the timeline says so", lambda: node.events("commitment.reported"), 10)) == 1
        finally:
            server.stop()
