"""What the application answers once a message was taken over: as the one answer, or as a message of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import func, select

from node.errors import Hl7InputError
from node.hl7 import connection, inbound
from node.hl7.framing import FrameDecoder, frame
from node.hl7.handlers.common import Incoming
from node.hl7.handlers.handler import Handler
from node.hl7.inbox import FILE, Inbox
from node.hl7.message import Hl7Message, peek
from node.records.schema import Message
from tests.node.hl7.listening import Answers, listening, processing, settings, take_over
from tests.peers import eventually, free_port


def message(control_id: str, wanted: str = "", kind: str = "ADT^A08") -> bytes:
    tail = f"|||{wanted}" if wanted else ""
    msh = f"MSH|^~\\&|RIS|HOSP|||20260101||{kind}|{control_id}|P|2.5.1{tail}"
    return f"{msh}\rEVN|A08|20260101\rPID|1||4711^^^HOSP||Doe^Jane||19700102|F\rPV1|1|O\r".encode()


@pytest.fixture
def _late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ADT^A08 be read, and refused when it is to be taken over if its control id says so."""
    real = inbound.HANDLERS["ADT^A08"]

    def take(incoming: Incoming, stated: object) -> str:
        if incoming.message.header.control_id.startswith("BAD"):
            raise Hl7InputError("no", error_code="204", location="PID^1^3")
        return real.take(incoming, stated)

    def read(raw: Hl7Message) -> object:
        return real.read(raw)

    monkeypatch.setattr(inbound, "HANDLERS", {**inbound.HANDLERS, "ADT^A08": Handler(read, take)})


@pytest.mark.usefixtures("_late")
def test_where_processed_is_answered_the_answer_is_what_became_of_the_message(tmp_path: Path) -> None:
    with listening(tmp_path, acknowledge="processed") as node, processing(node.settings), node.connect() as sender:
        answers = Answers(sender)
        sender.sendall(frame(message("A")) + frame(message("BAD")) + frame(message("C", kind="SIU^S12")))
        said = [(ack.control_id, ack.code, ack.error_code) for ack in answers.next(3)]
        assert said == [("A", "AA", ""), ("BAD", "AE", "204"), ("C", "AR", "200")]
        sender.sendall(frame(message("A")) + frame(message("BAD")))
        assert [(ack.control_id, ack.code) for ack in answers.next(2)] == [("A", "AA"), ("BAD", "AE")]


def test_an_answer_that_is_known_once_the_end_was_said_is_not_given(tmp_path: Path) -> None:
    with listening(tmp_path, max_message_bytes=2048) as node, node.connect() as sender:
        sender.sendall(frame(message("A", "AL|AL")) + b"\x0b" + message("LONG") + b"x" * 100_000)
        answers = Answers(sender)
        assert [(ack.control_id, ack.code) for ack in answers.next(3)] == [("A", "CA"), ("LONG", "AR")]
        take_over(node.settings).close()
        eventually("the connection is given up", lambda: node.listener.connections == 0)
        assert node.errors == []


def test_where_nothing_processes_the_sender_is_told_to_try_again_and_then_gets_its_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PROCESSED_SECONDS", 0.3)
    with listening(tmp_path, acknowledge="processed") as node, node.connect() as sender:
        answers = Answers(sender)
        sender.sendall(frame(message("A")))
        (ack,) = answers.next()
        assert (ack.code, ack.error_code) == ("AE", "207")
        monkeypatch.setattr(connection, "PROCESSED_SECONDS", 20.0)
        with processing(node.settings) as records:
            sender.sendall(frame(message("A")))
            assert answers.next()[0].code == "AA"
            with records.read() as session:
                assert session.scalar(select(func.count(Message.id))) == 1


