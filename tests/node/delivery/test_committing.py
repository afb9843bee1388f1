"""Storage commitment as user: archives are asked whether they keep what they accepted."""

from __future__ import annotations

import datetime as dt
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import build_context
from sqlalchemy import select

from node.delivery.committing import Committer
from node.dicom.requestor import associated
from node.dicom.services.commitment import STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE, request
from node.errors import DeliveryError
from node.records.engine import Records
from node.records.schema import CommitmentRequest, Delivery, now
from node.records.states import DeliveryState
from tests.node.delivery import archive as archives
from tests.node.delivery.archive import TITLE, Archive
from tests.node.delivery.conftest import Owing, looping, to
from tests.node.dicom.conftest import running as receiving
from tests.node.dicom.objects import MR
from tests.peers import Orthanc, eventually

Make = Callable[..., Owing]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.delivery.committing.LINGER_SECONDS", 1.0)
    monkeypatch.setattr("node.records.results.COLLECT_SECONDS", 0.0)


def committer(node: Owing) -> Committer:
    [destination] = node.settings.destinations
    return Committer(destination, node.settings, node.records)


@contextmanager
def accepted(owing: Make, archive: Archive, count: int = 3) -> Iterator[tuple[Owing, list[str]]]:
    """Run an archive that has accepted objects of a node."""
    with archives.running(archive):
        node = owing(to(archive.port, commitment=True))
        uids = node.queue(count)
        [box] = node.outboxes()
        box.work()
        box.close()
        assert node.states() == {DeliveryState.ACCEPTED}
        yield node, uids


def report(node_port: int, transaction: str, uids: list[str], failed: dict[str, int], calling: str = TITLE) -> Any:
    """Report as an archive does that calls back; returns the answer's status."""
    ds = request(transaction, [(MR, uid) for uid in uids if uid not in failed])
    if failed:
        ds.FailedSOPSequence = request("1.2", [(MR, uid) for uid in failed]).ReferencedSOPSequence
        for item in ds.FailedSOPSequence:
            item.FailureReason = failed[item.ReferencedSOPInstanceUID]
    where = ("127.0.0.1", node_port, "OVERREAD", calling, 5.0)
    with associated([build_context(STORAGE_COMMITMENT)], *where, provider_of=STORAGE_COMMITMENT) as assoc:
        answer, _ = assoc.send_n_event_report(ds, 2 if failed else 1, STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE)
        return answer.Status


def transaction(records: Records) -> str:
    with records.read() as session:
        return session.scalars(select(CommitmentRequest).order_by(CommitmentRequest.id.desc())).first().transaction_uid  # type: ignore[union-attr]


def test_what_an_archive_reports_on_the_same_association_is_committed(owing: Make) -> None:
    with accepted(owing, Archive(reports=True)) as (node, _):
        assert committer(node).work() == 3
        assert node.states() == {DeliveryState.COMMITTED}
        assert all(row.committed_at is not None and row.status == "0x0000" for row in node.rows())
        assert node.lines("delivery.commitment_asked") == ["archive was asked for storage commitment of 3 objects."]
        assert node.lines("delivery.committed") == ["archive has committed itself to storing 3 objects."]
        assert committer(node).work() == 0, "what is committed is not asked about again"


def test_each_study_is_one_request_of_its_own(owing: Make) -> None:
    archive = Archive(reports=2)
    with accepted(owing, archive, 2) as (node, uids):
        more = node.queue(3, study="1.2.4")
        [box] = node.outboxes()
        box.work()
        box.close()
        committer(node).work()
        assert [named for _, named in archive.asked] == [uids, more]
        assert len({transaction for transaction, _ in archive.asked}) == 2
        assert node.states() == {DeliveryState.COMMITTED}


