"""Alerts go before everything else, and one that nobody acknowledges is told to people."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from sqlalchemy import select

from node.delivery.escalation import Escalation
from node.delivery.outbox import Outbox
from node.delivery.transport import Item, Outcome
from node.records import results
from node.records.engine import Records
from node.records.results import Answer
from node.records.schema import Delivery, Event, Result, now
from node.records.states import DeliveryState
from node.settings import DeliverySection, Destination, NodeSection, Settings
from node.web.metrics import registry
from tests import factories

RIS = Destination(name="ris", kind="mllp", host="127.0.0.1", port=1, send=("oru", "alert"), alert_seconds=60.0)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        node=NodeSection(root=tmp_path),
        destinations=(RIS,),
        delivery=DeliverySection(retry_seconds=600.0, retry_max_seconds=600.0),
    )


def queue(records: Records, root: Path, study: str, **kinds: str) -> None:
    """Queue messages of one study, by UID and kind."""
    with records.write() as session:
        job = factories.job(session, factories.study(session, study))
        for uid, kind in kinds.items():
            factories.result(session, job, root, uid, ["ris"], kind)


def lines(records: Records) -> list[str]:
    with records.read() as session:
        return list(session.scalars(select(Event.text).where(Event.kind == "alert.unacknowledged").order_by(Event.id)))


def age(records: Records, seconds: float) -> None:
    with records.write() as session:
        for row in session.scalars(select(Delivery)):
            row.created_at -= dt.timedelta(seconds=seconds)


def test_an_alert_goes_before_messages_that_wait_longer(records: Records, settings: Settings, tmp_path: Path) -> None:
    queue(records, tmp_path, "1.2.1", R1="oru", R2="oru")
    queue(records, tmp_path, "1.2.2", R3="oru", A1="alert")
    with records.read() as session:
        assert [row.uid for row in results.due(session, "ris", 10, ordered=True)] == ["A1", "R1", "R3"]


def test_an_alert_does_not_wait_behind_a_refused_message_of_its_study(
    records: Records, settings: Settings, tmp_path: Path
) -> None:
    queue(records, tmp_path, "1.2.1", R1="oru", A1="alert")
    with records.write() as session:
        [first] = session.scalars(select(Delivery.id).join(Result).where(Result.uid == "R1"))
        results.start(session, [first])
        results.refused(session, [Answer(first, "AE")], lambda *_: now() + dt.timedelta(hours=1))
    with records.read() as session:
        assert [row.uid for row in results.due(session, "ris", 10, ordered=True)] == ["A1"]


def test_an_alert_that_comes_while_others_are_sent_goes_next(
    records: Records, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.delivery.outbox.ALERT_LOOK_SECONDS", 0.0)
    for number in range(4):
        queue(records, tmp_path, f"1.2.{number}", **{f"R{number}": "oru"})
    outbox = Outbox(RIS, settings, records)
    sent: list[str] = []

    def deliver(_destination: object, items: Sequence[Item], _settings: object) -> Iterator[Outcome]:
        for item in items:
            if not sent:
                queue(records, tmp_path, "1.2.9", A1="alert")
            sent.append(item.uid)
            yield Outcome(item.delivery, True, "AA")

    outbox._transport = deliver
    while outbox.work():
        pass
    assert sent == ["R0", "A1", "R1", "R2", "R3"]


def test_a_refused_alert_is_tried_again_soon_whatever_the_other_waits_are(
    records: Records, settings: Settings, tmp_path: Path
) -> None:
    queue(records, tmp_path, "1.2.1", A1="alert", R1="oru")
    outbox = Outbox(RIS, settings, records)
    outbox._transport = lambda _d, items, _s: iter([Outcome(item.delivery, False, "AE") for item in items])
    outbox.work()
    with records.read() as session:
        waits = {row.result.kind: (row.next_at - now()).total_seconds() for row in session.scalars(select(Delivery))}
    assert waits["alert"] <= results.ALERT_RETRY_SECONDS
    assert waits["oru"] > 60


def test_an_alert_that_is_late_is_escalated_once_and_stays_unacknowledged(
    records: Records, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queue(records, tmp_path, "1.2.1", A1="alert", R1="oru")
    escalation = Escalation(settings, records, every=0.0)
    assert escalation.work() == 0, "it is not late yet"
    age(records, 61)
    assert escalation.work() == 1
    assert escalation.work() == 0
    assert lines(records) == ["The alert A1 was not acknowledged by ris within 60 s: tell somebody by other means."]
    with records.read() as session:
        [event] = session.scalars(select(Event).where(Event.kind == "alert.unacknowledged"))
        assert (event.level, event.study_fk) == ("error", 1)
        [waiting] = results.unacknowledged_alerts(session)
    assert b"overread_unacknowledged_alerts 1.0" in generate_latest(registry(records, ["ris"]))
    assert (waiting.control_id, waiting.destination, waiting.state) == ("A1", "ris", DeliveryState.QUEUED)


def test_an_alert_that_was_accepted_in_time_is_not_escalated(
    records: Records, settings: Settings, tmp_path: Path
) -> None:
    queue(records, tmp_path, "1.2.1", A1="alert")
    with records.write() as session:
        results.accepted(session, [Answer(key, "AA") for key in results.start(session, [1])])
    age(records, 3600)
    assert Escalation(settings, records, every=0.0).work() == 0
    with records.read() as session:
        assert results.unacknowledged_alerts(session) == []


def test_an_alert_to_a_destination_that_is_gone_is_escalated_too(
    records: Records, settings: Settings, tmp_path: Path
) -> None:
    queue(records, tmp_path, "1.2.1", A1="alert")
    age(records, 3600)
    assert Escalation(settings.model_copy(update={"destinations": ()}), records, every=0.0).work() == 1


def test_each_destination_that_does_not_acknowledge_is_named(
    records: Records, settings: Settings, tmp_path: Path
) -> None:
    with records.write() as session:
        job = factories.job(session, factories.study(session))
        factories.result(session, job, tmp_path, "A1", ["ris", "pager"], "alert")
    age(records, 3600)
    assert Escalation(settings, records, every=0.0).work() == 2
    assert ["ris" in line for line in lines(records)] == [True, False]


def test_the_records_are_not_asked_all_the_time(records: Records, settings: Settings, tmp_path: Path) -> None:
    escalation = Escalation(settings, records, every=3600.0)
    assert escalation.work() == 0
    queue(records, tmp_path, "1.2.1", A1="alert")
    age(records, 61)
    assert escalation.work() == 0, "not its turn"
    assert lines(records) == []
