"""Kept before acknowledged, never twice, never lost, never stuck."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType

import pytest
from sqlalchemy.exc import OperationalError

from node.errors import StateError
from node.hl7 import ack as acks
from node.hl7 import inbound
from node.hl7.handlers import adt
from node.hl7.handlers.common import Handler, Incoming
from node.hl7.mllp import MllpClient
from node.records.engine import Records
from node.records.schema import Event, Message, Patient
from node.records.states import MessageState
from node.settings import Hl7Section, Settings
from tests.node.hl7.conftest import Desk

PID = "PID|1||4711^^^HOSP||Doe^Jane||19700102|F"


def with_handler(monkeypatch: pytest.MonkeyPatch, handler: Handler) -> None:
    handlers: Mapping[str, Handler] = MappingProxyType({**inbound.HANDLERS, "ADT^A01": handler})
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
        adt.register(incoming)
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
        ("ADT^A40", "201"),
        ("ORU^R30", "201"),
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


def test_what_was_kept_and_never_finished_is_recovered(
    desk: Desk, hl7: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(inbound, "_process", lambda *_: b"")  # the node is killed here
        inbound.handle(desk.records, desk.settings, hl7("ADT^A01", PID), "a")
    assert desk.rows(Patient) == []
    assert inbound.recover(desk.records, desk.settings) == 1
    assert len(desk.rows(Patient)) == 1
    assert inbound.recover(desk.records, desk.settings) == 0
    assert desk.take(hl7("ADT^A01", PID)).code == "AA"
    assert len(desk.messages()) == 1


def test_a_failed_message_can_be_replayed_and_a_processed_one_cannot(
    desk: Desk, hl7: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = hl7("ADT^A40", PID)
    desk.take(raw)
    assert acks.read(inbound.replay(desk.records, desk.settings, 1)).code == "AR"
    handlers = {**inbound.HANDLERS, "ADT^A40": adt.register}
    monkeypatch.setattr(inbound, "HANDLERS", handlers)
    assert acks.read(inbound.replay(desk.records, desk.settings, 1)).code == "AA"
    assert len(desk.rows(Patient)) == 1
    with pytest.raises(StateError, match="already"):
        inbound.replay(desk.records, desk.settings, 1)
    with pytest.raises(StateError, match="no such"):
        inbound.replay(desk.records, desk.settings, 99)


def test_the_same_message_at_once_on_many_connections_is_processed_once(
    desk: Desk, hl7: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    real = inbound.HANDLERS["ADT^A01"]

    def count(incoming: Incoming) -> str:
        calls.append(incoming.row)
        return real(incoming)

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


def test_garbage_and_oversize_are_on_the_timeline(desk: Desk) -> None:
    async def talk() -> acks.Ack:
        section = Hl7Section(host="127.0.0.1", port=0, max_message_bytes=1024)
        server = inbound.server(desk.records, Settings(hl7=section))
        await server.start()

        def converse() -> acks.Ack:
            with MllpClient("127.0.0.1", server.port, 5) as client:
                try:
                    client.exchange(b"MSH|^~\\&|RIS|HOSP|||2026||ADT^A01|BIG|P|2.5\r" + b"x" * 2000)
                except acks.AckRefused as exc:
                    return exc.ack
            raise AssertionError("it was accepted")

        answer = await asyncio.to_thread(converse)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"MSH|^~\\&|no frame")
        writer.close()
        for _ in range(200):
            if desk.lines("message.garbage"):
                break
            await asyncio.sleep(0.02)
        await server.stop()
        assert await reader.read() == b""
        return answer

    answer = asyncio.run(talk())
    assert (answer.code, answer.control_id, answer.error_code) == ("AR", "BIG", "104")
    assert len(desk.lines("message.refused")) == 1
    (line,) = desk.lines("message.garbage")
    assert "17 bytes" in line.text
    assert desk.rows(Event)
    assert desk.messages() == []