def test_what_an_archive_does_not_keep_is_sent_again_until_it_does(owing: Make) -> None:
    archive = Archive(reports=True)
    with accepted(owing, archive) as (node, uids):
        archive.lost = {uids[1]}
        committer(node).work()
        assert [row.state for row in node.rows()] == [
            DeliveryState.COMMITTED,
            DeliveryState.RETRYING,
            DeliveryState.COMMITTED,
        ]
        lost = node.rows()[1]
        assert (lost.status, lost.reason) == ("0x0110", "storage commitment refused: 0x0110, processing failure")
        assert "storage commitment refused: 0x0110, processing failure" in node.lines("delivery.retrying")[0]
        archive.lost = set()
        [box] = node.outboxes()
        with looping(box.work, committer(node).work):
            eventually("all is committed", lambda: node.states() == {DeliveryState.COMMITTED}, 20)
        assert archive.stored == [*uids, uids[1]]
        box.close()


def test_a_destination_without_commitment_is_done_when_it_accepts(owing: Make) -> None:
    archive = Archive()
    with archives.running(archive):
        node = owing(to(archive.port))
        node.queue(1)
        [box] = node.outboxes()
        box.work()
        box.close()
        [row] = node.rows()
        assert (row.state, row.commit_at) == (DeliveryState.ACCEPTED, None)


def test_an_archive_that_does_not_answer_is_asked_again_later_and_at_last_given_up(owing: Make) -> None:
    archive = Archive()
    with accepted(owing, archive, 1) as (node, [uid]):
        patient = node.settings.delivery.model_copy(update={"retry_max_seconds": 60.0})
        node.settings = node.settings.model_copy(update={"delivery": patient})
        work = committer(node).work
        assert [work(), work()] == [1, 0], "not before the time for an answer is over"
        [row] = node.rows()
        assert (row.state, row.commit_asked) == (DeliveryState.ACCEPTED, 1)
        assert row.commit_at is not None
        assert row.commit_at > now() + dt.timedelta(seconds=50)
        node.hurry()
        assert work() == 1
        assert [named for _, named in archive.asked] == [[uid], [uid]]
        node.hurry()
        with node.records.write() as session:
            session.get_one(Delivery, 1).accepted_at = now() - dt.timedelta(days=8)
        work()
        [row] = node.rows()
        assert (row.state, row.status) == (DeliveryState.FAILED, "no commitment")
        assert row.reason == "accepted, but the archive has not given storage commitment for days"
        assert len(archive.asked) == 2


@pytest.mark.parametrize("there", [True, False])
def test_an_archive_that_cannot_be_asked_is_said_to_be_so_and_asked_again(owing: Make, there: bool) -> None:
    archive = Archive(action_status=0x0110, reports=True)
    with accepted(owing, archive, 1) as (node, _):
        if there:
            committer(node).work()
    if not there:
        committer(node).work()
    [line] = node.lines("delivery.commitment_retrying")
    said = "the request was answered with 0x0110" if there else "does not answer"
    assert said in line
    assert node.states() == {DeliveryState.ACCEPTED}
    archive.action_status = 0x0000
    with archives.running(archive):
        node.hurry()
        committer(node).work()
    assert node.states() == {DeliveryState.COMMITTED}


def test_an_archive_may_call_back_and_only_one_that_may_and_knows_the_transaction(
    owing: Make, records: Records, tmp_path: Path
) -> None:
    peers = [{"ae_title": TITLE}]
    with accepted(owing, Archive()) as (node, uids), receiving(tmp_path, peers=peers) as receiver:
        committer(node).work()
        port, known = receiver.receiver.port, transaction(records)
        assert report(port, "2.25.1", uids, {}) == 0x0115
        with pytest.raises(DeliveryError, match="rejected"):
            report(port, known, uids, {}, calling="STRANGER")
        assert node.states() == {DeliveryState.ACCEPTED}
        assert report(port, known, uids, {uids[0]: 0x0213}) == 0x0000
        assert [row.state for row in node.rows()] == [DeliveryState.RETRYING, *[DeliveryState.COMMITTED] * 2]
        assert node.rows()[0].reason == "storage commitment refused: 0x0213, resource limitation"
        assert report(port, known, uids, {uids[0]: 0x0213}) == 0x0000, "the same report again"
        assert len(node.lines("delivery.committed")) == len(node.lines("delivery.retrying")) == 1


