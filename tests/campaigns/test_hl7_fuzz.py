"""The short version of the HL7 campaign, and that it notices what it is for; the long one is `make campaign-hl7`."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from node.hl7 import ack as acks
from node.hl7.framing import FrameDecoder, frame
from node.hl7.message import peek
from node.records.states import MessageState
from node.settings import Hl7Section, Settings
from tests.campaigns import hl7_book as book
from tests.campaigns import hl7_fuzz
from tests.campaigns.console import Outcome
from tests.campaigns.hl7_messages import KINDS, Messages, real
from tests.campaigns.hl7_session import Session
from tests.campaigns.hl7_streams import MOST_BYTES, Stream, Streams
from tests.campaigns.hl7_target import Target
from tests.conftest import data_root

SECTION = Hl7Section(charset="UNICODE UTF-8")
SOUND = b"MSH|^~\\&|RIS|HOSP|||20260101||ADT^A08|C1|P|2.5.1\rPID|1||4711^^^HOSP||Doe^Jane\rPV1|1|N\r"


def test_fuzzed_frames_and_messages_are_answered_by_the_book_and_end_in_the_records(tmp_path: Path) -> None:
    outcome = Outcome()
    samples = real(data_root() / hl7_fuzz.SAMPLES)
    hl7_fuzz.run(tmp_path, outcome, count=1000, seed=4, connections=3, seconds=120, samples=samples)
    assert outcome.violations == []
    assert outcome.figures["cases"] == 1000
    assert outcome.figures["answered AA"] > 200
    assert outcome.figures["answered AR 100"] > 50
    assert outcome.figures["answered CA"] > 20
    assert outcome.figures[f"in the records: {MessageState.PROCESSED}"] > 200


def test_a_stream_follows_from_its_seed_and_number() -> None:
    assert [Streams(4).stream(n, 20) for n in range(5)] == [Streams(4).stream(n, 20) for n in range(5)]
    assert Streams(4).stream(1, 20) != Streams(5).stream(1, 20)


def test_what_is_mutated_is_sound_before() -> None:
    rng = random.Random(3)
    told = {book.expected(Messages(rng).any(f"C{n}"), SECTION).used for n in range(300)}
    assert told == {True, False}
    unsupported = sum(not book.expected(Messages(rng).any(f"D{n}"), SECTION).used for n in range(600))
    assert unsupported < 600 / len(KINDS) * 2 + 60  # ORC-1 without a value is refused, too


@pytest.mark.parametrize("seed", range(20))
def test_the_book_finds_the_frames_that_the_node_finds(seed: int) -> None:
    stream = Streams(seed).stream(0, 40)
    decoder = FrameDecoder(MOST_BYTES)
    found = [message for piece in stream.pieces for message in decoder.feed(piece)]
    whole, head = book.frames(stream.data, MOST_BYTES)
    assert whole == found
    assert (head is not None) == (decoder.too_large is not None)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"MSH|^~\\&|A|B|||2||ACK|1|P|2.5\r",
        b"MSH|^~\\&|A|B|||2||ACK|1|P|2.5\rMSA|OK|C1\r",
        b"MSH|^~\\&|A|B|||2||ACK|1|P|2.5\rMSA|AA|C1",
        b"MSH|^~\\&|A|B|||2||ACK|1|P|2.5\rMSA|AE|C1\r",
        b"MSH|^~\\&|A|B|||2||ACK|1|P|2.5\rMSA|AE|C1\rERR||PID^1|999|E\r",
        b"MSH|^~\\&|A|B|||2||ACK|1|P|2.5\rMSA|AA|C1\rERR||PID^1|101^x^HL70357|E\r",
        b"MSH|^~\\&|A|B|||2||ORU^R01|1|P|2.5\rMSA|AA|C1\r",
    ],
)
def test_what_is_no_acknowledgement_by_the_book_is_noticed(answer: bytes) -> None:
    assert book.read(answer) is None


Answering = Callable[[bytes], list[bytes]]


@contextmanager
def pretending(answers: Answering) -> Iterator[Any]:
    """Give a target whose listener answers as it is told; its records have nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                decoder = FrameDecoder(MOST_BYTES)
                while data := connection.recv(1 << 16):
                    for raw in decoder.feed(data):
                        connection.sendall(b"".join(map(frame, answers(raw))))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield SimpleNamespace(
            port=server.getsockname()[1], settings=Settings(hl7=SECTION), outcomes=lambda digests: {}, dead=list
        )
        thread.join(10)


def accepted(raw: bytes) -> bytes:
    return acks.accept(peek(raw), SECTION)


def told(answers: Answering, *messages: bytes) -> list[str]:
    with pretending(answers) as target:
        stream = Stream(1, tuple(map(frame, messages)), len(messages), reset=False)
        return Session(cast(Target, target), stream).run().problems


def once(raw: bytes) -> list[bytes]:
    return [accepted(raw)]


def test_a_listener_that_answers_by_the_book_breaks_no_promise() -> None:
    assert told(once, SOUND, SOUND.replace(b"|C1|", b"|C2|")) == []


def test_an_answer_too_many_is_noticed() -> None:
    (problem,) = told(lambda raw: once(raw) * (2 if b"|C1|" in raw else 1), SOUND)
    assert "should be" in problem


def test_a_frame_that_is_not_answered_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.campaigns.hl7_session.ANSWER_SECONDS", 0.3)
    problems = told(lambda raw: [] if b"|C1|" in raw else once(raw), SOUND)
    assert problems[0] == "1 of 2 answers came"


def test_an_answer_to_another_message_and_an_acceptance_of_what_cannot_be_used_are_noticed() -> None:
    assert told(lambda raw: once(raw.replace(b"|C1|", b"|C9|")), SOUND) != []
    assert told(once, SOUND.replace(b"PID|", b"PIX|")) != []


def test_a_message_that_the_records_lack_is_noticed(tmp_path: Path) -> None:
    outcome = Outcome()
    ledger = hl7_fuzz.Ledger(outcome, tmp_path, used={"a", "b", "c"}, refused={"d"})
    rows = {"b": (MessageState.FAILED, "", None), "c": (MessageState.RECEIVED, "", None)}
    rows["d"] = (MessageState.PROCESSED, "", None)
    hl7_fuzz.check(cast(Target, SimpleNamespace(outcomes=lambda digests: rows)), ledger, outcome)
    assert sorted(outcome.violations) == [
        "a message is failed without a reason: b",
        "a message is received without a reason: c",
        "a message that was kept is not in the records: a",
        "a message that was refused is processed: d",
    ]
