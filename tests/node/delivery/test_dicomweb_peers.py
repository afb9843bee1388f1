"""STOW-RS through the outbox, and against servers that were not written for these tests: Orthanc, the node itself."""

from __future__ import annotations

import datetime as dt
import os
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from node.delivery.dicomweb import DicomWebTransport
from node.delivery.outbox import Outbox
from node.records.engine import Records
from node.records.schema import Delivery, Event, now
from node.records.states import DeliveryState
from node.settings import Destination, NodeSection, Settings
from tests import factories
from tests.node.delivery.stow import Received, Reply, deliver, items, module, serving
from tests.node.dicom.takers import part10
from tests.node.web import test_stow_server as own
from tests.peers import Orthanc

PLUGIN = "libOrthancDicomWeb.so"


@pytest.fixture
def orthanc(tmp_path: Path, peer: Callable[[str], str]) -> Iterator[Callable[..., Orthanc]]:
    """Give a function that starts an Orthanc with its DICOMweb plugin."""
    places = [Path("/usr/share/orthanc/plugins") / PLUGIN, Path("/usr/lib/orthanc") / PLUGIN]
    found = next((place for place in places if place.exists()), None)
    if found is None:
        reason = f"Orthanc's DICOMweb plugin is not installed (looked for {PLUGIN})"
        if os.environ.get("OVERREAD_REQUIRE_PEERS") == "1":
            pytest.fail(f"{reason}, and OVERREAD_REQUIRE_PEERS=1")
        pytest.skip(reason)
    started: list[Orthanc] = []

    def start(**options: object) -> Orthanc:
        server = Orthanc(peer("Orthanc"), tmp_path / "orthanc", Plugins=[str(found)], **options)
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


def url(server: Orthanc) -> str:
    return f"http://127.0.0.1:{server.http_port}/dicom-web"


def file_of(server: Orthanc, key: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.http_port}/instances/{key}/file", timeout=10) as answer:
        return bytes(answer.read())


@pytest.mark.peer
def test_orthanc_keeps_what_it_says_it_keeps_and_one_bad_object_holds_back_no_other(
    tmp_path: Path, orthanc: Callable[..., Orthanc]
) -> None:
    server = orthanc()
    what = items(tmp_path / "results", 60)
    bad = what[7]
    bad.path.write_bytes(b"no DICOM at all")
    transport = DicomWebTransport()
    outcomes = {o.delivery: o for o in deliver(url(server), what, transport, 30)}
    assert {number for number, o in outcomes.items() if not o.ok} == {bad.delivery}
    assert (outcomes[bad.delivery].status, outcomes[bad.delivery].reason) == ("400", "400 bad request")
    assert {o.status for o in outcomes.values() if o.ok} == {"200 stored"}
    kept = {file_of(server, key) for key in server.get("/instances")}
    assert kept == {item.path.read_bytes() for item in what if item is not bad}
    # The same object once more, as after an answer that was lost: Orthanc calls it stored again.
    assert [(o.ok, o.status) for o in deliver(url(server), what[:1], transport, 30)] == [(True, "200 stored")]
    assert len(server.get("/instances")) == 59
    transport.close()


def test_the_nodes_own_inlet_takes_objects_and_names_what_it_refuses(tmp_path: Path, records: Records) -> None:
    web = {"user": "modality", "password": "secret"}
    with own.serving(tmp_path, records, web=web) as server:
        what = items(tmp_path / "results", 3)
        [denied, *_] = deliver(server.url, what, username="modality", password="wrong")
        first = deliver(server.url, what, username="modality", password="secret")
        uid, other = part10(SOPInstanceUID=what[1].uid, PatientID="P2")
        assert uid == what[1].uid
        what[1].path.write_bytes(other)
        what[2].path.write_bytes(what[2].path.read_bytes()[:-20])
        second = deliver(server.url, what, username="modality", password="secret")
    assert (denied.ok, denied.status, denied.reason) == (False, "401", "401 the login is missing or wrong")
    assert [(o.ok, o.status) for o in first] == [(True, "200 stored")] * 3
    assert [entry.command.sop_instance for entry in server.sink.stored][:3] == [item.uid for item in what]
    assert [(o.ok, o.status, o.reason) for o in sorted(second, key=lambda o: o.delivery)] == [
        (True, "200 stored", ""),
        (False, "0xC001", "cannot understand (0xC001)"),
        (False, "0xC000", "cannot understand (0xC000)"),
    ]


def test_a_200_with_failed_sop_sequence_is_in_the_ledger_and_all_arrives_once_when_it_heals(
    tmp_path: Path, records: Records
) -> None:
    with serving() as server:
        destination = Destination(name="out", kind="dicomweb", url=server.url)
        settings = Settings(node=NodeSection(root=tmp_path), destinations=(destination,))
        outbox = Outbox(destination, settings, records)
        uids = queued(records, tmp_path, 6)
        ill = set(uids[1::2])

        def sick(request: Received) -> Reply:
            good = [uid for uid in request.uids if uid not in ill]
            for uid in good:
                server.stored.setdefault(uid, []).append(request.parts[uid])
            return Reply(200, module(good, [(uid, 0xA700) for uid in request.uids if uid in ill]))

        server.script = sick
        for attempt in (1, 2):
            due(records)
            outbox.work()
            assert (
                ledger(records)
                == [
                    (DeliveryState.ACCEPTED, "200 stored", "", 1),
                    (DeliveryState.RETRYING, "0xA700", "out of resources (0xA700)", attempt),
                ]
                * 3
            )
        with records.read() as session:
            lines = [row.text for row in session.scalars(select(Event).where(Event.kind == "delivery.retrying"))]
        assert "not taken by out: out of resources (0xA700) (attempt 1" in lines[0]
        server.script = server.store
        due(records)
        outbox.work()
        due(records)
        assert outbox.work() == 0
        outbox.close()
    assert {row[:3] for row in ledger(records)} == {(DeliveryState.ACCEPTED, "200 stored", "")}
    assert server.stored == {uid: [(tmp_path / "results" / f"{uid}.dcm").read_bytes()] for uid in uids}
    assert [len(request.parts) for request in server.requests] == [6, 3, 3]


def queued(records: Records, root: Path, count: int) -> list[str]:
    """Queue objects that are real files."""
    uids = []
    with records.write() as session:
        job = factories.job(session, factories.study(session))
        for _ in range(count):
            uid, data = part10()
            factories.result(session, job, root, uid, ["out"], "seg")
            (root / "results" / f"{uid}.dcm").write_bytes(data)
            uids.append(uid)
    return uids


def due(records: Records) -> None:
    """Let what waits for another try have it now."""
    with records.write() as session:
        for row in session.scalars(select(Delivery).where(Delivery.state == DeliveryState.RETRYING)):
            row.next_at = now() - dt.timedelta(seconds=1)


def ledger(records: Records) -> list[tuple[DeliveryState, str, str, int]]:
    with records.read() as session:
        rows = session.scalars(select(Delivery).order_by(Delivery.id))
        return [(row.state, row.status, row.reason, row.attempts) for row in rows]