def test_a_refusal_of_an_earlier_sending_says_nothing_about_a_later_one(
    owing: Make, records: Records, tmp_path: Path
) -> None:
    with accepted(owing, Archive(), 1) as (node, uids), receiving(tmp_path) as receiver:
        committer(node).work()
        first = transaction(records)
        with records.write() as session:
            session.get_one(Delivery, 1).accepted_at = now() + dt.timedelta(seconds=1)  # it was sent again since
        assert report(receiver.receiver.port, first, uids, {uids[0]: 0x0112}) == 0x0000
        assert node.states() == {DeliveryState.ACCEPTED}
        assert report(receiver.receiver.port, first, uids, {}) == 0x0000
        assert node.states() == {DeliveryState.COMMITTED}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"TransactionUID": None}, 0x0120),
        ({"TransactionUID": "not a UID"}, 0x0115),
        ({"ReferencedSOPSequence": [Dataset()]}, 0x0120),
    ],
    ids=["no transaction", "no UID", "no reference"],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_a_report_that_is_broken_is_refused(tmp_path: Path, change: dict[str, Any], status: int) -> None:
    ds = request("2.25.1", [(MR, "1.2.3")])
    for keyword, value in change.items():
        if value is None:
            del ds[keyword]
        else:
            setattr(ds, keyword, value)
    with receiving(tmp_path) as receiver:
        where = ("127.0.0.1", receiver.receiver.port, "OVERREAD", TITLE, 5.0)
        with associated([build_context(STORAGE_COMMITMENT)], *where, provider_of=STORAGE_COMMITMENT) as assoc:
            answer, _ = assoc.send_n_event_report(ds, 1, STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE)
            assert answer.Status == status
            answer, _ = assoc.send_n_event_report(ds, 7, STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE)
            assert answer.Status == 0x0113


def test_a_study_whose_request_is_refused_holds_back_no_other(owing: Make) -> None:
    archive = Archive(reports=True)
    with accepted(owing, archive, 1) as (node, _):
        node.queue(2, study="1.2.4")
        [box] = node.outboxes()
        box.work()
        box.close()
        archive.action_statuses.append(0x0119)
        committer(node).work()
        assert [row.state for row in node.rows()] == [DeliveryState.ACCEPTED, *[DeliveryState.COMMITTED] * 2]
        [line] = node.lines("delivery.commitment_retrying")
        assert "the request was answered with 0x0119" in line


@pytest.mark.peer
def test_orthanc_commits_itself_on_an_association_of_its_own(
    owing: Make, records: Records, peer: Callable[[str], str], tmp_path: Path
) -> None:
    with receiving(tmp_path, peers=[{"ae_title": "ORTHANC"}]) as receiver:
        modality = {
            "AET": "OVERREAD", "Host": "127.0.0.1", "Port": receiver.receiver.port, "AllowStorageCommitment": True
        }  # fmt: skip
        server = Orthanc(peer("Orthanc"), tmp_path / "orthanc", DicomModalities={"node": modality})
        try:
            node = owing(to(server.dicom_port, title="ORTHANC", commitment=True))
            uids = node.queue(5)
            [box] = node.outboxes()
            with looping(box.work, committer(node).work):
                eventually("all is committed", lambda: node.states() == {DeliveryState.COMMITTED}, 30)
            assert len(server.get("/instances")) == 5
            box.close()
            # What Orthanc loses before it is asked, it does not commit itself to, and gets again.
            more = node.queue(2)
            [box] = node.outboxes()
            box.work()
            box.close()
            delete(server, more[0])
            with looping(box.work, committer(node).work):
                eventually("all is committed", lambda: node.states() == {DeliveryState.COMMITTED}, 30)
            [line] = node.lines("delivery.retrying")
            assert "storage commitment refused: 0x0112, no such object instance" in line
            assert len(server.get("/instances")) == 7
            assert set(uids) | set(more) == {tags["SOPInstanceUID"] for tags in server.instances()}
        finally:
            server.stop()


def delete(server: Orthanc, uid: str) -> None:
    """Delete an instance."""
    keys = server.get("/instances")
    [key] = [key for key in keys if server.get(f"/instances/{key}/simplified-tags")["SOPInstanceUID"] == uid]
    url = f"http://127.0.0.1:{server.http_port}/instances/{key}"
    urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=10).close()
