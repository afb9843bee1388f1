from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from node import delivery
from node.delivery.outbox import Outbox
from node.delivery.transport import Outcome
from node.records import results, timeline
from node.records.engine import Records
from node.records.schema import Delivery, now
from node.records.states import DeliveryState
from node.settings import Destination, NodeSection, Settings
from tests import factories


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folder = Destination(name="out", kind="folder", path=tmp_path / "out")
    return Settings(node=NodeSection(root=tmp_path), destinations=(folder,))


@pytest.fixture
def outbox(settings: Settings, records: Records) -> Outbox:
    return Outbox(settings.destinations[0], settings, records)


def queue(records: Records, root: Path, *uids: str, study: str = "1.2.3", kind: str = "sr") -> None:
    """Queue objects of one study."""
    with records.write() as session:
        job = factories.job(session, factories.study(session, study))
        for uid in uids:
            factories.result(session, job, root, uid, ["out"], kind)


def queue_apart(records: Records, root: Path, *uids: str) -> None:
    """Queue an object for each of several studies."""
    for uid in uids:
        queue(records, root, uid, study=f"1.2.{uid}")


def states(records: Records) -> list[DeliveryState]:
    with records.read() as session:
        return [row.state for row in session.scalars(select(Delivery).order_by(Delivery.id))]


def transport(monkeypatch: pytest.MonkeyPatch, *answers: bool | Exception) -> list[str]:
    """Replace the folder's transport by one that gives these answers; returns the list of what it was given."""
    seen: list[str] = []

    def deliver(_destination: object, items: list[delivery.transport.Item], _settings: object) -> object:
        for item, answer in zip(items, answers, strict=False):
            seen.append(item.uid)
            if isinstance(answer, Exception):
                raise answer
            yield Outcome(item.delivery, answer, "0x0000" if answer else "0xA700", "" if answer else "out of resources")

    monkeypatch.setattr("node.delivery.outbox.TRANSPORTS", {"folder": deliver})
    return seen


def test_what_is_due_is_delivered_once(outbox: Outbox, records: Records, tmp_path: Path) -> None:
    queue_apart(records, tmp_path, "1.1", "1.2")
    assert outbox.work() == 2
    assert outbox.work() == 0
    assert states(records) == [DeliveryState.DELIVERED] * 2
    assert (tmp_path / "out" / "1.2.1.1" / "1.1.dcm").read_bytes() == b"object 1.1"


def test_an_object_queued_twice_for_a_destination_is_one_delivery(records: Records, tmp_path: Path) -> None:
    with records.write() as session:
        job = factories.job(session, factories.study(session))
        first = factories.result(session, job, tmp_path, "1.1", ["out"])
        assert factories.result(session, job, tmp_path, "1.1", ["out"]) == first