@pytest.mark.usefixtures("_late")
def test_in_the_enhanced_mode_the_application_answers_by_itself_under_its_own_condition(tmp_path: Path) -> None:
    with listening(tmp_path) as node, processing(node.settings), node.connect() as sender:
        answers = Answers(sender)
        sent = [("A", "AL|AL"), ("B", "NE|AL"), ("C", "AL|ER"), ("D", "AL|SU"), ("E", "AL|NE")]
        sent += [("BAD1", "AL|AL"), ("BAD2", "AL|ER"), ("BAD3", "AL|SU"), ("LAST", "NE|AL")]
        sender.sendall(b"".join(frame(message(name, wanted)) for name, wanted in sent))
        said = [(ack.control_id, ack.code) for ack in answers.next(7 + 6)]
    commits = [name for name, code in said if code == "CA"]
    assert commits == ["A", "C", "D", "E", "BAD1", "BAD2", "BAD3"]
    assert sorted(pair for pair in said if pair[1] != "CA") == [
        ("A", "AA"), ("B", "AA"), ("BAD1", "AE"), ("BAD2", "AE"), ("D", "AA"), ("LAST", "AA"),
    ]  # fmt: skip


def test_a_repeated_message_gets_both_answers_again(tmp_path: Path) -> None:
    with listening(tmp_path) as node, processing(node.settings) as records, node.connect() as sender:
        answers = Answers(sender)
        for _ in range(2):
            sender.sendall(frame(message("A", "AL|AL")))
            assert [ack.code for ack in answers.next(2)] == ["CA", "AA"]
        with records.read() as session:
            assert session.scalar(select(func.count(Message.id))) == 1


def test_an_application_answer_has_its_own_control_id_and_asks_for_no_answer(tmp_path: Path) -> None:
    with listening(tmp_path) as node, processing(node.settings), node.connect() as sender:
        sender.sendall(frame(message("A", "NE|AL")))
        decoder = FrameDecoder(1 << 20)
        found: list[bytes] = []
        while not found:
            found = decoder.feed(sender.recv(65536))
    line = found[0].split(b"\r")[0].split(b"|")
    assert line[14:16] == [b"NE", b"NE"]
    assert peek(found[0]).control_id not in ("", "A")


def test_an_answer_that_nobody_waits_for_any_more_is_forgotten(tmp_path: Path) -> None:
    with listening(tmp_path) as node:
        with node.connect() as sender:
            sender.sendall(frame(message("A", "AL|AL")))
            assert Answers(sender).next()[0].code == "CA"
        port = node.listener._port
        assert port is not None
        eventually("it is forgotten", lambda: not port.awaiting._items)


class Burst:
    """Sends messages one after the other over a connection of its own; knows which were acknowledged."""

    def __init__(self, port: int, name: str) -> None:
        self.acknowledged: list[str] = []
        self._port, self._name = port, name
        self.thread = threading.Thread(target=self._send, daemon=True)

    def has_sent(self, count: int) -> bool:
        """Whether so many messages were acknowledged."""
        return len(self.acknowledged) >= count

    def _send(self) -> None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=5) as sender:
            answers = Answers(sender)
            for number in range(100_000):
                control_id = f"{self._name}-{number}"
                sender.sendall(frame(message(control_id, "AL|NE" if number % 2 else "")))
                said = answers.next()
                if not said:
                    return
                assert said[0].code == ("CA" if number % 2 else "AA")
                self.acknowledged.append(said[0].control_id)
                time.sleep(0.003)


def test_whatever_was_acknowledged_before_the_process_was_killed_is_there_once_after_processing(
    tmp_path: Path,
) -> None:
    port, config = free_port(), tmp_path / "overread.toml"
    root = tmp_path / "data"
    config.write_text(f'[node]\nroot = "{root}"\n[hl7]\nhost = "127.0.0.1"\nport = {port}\n')
    acknowledged: list[str] = []
    for round_ in range(2):
        process = subprocess.Popen([sys.executable, "-m", "node.service", "listener", "--config", str(config)])
        try:
            eventually("it listens", lambda: _reachable(port), 20)
            bursts = [Burst(port, f"{round_}{name}") for name in "abcd"]
            for burst in bursts:
                burst.thread.start()
            for burst in bursts:
                eventually("it is at it", partial(burst.has_sent, 20), pause=0.02)
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        for burst in bursts:
            burst.thread.join(5)
            acknowledged += burst.acknowledged
    inbox = Inbox(root / FILE)
    inbox.keep(inbox_item for _, inbox_item in inbox.waiting(20))  # as if entering them had been interrupted once
    inbox.close()
    records = take_over(settings(root))
    with records.read() as session:
        kept = list(session.scalars(select(Message.control_id)))
    records.close()
    assert set(acknowledged) <= set(kept)
    assert len(kept) == len(set(kept))


def _reachable(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
