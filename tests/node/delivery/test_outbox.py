from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from node.delivery.outbox import Outbox
from node.delivery.transport import Item, Outcome
from node.errors import StateError
from node.records import results, timeline
from node.records.engine import Records
from node.records.results import Answer
from node.records.schema import Delivery, Event, now
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


def transport(outbox: Outbox, *answers: bool | Exception) -> list[str]:
    """Replace the outbox's transport by one that gives these answers; returns the list of what it was given."""
    seen: list[str] = []

    def deliver(_destination: object, items: list[Item], _settings: object) -> object:
        for item, answer in zip(items, answers, strict=False):
            seen.append(item.uid)
            if isinstance(answer, Exception):
                raise answer
            yield Outcome(item.delivery, answer, "0x0000" if answer else "0xA700", "" if answer else "out of resources")

    outbox._transport = deliver  # type: ignore[assignment]
    return seen


def test_what_is_due_is_delivered_once(outbox: Outbox, records: Records, tmp_path: Path) -> None:
    queue_apart(records, tmp_path, "1.1", "1.2")
    assert outbox.work() == 2
    assert outbox.work() == 0
    assert states(records) == [DeliveryState.ACCEPTED] * 2
    assert (tmp_path / "out" / "1.2.1.1" / "1.1.dcm").read_bytes() == b"object 1.1"


def test_an_object_queued_twice_for_a_destination_is_one_delivery(records: Records, tmp_path: Path) -> None:
    with records.write() as session:
        job = factories.job(session, factories.study(session))
        first = factories.result(session, job, tmp_path, "1.1", ["out"])
        assert factories.result(session, job, tmp_path, "1.1", ["out"]) == first


def test_a_refusal_is_kept_with_its_status_and_tried_again_later(
    outbox: Outbox, records: Records, tmp_path: Path
) -> None:
    queue(records, tmp_path, "1.1")
    transport(outbox, False)
    outbox.work()
    with records.read() as session:
        row = session.scalars(select(Delivery)).one()
        assert (row.state, row.status, row.attempts) == (DeliveryState.RETRYING, "0xA700", 1)
        assert row.reason == "out of resources"
        assert row.next_at > now()
    assert outbox.work() == 0


def test_a_broken_transport_counts_as_a_failure_of_everything_it_was_given(
    outbox: Outbox, records: Records, tmp_path: Path
) -> None:
    queue_apart(records, tmp_path, "1.1", "1.2")
    transport(outbox, RuntimeError("Doe^Jane"))
    outbox.work()
    assert states(records) == [DeliveryState.RETRYING] * 2
    with records.read() as session:
        assert "Doe" not in session.scalars(select(Delivery)).first().reason  # type: ignore[union-attr]


def test_what_was_not_tried_after_a_success_waits_for_the_next_round(
    outbox: Outbox, records: Records, tmp_path: Path
) -> None:
    queue_apart(records, tmp_path, "1.1", "1.2")
    transport(outbox, True)
    outbox.work()
    assert states(records) == [DeliveryState.ACCEPTED, DeliveryState.QUEUED]
    with records.read() as session:
        assert session.get_one(Delivery, 2).attempts == 0, "what was not tried was not counted"


def test_no_message_overtakes_an_earlier_one_of_its_study(records: Records, tmp_path: Path) -> None:
    destination = Destination(name="out", kind="mllp", host="127.0.0.1", port=1)
    outbox = Outbox(destination, Settings(node=NodeSection(root=tmp_path), destinations=(destination,)), records)
    queue(records, tmp_path, "1.1", "1.2", "1.3", kind="oru")
    seen = transport(outbox, False, True)
    outbox.work()
    outbox.work()
    assert seen == ["1.1"]
    with records.write() as session:
        session.get_one(Delivery, 1).next_at = now()
    transport(outbox, True, True)
    assert [outbox.work() for _ in range(4)] == [1, 1, 1, 0]


def test_objects_of_a_study_go_together_and_wait_for_none_that_was_refused(
    outbox: Outbox, records: Records, tmp_path: Path
) -> None:
    queue(records, tmp_path, "1.1", "1.2", "1.3")
    seen = transport(outbox, False, True, True)
    assert outbox.work() == 3
    assert seen == ["1.1", "1.2", "1.3"]
    assert states(records) == [DeliveryState.RETRYING, DeliveryState.ACCEPTED, DeliveryState.ACCEPTED]


