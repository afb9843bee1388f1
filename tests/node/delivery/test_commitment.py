from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from sqlalchemy import select

from node.delivery import commitment
from node.delivery.commitment import Reporter, loops
from node.dicom.part10 import PREAMBLE, Command, file_meta
from node.dicom.services import commitment as service
from node.dicom.services.commitment import STORAGE_COMMITMENT
from node.records import commitments
from node.records.commitments import Asked, Reference
from node.records.engine import Records
from node.records.schema import Commitment, Event, now
from node.records.states import CommitmentState
from node.settings import DeliverySection, DicomSection, Peer, Settings
from node.simulator.commitment import CommitmentReport, Inbox, listening
from node.storage import Spool
from node.storage.seal import seal_of
from tests.peers import free_port

MR = "1.2.840.10008.5.1.4.1.1.4"
THERE, ABSENT = (MR, "1.2.3.1"), (MR, "1.2.3.2")


class Node:
    """A node that knows STATION at some port, and what it keeps."""

    def __init__(self, folder: Path, records: Records, port: int) -> None:
        self.records, self.spool = records, Spool(folder / "spool")
        self.spool.root.mkdir(exist_ok=True)
        dicom = DicomSection(peers=(Peer(ae_title="STATION", host="127.0.0.1", port=port), Peer(ae_title="SILENT")))
        self.settings = Settings(dicom=dicom, delivery=DeliverySection(timeout_seconds=5.0))

    def keep(self, reference: Reference) -> None:
        sop_class, uid = reference
        data = b"\x08\0\x18\0UI\x08\0" + uid.encode().ljust(8, b"\0")
        path = self.spool.root / self.spool.name(uid)
        path.parent.mkdir(parents=True, exist_ok=True)
        meta = file_meta(Command(sop_class, uid, "1.2.840.10008.1.2.1"))
        path.write_bytes(seal_of(data).preamble() + meta[len(PREAMBLE) :] + data)

    def asked(self, uid: str, *references: Reference, calling: str = "STATION", called: str = "OVERREAD") -> None:
        with self.records.write() as session:
            commitments.request(session, Asked(uid, calling, called, "127.0.0.1", references), now())

    def work(self) -> int:
        """Work as a process that was just started does."""
        return Reporter(self.settings.dicom.peers[0], self.settings, self.records, self.spool).work()

    def row(self) -> Commitment:
        with self.records.read() as session:
            return session.scalars(select(Commitment).order_by(Commitment.id)).one()

    def hurry(self) -> None:
        """Let the wait for the next try be over."""
        with self.records.write() as session:
            for row in session.scalars(select(Commitment)):
                row.next_at = now()

    def lines(self, kind: str) -> list[str]:
        with self.records.read() as session:
            return list(session.scalars(select(Event.text).where(Event.kind == kind)))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "NAMING_SECONDS", 0.0)


@contextmanager
def station(tmp_path: Path, records: Records, *answers: int, role: bool = True) -> Iterator[tuple[Node, Inbox]]:
    inbox = Inbox()
    inbox.answers.extend(answers)
    with listening(inbox, "STATION", role=role) as port:
        yield Node(tmp_path, records, port), inbox


@pytest.mark.parametrize("role", [True, False], ids=["with role selection", "without role selection"])
def test_a_station_is_told_on_a_new_association_that_all_is_safe(tmp_path: Path, records: Records, role: bool) -> None:
    with station(tmp_path, records, role=role) as (node, inbox):
        node.keep(THERE)
        node.asked("1.2.9", THERE)
        assert node.work() == 1
        assert inbox.reports == [CommitmentReport("1.2.9", 1, (THERE,), (), "OVERREAD")]
        row = node.row()
        assert (row.state, row.attempts, row.failures) == (CommitmentState.REPORTED, 1, [])
        assert row.reported_at is not None
        assert node.lines("commitment.reported") == ["Storage of 1 instance was committed to STATION."]
        assert node.work() == 0, "a report that was taken is not sent again"


