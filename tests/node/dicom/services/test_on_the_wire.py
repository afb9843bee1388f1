"""The services as a peer sees them: through associations with a receiver."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

from node.delivery.commitment import Reporter
from node.dicom.files import Outgoing
from node.dicom.uid import is_uid
from node.records.commitments import Reference
from node.records.expectations import of_study
from node.settings import DicomSection, Peer, Settings
from node.simulator.commitment import CommitmentReport, Inbox, listening, requesting
from node.simulator.scu import Scu, availability, step_created, step_set
from tests.node.dicom.conftest import Node
from tests.node.dicom.objects import MR, outgoing_image
from tests.peers import eventually

Start = Callable[..., Node]
TRANSACTION = "1.2.840.99.1"
LOST = (MR, "1.2.840.99.2")


def reference(item: Outgoing) -> Reference:
    return item.sop_class, item.sop_instance


def test_a_requester_is_told_on_its_own_association_what_is_safe_and_what_is_not(start: Start, tmp_path: Path) -> None:
    node, inbox = start(), Inbox()
    sent = [outgoing_image(tmp_path / "sent") for _ in range(3)]
    assert [outcome.status for outcome in node.send(*sent)] == [0, 0, 0]
    stored = tuple(map(reference, sent))
    with requesting(inbox, "127.0.0.1", node.receiver.port, "OVERREAD", "MR1") as requester:
        assert requester.request(TRANSACTION, [*stored, LOST]) == 0x0000
        assert inbox.wait_for(1, 10)
        assert requester.request(f"{TRANSACTION}.1", stored) == 0x0000, "the association goes on"
        assert inbox.wait_for(2, 10)
    first, second = inbox.reports
    assert (first.transaction_uid, first.event_type) == (TRANSACTION, 2)
    assert (first.committed, first.failed) == (stored, ((*LOST, 0x0112),))
    assert (second.event_type, second.committed, second.failed) == (1, stored, ())
    eventually("the answer is recorded", lambda: node.lines("commitment.reported"), 10)
    assert len(node.lines("commitment.incomplete")) == 1


def test_a_requester_that_releases_at_once_is_told_on_an_association_of_the_nodes(start: Start, tmp_path: Path) -> None:
    inbox = Inbox()
    with listening(inbox, "STATION") as port:
        peers = (Peer(ae_title="STATION", host="127.0.0.1", port=port),)
        node = start(peers=[peer.model_dump() for peer in peers])
        sent = outgoing_image(tmp_path / "sent")
        node.send(sent, calling="STATION")
        with requesting(inbox, "127.0.0.1", node.receiver.port, "OVERREAD", "STATION") as requester:
            assert requester.request(TRANSACTION, [reference(sent)]) == 0x0000
        reporter = Reporter(peers[0], Settings(dicom=DicomSection(peers=peers)), node.records, node.spool)
        assert reporter.work() == 1
        assert inbox.reports == [CommitmentReport(TRANSACTION, 1, (reference(sent),), (), "OVERREAD")]


def test_a_modality_tells_its_procedure_step(start: Start) -> None:
    node = start()
    scu = Scu("127.0.0.1", node.receiver.port, "OVERREAD", "MR1")
    images = [(MR, "1.2.3.1"), (MR, "1.2.3.2")]
    answers = [
        scu.create_step("1.2.840.1", step_created("1.2.3")),
        scu.create_step("1.2.840.1", step_created("1.2.3")),
        scu.set_step("1.2.840.9", step_set("COMPLETED", images)),
        scu.set_step("1.2.840.1", step_set("IN PROGRESS", images[:1])),
        scu.set_step("1.2.840.1", step_set("COMPLETED", images)),
        scu.set_step("1.2.840.1", step_set("COMPLETED", images)),
    ]
    assert answers == [0x0000, 0x0111, 0x0112, 0x0000, 0x0000, 0x0110]
    with node.records.read() as session:
        [row] = of_study(session, "1.2.3")
    assert (row.source, row.instances, row.final) == ("mpps", ["1.2.3.1", "1.2.3.2"], True)


def test_an_archive_tells_what_is_available(start: Start) -> None:
    node = start()
    scu = Scu("127.0.0.1", node.receiver.port, "OVERREAD", "ARCHIVE")
    ds = availability("1.2.3", [(MR, "1.2.3.1")])
    assert [scu.notify(uid, ds) for uid in (None, "1.2.840.2", "1.2.840.2")] == [0, 0, 0]
    with node.records.read() as session:
        rows = of_study(session, "1.2.3")
    assert [row.instances for row in rows] == [["1.2.3.1"], ["1.2.3.1"]]
    assert is_uid(rows[0].reference)


def test_a_request_of_a_thousand_references_is_answered(start: Start) -> None:
    node, inbox = start(), Inbox()
    named = [(MR, f"2.25.{uuid.uuid4().int}") for _ in range(1000)]
    with requesting(inbox, "127.0.0.1", node.receiver.port, "OVERREAD", "MR1") as requester:
        assert requester.request(TRANSACTION, named) == 0x0000
        assert inbox.wait_for(1, 30)
    assert [(sop_class, uid) for sop_class, uid, _ in inbox.reports[0].failed] == named
