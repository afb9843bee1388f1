"""From the inbox into the records: in order, once, all or nothing, and never stuck."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from node.errors import OutOfResources, StateError
from node.hl7 import ack as acks
from node.hl7 import inbound, processing
from node.hl7.handlers.common import Incoming
from node.hl7.handlers.handler import at_once
from node.hl7.inbox import FILE, Inbox
from node.hl7.processing import Processor
from node.records.schema import Event, Message, Patient
from node.records.states import MessageState
from tests.node.hl7.conftest import Desk

Write = Callable[..., bytes]


def pid(number: object, name: str = "Doe^Jane", rest: str = "||19700102|F") -> str:
    return f"PID|1||{number}^^^HOSP||{name}{rest}"


def patch_a01(monkeypatch: pytest.MonkeyPatch, take: Callable[[Incoming], str]) -> None:
    monkeypatch.setattr(inbound, "HANDLERS", {**inbound.HANDLERS, "ADT^A01": at_once(take)})


def count_inbox(desk: Desk) -> int:
    box = Inbox(desk.settings.node.root / FILE)
    try:
        return box.count()
    finally:
        box.close()


def test_what_the_listener_kept_is_entered_taken_over_and_forgotten_there(desk: Desk, hl7: Write) -> None:
    raw = hl7("ADT^A01", pid(1))
    desk.arrive(raw)
    assert desk.work() == 2  # entered, and taken over
    (message,) = desk.messages()
    assert (message.raw, message.state, message.told, message.peer) == (
        raw,
        MessageState.PROCESSED,
        "AA",
        "192.0.2.1",
    )
    assert message.ack is not None
    assert acks.read(message.ack).code == "AA"
    assert count_inbox(desk) == 0
    assert [line.kind for line in desk.lines()] == ["message.processed"]
    assert [row.patient_id for row in desk.rows(Patient)] == ["1"]


def test_messages_are_taken_over_in_the_order_in_which_they_came(
    desk: Desk, hl7: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def note(incoming: Incoming) -> str:
        seen.append(incoming.message.header.control_id)
        return "seen"

    patch_a01(monkeypatch, note)
    monkeypatch.setattr(processing, "BATCH", 7)
    order = [f"C{n}" for n in random.Random(1).sample(range(1000), 40)]
    desk.arrive(*(hl7("ADT^A01", pid(1), control_id=one) for one in order))
    desk.work()
    assert seen == order


def test_a_turn_that_is_over_lets_others_write_and_goes_on_later(
    desk: Desk, hl7: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processing, "TURN_SECONDS", 0.0)
    desk.arrive(*(hl7("ADT^A01", pid(n), control_id=str(n)) for n in range(5)))
    assert desk.processor.work() == 5 + 1
    assert len(desk.rows(Patient)) == 1
    desk.work()
    assert len(desk.rows(Patient)) == 5


def test_a_duplicate_is_taken_over_once_whenever_it_comes(desk: Desk, hl7: Write) -> None:
    raw = hl7("ADT^A01", pid(1))
    desk.arrive(raw, raw)
    desk.work()
    desk.arrive(raw)
    desk.work()
    assert len(desk.messages()) == 1
    assert len(desk.lines("message.processed")) == 1


def test_interrupted_between_records_and_inbox_nothing_is_taken_over_twice(
    desk: Desk, hl7: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_inbox: Inbox, _numbers: object) -> None:
        raise KeyboardInterrupt

    desk.arrive(hl7("ADT^A01", pid(1)), hl7("ADT^A08", pid(1, "Roe^Jane"), control_id="C2"))
    with monkeypatch.context() as patch:
        patch.setattr(Inbox, "forget", killed)
        with pytest.raises(KeyboardInterrupt):
            desk.work()
    assert len(desk.messages()) == 2
    desk.processor.close()
    desk.processor = Processor(desk.records, desk.settings)  # the node starts again
    desk.work()
    assert [message.state for message in desk.messages()] == [MessageState.PROCESSED] * 2
    assert len(desk.lines("message.processed")) == 2
    assert count_inbox(desk) == 0


def test_a_message_that_was_refused_on_arrival_is_visible_with_its_reason(desk: Desk, hl7: Write) -> None:
    raw = hl7("ADT^A01", "PID|1||")
    desk.arrive(raw, told="AE 101", reason="PID-3 (patient identifier list) is missing", ack=b"MSH...")
    desk.work()
    (message,) = desk.messages()
    assert (message.state, message.told, message.ack) == (MessageState.FAILED, "AE 101", b"MSH...")
    (line,) = desk.lines("message.failed")
    assert "AE 101" in line.text
    assert desk.rows(Patient) == []


def test_one_that_cannot_be_used_does_not_hold_up_the_others(desk: Desk, hl7: Write) -> None:
    order = "ORC|NW|P1|F1", "OBR|1|P1|F1|CT"
    desk.arrive(
        hl7("ORM^O01", pid(1), *order, control_id="1"),
        hl7("ORM^O01", pid(2), *order, control_id="2"),  # refused: the number is another patient's
        hl7("ADT^A01", pid(3), control_id="3"),
    )
    desk.work()
    states = [(message.state, message.reason.split(" ")[0]) for message in desk.messages()]
    assert [state for state, _ in states] == [MessageState.PROCESSED, MessageState.FAILED, MessageState.PROCESSED]
    assert [row.patient_id for row in desk.rows(Patient)] == ["1", "3"]


def test_a_bug_fails_its_message_only_and_leaves_nothing_of_it(
    desk: Desk, hl7: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = inbound.HANDLERS["ADT^A01"]

    def stumble(incoming: Incoming) -> str:
        said = real.take(incoming, real.read(incoming.message))
        if incoming.message.header.control_id == "2":
            raise KeyError("a bug, with the name Doe in it")
        return said

    patch_a01(monkeypatch, stumble)
    desk.arrive(*(hl7("ADT^A01", pid(n), control_id=str(n)) for n in (1, 2, 3)))
    desk.work()
    assert [row.patient_id for row in desk.rows(Patient)] == ["1", "3"]
    failed = desk.messages()[1]
    assert (failed.state, failed.reason, failed.ack) == (MessageState.FAILED, "internal error (KeyError)", None)
    assert not any("Doe" in line.text for line in desk.lines())


@pytest.mark.parametrize("fault", [OperationalError("INSERT", {}, Exception("locked")), OutOfResources("no room")])
def test_a_passing_fault_stops_the_round_and_nothing_overtakes(
    desk: Desk, hl7: Write, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    real = inbound.HANDLERS["ADT^A01"]

    def busy(incoming: Incoming) -> str:
        if incoming.message.header.control_id == "2":
            raise fault
        return real.take(incoming, real.read(incoming.message))

    desk.arrive(*(hl7("ADT^A01", pid(n), control_id=str(n)) for n in (1, 2, 3)))
    with monkeypatch.context() as patch:
        patch_a01(patch, busy)
        desk.processor.work()
        assert desk.processor.work() == 0
        assert desk.processor.work() == 0
    assert [message.state for message in desk.messages()] == [
        MessageState.PROCESSED,
        MessageState.RECEIVED,
        MessageState.RECEIVED,
    ]
    assert len(desk.lines("message.postponed")) == 1
    desk.work()
    assert [row.patient_id for row in desk.rows(Patient)] == ["1", "2", "3"]


def test_faults_at_random_neither_lose_nor_repeat_nor_reorder_anything(
    desk: Desk, hl7: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(7)
    real = inbound.HANDLERS["ADT^A01"]

    def flaky(incoming: Incoming) -> str:
        said = real.take(incoming, real.read(incoming.message))
        if chance.random() < 0.2:
            raise OperationalError("UPDATE", {}, Exception("locked"))
        return said

    patch_a01(monkeypatch, flaky)
    monkeypatch.setattr(processing, "BATCH", 6)
    raws = [hl7("ADT^A01", pid(n % 3, f"N{n}^X"), control_id=str(n)) for n in range(20)]
    for raw in raws:
        desk.arrive(raw, raws[0])
        desk.processor.work()
    for _ in range(60):
        desk.processor.work()
    assert {message.state for message in desk.messages()} == {MessageState.PROCESSED}
    processed = [line.message_fk for line in desk.lines("message.processed")]
    assert processed == [message.id for message in desk.messages()]
    assert sorted(row.name for row in desk.rows(Patient)) == ["N17^X", "N18^X", "N19^X"]


def test_a_fault_that_only_looks_like_a_passing_one_is_given_up_visibly(
    desk: Desk, hl7: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_incoming: Incoming) -> str:
        raise OperationalError("SELECT", {}, Exception("no such column"))

    patch_a01(monkeypatch, broken)
    monkeypatch.setattr(processing, "TRIES_MAX", 3)
    desk.arrive(hl7("ADT^A01", pid(1)), hl7("ADT^A08", pid(2), control_id="C2"))
    for _ in range(4):
        desk.processor.work()
    assert [message.state for message in desk.messages()] == [MessageState.FAILED, MessageState.PROCESSED]
    assert desk.messages()[0].reason == "internal error (OperationalError, tried 3 times)"


def test_a_replayed_message_is_taken_over_once_its_cause_is_gone(
    desk: Desk, hl7: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch_a01(patch, lambda _: str(1 / 0))
        desk.arrive(hl7("ADT^A01", pid(1)))
        desk.work()
        taken = processing.replay(desk.records, desk.settings, 1)
        assert not taken.used
        assert acks.read(taken.answer).code == "AE"
    taken = processing.replay(desk.records, desk.settings, 1)
    assert taken.used
    assert acks.read(taken.answer).code == "AA"
    assert len(desk.rows(Patient)) == 1
    with pytest.raises(StateError, match="already"):
        processing.replay(desk.records, desk.settings, 1)
    with pytest.raises(StateError, match="no message 99"):
        processing.replay(desk.records, desk.settings, 99)


def test_a_rehearsal_says_what_would_happen_and_changes_nothing(
    desk: Desk, hl7: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch_a01(patch, lambda _: str(1 / 0))
        desk.arrive(hl7("ADT^A01", pid(1)))
        desk.work()
    before = len(desk.lines())
    taken = processing.replay(desk.records, desk.settings, 1, rehearse=True)
    assert (taken.used, taken.said) == (True, "the patient's demographics were taken over")
    assert desk.rows(Patient) == []
    assert len(desk.lines()) == before
    assert desk.messages()[0].state is MessageState.FAILED


def test_a_replay_of_an_old_message_fills_what_is_empty_and_undoes_nothing(
    desk: Desk, hl7: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch_a01(patch, lambda _: str(1 / 0))
        desk.arrive(hl7("ADT^A01", pid(1, "Doe^Jane", "||19700102|F"), at="20260101080000"))
        desk.arrive(hl7("ADT^A08", pid(1, "Roe^Jane", ""), control_id="C2", at="20260102080000"))
        desk.work()
    assert processing.replay(desk.records, desk.settings, 1).used
    (patient,) = desk.rows(Patient)
    assert (patient.name, patient.birth_date, patient.sex) == ("Roe^Jane", "19700102", "F")
    (line,) = desk.lines("patient.older")
    assert "name" in line.text
    assert "Doe" not in line.text
    assert line.message_fk == 1


def test_the_state_is_the_same_whatever_order_statements_come_in(desk: Desk, hl7: Write) -> None:
    raws = [
        hl7("ADT^A01", pid(1, "A^B", "||19700101"), control_id="1", at="20260101080000+0000"),
        hl7("ADT^A08", pid(1, "", "||19700202|F"), control_id="2", at="20260101090000+0000"),
        hl7("ADT^A08", pid(1, "C^D", ""), control_id="3", at="20260101100000+0000"),
        hl7("ADT^A08", pid(1, "E^F=山^田", ""), control_id="4", at="20260101110000+0000", charset="UNICODE UTF-8"),
        hl7("ADT^A08", pid(1, "E^F", "|||M"), control_id="5", at="20260101120000+0000"),
    ]
    random.Random(3).shuffle(raws)
    desk.arrive(*raws)
    desk.work()
    (row,) = desk.rows(Patient)
    assert (row.name, row.birth_date, row.sex) == ("E^F", "19700202", "M")


def test_the_direct_way_and_the_inbox_give_the_same(desk: Desk, hl7: Write) -> None:
    assert desk.take(hl7("ADT^A01", pid(1))).code == "AA"
    desk.arrive(hl7("ADT^A01", pid(2), control_id="C2"))
    desk.work()
    direct, kept = (essence(message) for message in desk.messages())
    assert direct == kept
    assert [line.text for line in desk.lines()] == ["ADT^A01: the patient's demographics were taken over"] * 2


def essence(message: Message) -> tuple[Any, ...]:
    return message.state, message.reason, message.type, message.sender, acks.read(message.ack or b"").code


def test_no_line_of_the_timeline_has_a_patients_name_or_number(desk: Desk, hl7: Write) -> None:
    desk.arrive(
        hl7("ADT^A01", pid("471147", "Zebedee^Quentin"), control_id="1", at="20260102"),
        hl7("ADT^A08", pid("471147", "Xanthippe^Quentin"), control_id="2", at="20260101"),
        hl7("ADT^A40", pid("471147", "Zebedee^Quentin"), "MRG|815815^^^HOSP", control_id="3"),
        hl7("ADT^A77", pid("471147", "Zebedee^Quentin"), control_id="4"),
    )
    desk.work()
    lines = desk.rows(Event)
    assert len(lines) >= 4
    for line in lines:
        assert not any(word in line.text for word in ("Zebedee", "Xanthippe", "Quentin", "471147", "815815"))