def test_the_node_proposes_that_it_is_the_provider(tmp_path: Path, records: Records) -> None:
    proposed: list[tuple[str, bool | None, bool | None]] = []
    ae = ApplicationEntity("STATION")
    ae.add_supported_context(STORAGE_COMMITMENT, scu_role=True, scp_role=True)
    inbox = Inbox()

    def requested(event: evt.Event) -> None:
        roles = event.assoc.requestor.role_selection
        proposed.extend((uid, role.scu_role, role.scp_role) for uid, role in roles.items())

    handlers: list[tuple[evt.NotificationEvent | evt.InterventionEvent, object]] = [
        (evt.EVT_REQUESTED, requested),
        (evt.EVT_N_EVENT_REPORT, inbox.take),
    ]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)  # type: ignore[arg-type]
    assert server is not None
    try:
        node = Node(tmp_path, records, int(server.server_address[1]))
        node.asked("1.2.9", ABSENT)
        node.work()
    finally:
        server.shutdown()
    assert proposed == [(STORAGE_COMMITMENT, False, True)]
    assert len(inbox.reports) == 1


def test_a_station_is_told_what_is_not_safe_and_why(tmp_path: Path, records: Records) -> None:
    with station(tmp_path, records) as (node, inbox):
        node.keep(THERE)
        node.asked("1.2.9", THERE, ABSENT)
        node.work()
        assert inbox.reports == [CommitmentReport("1.2.9", 2, (THERE,), ((*ABSENT, 0x0112),), "OVERREAD")]
        assert node.row().state is CommitmentState.REPORTED
        [line] = node.lines("commitment.incomplete")
        assert line == "1 of 2 instances could not be committed to STATION, which was told so."


def test_the_node_reports_under_the_title_that_it_was_called_by(tmp_path: Path, records: Records) -> None:
    with station(tmp_path, records) as (node, inbox):
        node.asked("1.2.8", ABSENT, called="ARCHIVE")
        node.asked("1.2.9", ABSENT, called="OVERREAD")
        assert node.work() == 2
        told = {(report.transaction_uid, report.calling_ae_title) for report in inbox.reports}
        assert told == {("1.2.8", "ARCHIVE"), ("1.2.9", "OVERREAD")}


def test_many_reports_go_over_one_association(tmp_path: Path, records: Records) -> None:
    with station(tmp_path, records) as (node, inbox):
        uids = [f"1.2.9.{number}" for number in range(10)]
        for uid in uids:
            node.asked(uid, ABSENT)
        assert node.work() == 10
        assert [report.transaction_uid for report in inbox.reports] == uids


def test_what_takes_long_to_look_at_does_not_hold_back_what_was_looked_at(
    tmp_path: Path, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commitment, "LOOKING_SECONDS", -1.0)
    with station(tmp_path, records) as (node, inbox):
        node.asked("1.2.8", ABSENT)
        node.asked("1.2.9", ABSENT)
        assert [node.work(), len(inbox.reports), node.work(), len(inbox.reports), node.work()] == [1, 1, 1, 2, 0]


def test_a_station_that_is_away_is_told_later_also_by_a_node_that_was_restarted(
    tmp_path: Path, records: Records
) -> None:
    inbox, port = Inbox(), free_port()
    node = Node(tmp_path, records, port)
    node.keep(THERE)
    node.asked("1.2.9", THERE)
    assert node.work() == 1
    row = node.row()
    assert (row.state, row.attempts) == (CommitmentState.RETRYING, 1)
    assert row.next_at > now()
    assert node.work() == 0, "not before its time"
    assert "attempt 1; again at" in node.lines("commitment.retrying")[0]
    node.hurry()
    with listening(inbox, "STATION", port=port):
        assert node.work() == 1
    assert [report.event_type for report in inbox.reports] == [1]
    assert (node.row().state, node.row().attempts) == (CommitmentState.REPORTED, 2)


