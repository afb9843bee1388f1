"""Kept before acknowledged, never twice, never lost, never stuck."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from node.errors import Hl7InputError
from node.hl7 import ack as acks
from node.hl7 import inbound
from node.hl7.handlers import common
from node.hl7.handlers.common import Incoming
from node.hl7.handlers.handler import Handler, at_once
from node.records.engine import Records
from node.records.schema import Message, Patient
from node.records.states import MessageState
from node.settings import Hl7Section, Settings
from tests.node.hl7.conftest import Desk

PID = "PID|1||4711^^^HOSP||Doe^Jane||19700102|F"


def with_handler(monkeypatch: pytest.MonkeyPatch, take: Callable[[Incoming], str]) -> None:
    handlers: Mapping[str, Handler[Any]] = MappingProxyType({**inbound.HANDLERS, "ADT^A01": at_once(take)})
    monkeypatch.setattr(inbound, "HANDLERS", handlers)


def test_a_good_message_is_kept_processed_and_accepted(desk: Desk, hl7: Callable[..., bytes]) -> None:
    raw = hl7("ADT^A01", PID)
    ack = desk.take(raw)
    assert (ack.code, ack.control_id) == ("AA", "C1")
    (message,) = desk.messages()
    assert (message.raw, message.state, message.type) == (raw, MessageState.PROCESSED, "ADT^A01")
    assert message.sender == "RIS|HOSP"
    assert [line.kind for line in desk.lines()] == ["message.processed"]
    assert desk.lines()[0].message_fk == message.id


def test_a_message_is_kept_before_it_is_processed(
    desk: Desk, hl7: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def fails(incoming: Incoming) -> str:
        other = Records(desk.records.url)  # what another process would see at this moment
        with other.read() as session:
            kept = session.get(Message, incoming.row)
            assert kept is not None
            assert kept.state is MessageState.RECEIVED
            seen.append(kept.id)
        other.close()
        raise RuntimeError("a bug, with the name Doe in it")

    with_handler(monkeypatch, fails)
    ack = desk.take(hl7("ADT^A01", PID))
    assert (ack.code, ack.error_code) == ("AE", "207")
    (message,) = desk.messages()
    assert seen == [message.id]
    assert (message.state, message.reason) == (MessageState.FAILED, "internal error (RuntimeError)")
    (line,) = desk.lines()
    assert (line.kind, line.level) == ("message.failed", "error")
    assert "Doe" not in line.text


def test_nothing_of_a_message_that_fails_halfway_stays_in_the_records(
    desk: Desk, hl7: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def halfway(incoming: Incoming) -> str:
        common.patient_of(incoming)
        raise RuntimeError

    with_handler(monkeypatch, halfway)
    assert desk.take(hl7("ADT^A01", PID)).code == "AE"
    assert desk.rows(Patient) == []


def test_a_message_that_failed_by_our_fault_is_processed_when_it_is_sent_again(
    desk: Desk, hl7: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        with_handler(patch, lambda _: 1 / 0)  # type: ignore[arg-type,return-value]
        assert desk.take(hl7("ADT^A01", PID)).code == "AE"
    assert desk.take(hl7("ADT^A01", PID)).code == "AA"
    assert [message.state for message in desk.messages()] == [MessageState.PROCESSED]


def test_the_same_message_again_gets_the_same_answer_and_is_not_processed_twice(
    desk: Desk, hl7: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def count(incoming: Incoming) -> str:
        calls.append(incoming.row)
        return "counted"

    with_handler(monkeypatch, count)
    raw = hl7("ADT^A01", PID)
    answers = {inbound.handle(desk.records, desk.settings, raw, "a") for _ in range(3)}
    assert len(answers) == 1
    assert len(calls) == 1
    assert len(desk.messages()) == 1
    assert len(desk.lines()) == 1


def test_a_refused_message_again_gets_the_same_refusal(desk: Desk, hl7: Callable[..., bytes]) -> None:
    raw = hl7("ADT^A01", "PID|1||")
    first, second = (inbound.handle(desk.records, desk.settings, raw, "a") for _ in range(2))
    assert first == second
    assert len(desk.lines("message.failed")) == 1


def test_the_same_bytes_of_another_sender_are_another_message(desk: Desk, hl7: Callable[..., bytes]) -> None:
    assert desk.take(hl7("ADT^A01", PID, sender="ONE|A")).code == "AA"
    assert desk.take(hl7("ADT^A01", PID, sender="TWO|A")).code == "AA"
    assert len(desk.messages()) == 2
    assert desk.lines("message.control_id") == []


def test_a_control_id_used_for_other_content_is_taken_as_new_with_a_warning(
    desk: Desk, hl7: Callable[..., bytes]
) -> None:
    assert desk.take(hl7("ADT^A01", PID)).code == "AA"
    assert desk.take(hl7("ADT^A08", PID.replace("Jane", "Joan"))).code == "AA"
    (line,) = desk.lines("message.control_id")
    assert line.level == "warning"
    assert [message.state for message in desk.messages()] == [MessageState.PROCESSED] * 2
    (patient,) = desk.rows(Patient)
    assert patient.name == "Doe^Joan"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"this is no message",
        b"MSH",
        b"MSH|^~\\&",
        b"MSH||RIS|HOSP|||2026||ADT^A01|C1|P|2.5\rPID|1||1\r",
        b"MSH|^~\\&|RIS|HOSP|||2026||ADT^A01||P|2.5\rPID|1||1\r",
        b"MSH|^~\\&|RIS|HOSP|||2026|||C1|P|2.5\rPID|1||1\r",
        b"PID|1||1\r",
        b"\x00\xff" * 50,
    ],
)
def test_a_broken_msh_is_kept_and_answered_with_ar_and_err(desk: Desk, raw: bytes) -> None:
    ack = desk.take(raw)
    assert ack.code == "AR"
    assert ack.error_code in ("100", "101", "102")
    (message,) = desk.messages()
    assert (message.raw, message.state) == (raw, MessageState.FAILED)
    assert message.reason
    (line,) = desk.lines()
    assert line.message_fk == message.id
    assert message.reason in line.text


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("VXU^V04", "200"),
        ("ZZZ^Z01", "200"),
        ("ADT^A41", "201"),
        ("ORU^R33", "201"),
        ("ADT", "201"),
        ("Doe^Jane", "200"),
    ],
)
def test_an_unknown_message_type_is_kept_and_answered_with_ar(
    desk: Desk, hl7: Callable[..., bytes], kind: str, code: str
) -> None:
    ack = desk.take(hl7(kind, PID))
    assert (ack.code, ack.control_id, ack.error_code) == ("AR", "C1", code)
    assert ack.location.startswith("MSH^1^9")
    assert desk.messages()[0].state is MessageState.FAILED
    (line,) = desk.lines()
    assert "Jane" not in line.text


@pytest.mark.parametrize(
    ("segments", "code", "location"),
    [
        ((), "100", "PID^1"),
        (("PID|1||||Doe^Jane",), "101", "PID^1^3"),
        (('PID|1||""^^^HOSP||Doe^Jane',), "101", "PID^1^3"),
    ],
)
def test_a_message_without_a_patient_is_refused_with_ae(
    desk: Desk, hl7: Callable[..., bytes], segments: tuple[str, ...], code: str, location: str
) -> None:
    ack = desk.take(hl7("ADT^A01", *segments))
    assert (ack.code, ack.error_code, ack.location) == ("AE", code, location)


def test_a_note_in_the_wrong_character_set_is_refused_visibly(desk: Desk, hl7: Callable[..., bytes]) -> None:
    raw = hl7("MDM^T02", PID, "TXA|1|CN|TX|||||||||D1", "OBX|1|TX|||Patient klagt über Übelkeit", charset="ASCII")
    ack = desk.take(raw)
    assert (ack.code, ack.error_code, ack.location) == ("AE", "102", "MSH^1^18")
    assert "UTF-8" in ack.text
    assert desk.messages()[0].raw == raw
    assert "belkeit" not in desk.lines()[0].text


def test_a_busy_database_postpones_a_message_and_its_repetition_is_processed(
    desk: Desk, hl7: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(_incoming: Incoming) -> str:
        raise OperationalError("INSERT", {}, Exception("database is locked"))

    with monkeypatch.context() as patch:
        with_handler(patch, busy)
        ack = desk.take(hl7("ADT^A01", PID))
    assert (ack.code, ack.error_code) == ("AE", "207")
    assert desk.messages()[0].state is MessageState.RECEIVED
    assert len(desk.lines("message.postponed")) == 1
    assert desk.take(hl7("ADT^A01", PID)).code == "AA"


def test_a_message_that_cannot_be_kept_is_not_accepted(desk: Desk, hl7: Callable[..., bytes]) -> None:
    broken = Records("sqlite://")
    answer = acks.read(inbound.handle(broken, desk.settings, hl7("ADT^A01", PID), "a"))  # no tables there
    assert (answer.code, answer.error_code) == ("AE", "207")
    broken.close()


def test_the_same_message_at_once_on_many_connections_is_processed_once(
    desk: Desk, hl7: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    real = inbound.HANDLERS["ADT^A01"]

    def count(incoming: Incoming) -> str:
        calls.append(incoming.row)
        return real.take(incoming, real.read(incoming.message))

    with_handler(monkeypatch, count)
    raw = hl7("ADT^A01", PID)
    answers: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: answers.append(inbound.handle(desk.records, desk.settings, raw, "a")))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(answers)) == 1
    assert acks.read(answers[0]).code == "AA"
    assert len(calls) == 1


def test_understanding_is_pure_and_says_what_is_wrong(desk: Desk, hl7: Callable[..., bytes]) -> None:
    understood = inbound.understand(hl7("ADT^A01", PID), desk.settings.hl7)
    assert understood.message.header.type == "ADT^A01"
    with pytest.raises(Hl7InputError) as caught:
        inbound.understand(hl7("ADT^A01", "PID|1||"), desk.settings.hl7)
    assert (caught.value.error_code, caught.value.location) == ("101", "PID^1^3")
    assert desk.messages() == []


def test_a_bug_in_a_reader_is_a_failure_that_a_repetition_overcomes(
    desk: Desk, hl7: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_message: object) -> object:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(inbound, "HANDLERS", {"ADT^A01": Handler(broken, lambda _incoming, _read: "")})
        ack = desk.take(hl7("ADT^A01", PID))
    assert (ack.code, ack.error_code) == ("AE", "207")
    assert desk.messages()[0].reason == "internal error (ZeroDivisionError)"
    assert desk.take(hl7("ADT^A01", PID)).code == "AA"


@pytest.mark.parametrize(
    ("charsets", "name"),
    [
        ({}, None),
        ({"RIS": "8859/1"}, "Müller"),
        ({"RIS|HOSP": "8859/1"}, "Müller"),
        ({"RIS": "8859/5", "RIS|HOSP": "8859/1"}, "Müller"),
        ({"RIS": "8859/5"}, "Mќller"),
        ({"LAB": "8859/1"}, None),
    ],
)
def test_a_sender_without_a_character_set_has_the_one_of_its_name(
    desk: Desk, hl7: Callable[..., bytes], charsets: dict[str, str], name: str | None
) -> None:
    desk.settings = Settings(hl7=Hl7Section(charsets=charsets))
    raw = hl7("ADT^A01", "PID|1||1^^^H||Mueller").replace(b"Mueller", "Müller".encode("latin_1"))
    assert desk.take(raw).code == ("AA" if name else "AE")
    assert [row.name for row in desk.rows(Patient)] == ([name] if name else [])