def test_objects_that_wait_for_another_try_hold_back_nobody_else_however_many_they_are(
    outbox: Outbox, records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.delivery.outbox.BATCH", 2)
    queue_apart(records, tmp_path, "1.1", "1.2", "1.3")
    transport(outbox, False, False)
    outbox.work()
    transport(outbox, True)
    outbox.work()
    assert states(records) == [DeliveryState.RETRYING, DeliveryState.RETRYING, DeliveryState.ACCEPTED]


def lines(records: Records, kind: str) -> list[str]:
    with records.read() as session:
        return list(session.scalars(select(Event.text).where(Event.kind == kind).order_by(Event.id)))


def test_the_timeline_tells_every_try_and_says_once_what_is_true_of_many(
    outbox: Outbox, records: Records, tmp_path: Path
) -> None:
    queue(records, tmp_path, "1.1", "1.2", "1.3")
    transport(outbox, False, False, True)
    outbox.work()
    assert lines(records, "delivery.accepted") == ["SR accepted by out (0x0000)."]
    [first] = lines(records, "delivery.retrying")
    assert first.startswith("2 SR not taken by out: out of resources (attempt 1; again at ")
    with records.write() as session:
        for row in session.scalars(select(Delivery).where(Delivery.state == DeliveryState.RETRYING)):
            row.next_at = now()
    transport(outbox, False, True)
    outbox.work()
    assert lines(records, "delivery.retrying")[1].startswith("SR not taken by out: out of resources (attempt 2; ")
    assert lines(records, "delivery.accepted")[1:] == ["SR accepted by out (0x0000)."]


def test_a_warning_is_kept_with_what_was_accepted_and_shown(outbox: Outbox, records: Records, tmp_path: Path) -> None:
    queue(records, tmp_path, "1.1")

    def deliver(_destination: object, items: list[Item], _settings: object) -> Iterator[Outcome]:
        yield Outcome(items[0].delivery, True, "0xB000", "Warning 0xB000; Coercion of data elements")

    outbox._transport = deliver  # type: ignore[assignment]
    outbox.work()
    with records.read() as session:
        row = session.scalars(select(Delivery)).one()
        assert (row.state, row.status) == (DeliveryState.ACCEPTED, "0xB000")
        assert row.reason == "Warning 0xB000; Coercion of data elements"
        [line] = session.scalars(select(Event).where(Event.kind == "delivery.accepted"))
        assert line.text == "SR accepted by out (0xB000): Warning 0xB000; Coercion of data elements."
        assert line.level == "warning"


def test_what_waits_for_another_try_goes_now_when_a_person_says_so(
    outbox: Outbox, records: Records, tmp_path: Path
) -> None:
    queue(records, tmp_path, "1.1")
    transport(outbox, False)
    outbox.work()
    assert outbox.work() == 0
    with records.write() as session:
        results.again(session, 1)
    transport(outbox, True)
    assert outbox.work() == 1
    assert states(records) == [DeliveryState.ACCEPTED]
    with records.write() as session, pytest.raises(StateError, match="the delivery is accepted"):
        results.again(session, 1)


def test_an_outcome_that_comes_too_late_changes_nothing_and_holds_up_no_other(
    outbox: Outbox, records: Records, tmp_path: Path
) -> None:
    queue(records, tmp_path, "1.1", "1.2")
    with records.write() as session:
        results.start(session, [1, 2])
        results.put_back(session, [1])
        results.accepted(session, [Answer(1, "0x0000"), Answer(2, "0x0000")])
    assert states(records) == [DeliveryState.QUEUED, DeliveryState.ACCEPTED]
    with records.write() as session:
        results.refused(session, [Answer(1, "0xA700")], lambda *_: now())
    assert states(records) == [DeliveryState.QUEUED, DeliveryState.ACCEPTED]


def test_what_could_not_be_recorded_is_sent_again_in_the_next_round(
    outbox: Outbox, records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue_apart(records, tmp_path, "1.1", "1.2")

    def away(*_: object, **__: object) -> None:
        raise OperationalError("UPDATE", {}, Exception("database is locked"))

    with monkeypatch.context() as patch:
        patch.setattr("node.delivery.outbox.results.accepted", away)
        patch.setattr("node.delivery.outbox.results.refused", away)
        with pytest.raises(OperationalError):
            outbox.work()
    assert DeliveryState.SENDING in states(records)
    outbox.work()
    assert states(records) == [DeliveryState.ACCEPTED] * 2


def test_a_file_that_is_gone_holds_back_no_message_of_another_study(records: Records, tmp_path: Path) -> None:
    destination = Destination(name="out", kind="mllp", host="127.0.0.1", port=1)
    settings = Settings(node=NodeSection(root=tmp_path), destinations=(destination,))
    for uid in ("1.1", "1.2"):
        queue(records, tmp_path, uid, study=f"1.2.{uid}", kind="oru")
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
    outbox: Outbox, records: Records, tmp_path: Path
) -> None:
    queue(records, tmp_path, "1.1")
    with records.write() as session:
        session.scalars(select(Delivery)).one().created_at = now() - dt.timedelta(days=8)
    transport(outbox, False, True)
    outbox.work()
    assert states(records) == [DeliveryState.FAILED]
    assert lines(records, "delivery.failed") == ["SR given up for out: out of resources"]
    with records.write() as session:
        results.again(session, 1)
    transport(outbox, True)
    outbox.work()
    assert states(records) == [DeliveryState.ACCEPTED]


def test_what_was_being_sent_at_a_crash_is_sent_again(outbox: Outbox, records: Records, tmp_path: Path) -> None:
    queue(records, tmp_path, "1.1")
    with records.write() as session:
        results.start(session, [1])
    with records.write() as session:
        assert results.recover(session) == 1
    outbox.work()
    assert states(records) == [DeliveryState.ACCEPTED]


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