def test_waits_grow_and_end_after_the_days_that_are_configured(tmp_path: Path, records: Records) -> None:
    node = Node(tmp_path, records, free_port())
    node.asked("1.2.9", ABSENT)
    waits = []
    for _ in range(4):
        node.hurry()
        node.work()
        waits.append(node.row().next_at - now())
    assert waits[3] > 2 * waits[0]
    with records.write() as session:
        row = session.scalars(select(Commitment)).one()
        row.next_at, row.created_at = now(), now() - dt.timedelta(days=8)
    node.work()
    assert node.row().state is CommitmentState.FAILED
    assert "was given up" in node.lines("commitment.failed")[0]


def test_an_answer_that_may_change_is_tried_again(tmp_path: Path, records: Records) -> None:
    with station(tmp_path, records, 0x0110, 0x0213) as (node, inbox):
        node.asked("1.2.9", ABSENT)
        for state in (CommitmentState.RETRYING, CommitmentState.RETRYING, CommitmentState.REPORTED):
            node.hurry()
            node.work()
            assert node.row().state is state
        assert len(inbox.reports) == 3


def test_an_answer_that_will_not_change_ends_it(tmp_path: Path, records: Records) -> None:
    with station(tmp_path, records, 0x0115) as (node, inbox):
        node.asked("1.2.9", ABSENT)
        node.work()
        assert (node.row().state, node.row().reason) == (
            CommitmentState.FAILED,
            "the report was answered with 0x0115",
        )
        node.hurry()
        assert (node.work(), len(inbox.reports)) == (0, 1)


def test_one_refused_report_does_not_hold_back_the_others(tmp_path: Path, records: Records) -> None:
    with station(tmp_path, records, 0x0110, 0x0000) as (node, inbox):
        node.asked("1.2.8", ABSENT)
        node.asked("1.2.9", ABSENT)
        node.work()
        with records.read() as session:
            states = list(session.scalars(select(Commitment.state).order_by(Commitment.id)))
        assert states == [CommitmentState.RETRYING, CommitmentState.REPORTED]
        assert len(inbox.reports) == 2


def test_what_arrived_since_a_report_was_not_taken_is_committed_by_the_next(tmp_path: Path, records: Records) -> None:
    with station(tmp_path, records, 0x0110) as (node, inbox):
        node.keep(THERE)
        node.asked("1.2.9", THERE, ABSENT)
        node.work()
        assert node.row().failures == [[*ABSENT, 0x0112]]
        node.keep(ABSENT)
        node.hurry()
        node.work()
        assert [report.event_type for report in inbox.reports] == [2, 1]
        assert node.row().failures == []


def test_a_station_that_accepts_no_commitment_is_tried_again(tmp_path: Path, records: Records) -> None:
    ae = ApplicationEntity("STATION")
    ae.add_supported_context("1.2.840.10008.1.1")
    server = ae.start_server(("127.0.0.1", 0), block=False)
    assert server is not None
    try:
        node = Node(tmp_path, records, int(server.server_address[1]))
        node.asked("1.2.9", ABSENT)
        node.work()
    finally:
        server.shutdown()
    assert node.row().state is CommitmentState.RETRYING
    assert "accepts none of the SOP classes" in node.row().reason


def test_the_gateway_gets_a_loop_for_each_peer_that_can_be_called_and_one_for_the_rest(
    tmp_path: Path, records: Records
) -> None:
    node = Node(tmp_path, records, free_port())
    assert [loop.name for loop in loops(node.settings, records, node.spool)] == ["commitment STATION", "commitment"]


def test_overdue_reports_of_those_who_cannot_be_called_are_given_up(tmp_path: Path, records: Records) -> None:
    node = Node(tmp_path, records, free_port())
    node.asked("1.2.9", ABSENT, calling="SILENT")
    rest = loops(node.settings, records, node.spool)[-1]
    assert [rest.work(), rest.work()] == [1, 0]
    assert node.row().state is CommitmentState.FAILED


def test_reports_of_those_who_can_be_called_are_nobody_elses_to_give_up(tmp_path: Path, records: Records) -> None:
    node = Node(tmp_path, records, free_port())
    node.asked("1.2.9", ABSENT)
    assert loops(node.settings, records, node.spool)[-1].work() == 0
    assert node.row().state is CommitmentState.REQUESTED