def test_a_refusal_is_kept_with_its_status_and_tried_again_later(
    outbox: Outbox, records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue(records, tmp_path, "1.1")
    transport(monkeypatch, False)
    outbox.work()
    with records.read() as session:
        row = session.scalars(select(Delivery)).one()
        assert (row.state, row.status, row.attempts) == (DeliveryState.RETRYING, "0xA700", 1)
        assert row.reason == "out of resources"
        assert row.next_at > now()
    assert outbox.work() == 0


def test_a_broken_transport_counts_as_a_failure_of_everything_it_was_given(
    outbox: Outbox, records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue_apart(records, tmp_path, "1.1", "1.2")
    transport(monkeypatch, RuntimeError("Doe^Jane"))
    outbox.work()
    assert states(records) == [DeliveryState.RETRYING] * 2
    with records.read() as session:
        assert "Doe" not in session.scalars(select(Delivery)).first().reason  # type: ignore[union-attr]


def test_what_was_not_tried_after_a_success_waits_for_the_next_round(
    outbox: Outbox, records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue_apart(records, tmp_path, "1.1", "1.2")
    transport(monkeypatch, True)
    outbox.work()
    assert states(records) == [DeliveryState.DELIVERED, DeliveryState.QUEUED]


def test_nothing_overtakes_an_earlier_object_of_its_kind_and_study(
    outbox: Outbox, records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue(records, tmp_path, "1.1", "1.2", "1.3")
    seen = transport(monkeypatch, False, True)
    outbox.work()
    outbox.work()
    assert seen == ["1.1"]
    with records.write() as session:
        session.get_one(Delivery, 1).next_at = now()
    transport(monkeypatch, True, True)
    assert [outbox.work() for _ in range(4)] == [1, 1, 1, 0]


def test_objects_that_wait_for_another_try_hold_back_nobody_else_however_many_they_are(
    outbox: Outbox, records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.delivery.outbox.BATCH", 2)
    queue_apart(records, tmp_path, "1.1", "1.2", "1.3")
    transport(monkeypatch, False, False)
    outbox.work()
    transport(monkeypatch, True)
    outbox.work()
    assert states(records) == [DeliveryState.RETRYING, DeliveryState.RETRYING, DeliveryState.DELIVERED]


def test_what_could_not_be_recorded_is_sent_again_in_the_next_round(
    outbox: Outbox, records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue_apart(records, tmp_path, "1.1", "1.2")

    def away(*_: object) -> None:
        raise OperationalError("UPDATE", {}, Exception("database is locked"))

    with monkeypatch.context() as patch:
        patch.setattr("node.delivery.outbox.results.delivered", away)
        patch.setattr("node.delivery.outbox.results.refused", away)
        with pytest.raises(OperationalError):
            outbox.work()
    assert DeliveryState.SENDING in states(records)
    outbox.work()
    assert states(records) == [DeliveryState.DELIVERED] * 2


def test_a_file_that_is_gone_holds_back_no_message_of_another_study(records: Records, tmp_path: Path) -> None:
    destination = Destination(name="out", kind="mllp", host="127.0.0.1", port=1, send=("sr",))
    settings = Settings(node=NodeSection(root=tmp_path), destinations=(destination,))
    queue_apart(records, tmp_path, "1.1", "1.2")
    (tmp_path / "results" / "1.1.dcm").unlink()
    Outbox(destination, settings, records).work()
    with records.read() as session:
        gone, other = session.scalars(select(Delivery).order_by(Delivery.id))
        assert (gone.status, other.status) == ("FileNotFoundError", "no answer")


def test_deliveries_whose_destination_was_removed_wait_and_the_timeline_says_so(
    records: Records, tmp_path: Path
) -> None:
    queue_apart(records, tmp_path, "1.1", "1.2")
    with records.write() as session:
        assert results.without_destination(session, ["out"]) == 0
        assert results.without_destination(session, ["another"]) == 2
    with records.read() as session:
        [line] = timeline.of_node(session)
        assert line.text == "out is no destination any more; deliveries that wait until it is one again: 2."
    assert states(records) == [DeliveryState.QUEUED] * 2


def test_after_days_of_refusals_a_delivery_is_given_up_and_can_be_queued_again_by_hand(
    outbox: Outbox, records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue(records, tmp_path, "1.1")
    with records.write() as session:
        session.scalars(select(Delivery)).one().created_at = now() - dt.timedelta(days=8)
    transport(monkeypatch, False, True)
    outbox.work()
    assert states(records) == [DeliveryState.FAILED]
    with records.write() as session:
        results.again(session, 1)
    transport(monkeypatch, True)
    outbox.work()
    assert states(records) == [DeliveryState.DELIVERED]


def test_what_was_being_sent_at_a_crash_is_sent_again(outbox: Outbox, records: Records, tmp_path: Path) -> None:
    queue(records, tmp_path, "1.1")
    with records.write() as session:
        results.start(session, [1])
    with records.write() as session:
        assert results.recover(session) == 1
    outbox.work()
    assert states(records) == [DeliveryState.DELIVERED]


def test_a_folder_that_cannot_be_written_is_a_reason_not_a_crash(records: Records, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    destination = Destination(name="out", kind="folder", path=tmp_path / "file" / "below")
    settings = Settings(node=NodeSection(root=tmp_path), destinations=(destination,))
    queue(records, tmp_path, "1.1")
    Outbox(destination, settings, records).work()
    with records.read() as session:
        row = session.scalars(select(Delivery)).one()
        assert row.state is DeliveryState.RETRYING
        assert "cannot write" in row.reason
