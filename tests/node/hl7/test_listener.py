"""The HL7 port on real sockets: what is answered is durable, in order, within limits."""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from node.errors import ConfigError, OverreadError
from node.hl7 import answering, connection, inbound, limits
from node.hl7.answering import Judgement
from node.hl7.framing import FrameDecoder, frame
from node.hl7.inbox import Arrival, Inbox
from node.hl7.limits import LOOP_BYTES, Limits
from node.hl7.listener import Listener
from node.hl7.message import peek
from node.hl7.mllp import send
from node.records.engine import Records
from node.settings import Hl7Section, Settings
from tests.node.hl7.listening import Answers, Listening, listening, settings
from tests.peers import eventually, free_port


def message(control_id: str, wanted: str = "", kind: str = "ADT^A08", extra: str = "") -> bytes:
    tail = f"|||{wanted}" if wanted else ""
    msh = f"MSH|^~\\&|RIS|HOSP|||20260101||{kind}|{control_id}|P|2.5.1{tail}"
    return f"{msh}\rEVN|A08|20260101\rPID|1||4711^^^HOSP||Doe^Jane||19700102|F\rPV1|1|O\r{extra}".encode()


def long(control_id: str) -> bytes:
    return message(control_id, extra="NTE|1||" + "x" * LOOP_BYTES + "\r")


def migrated(root: Path) -> None:
    records = Records(settings(root).database_url)
    records.migrate()
    records.close()


def control_ids(arrivals: list[Arrival]) -> list[str]:
    return [peek(arrival.raw).control_id for arrival in arrivals]


def test_many_glued_messages_are_kept_and_answered_one_by_one_in_order(tmp_path: Path) -> None:
    with listening(tmp_path) as node, node.connect() as sender:
        sender.sendall(b"".join(frame(message(f"M{n}")) for n in range(200)))
        said = Answers(sender).next(200)
        assert [(ack.code, ack.control_id) for ack in said] == [("AA", f"M{n}") for n in range(200)]
        assert control_ids(node.kept()) == [f"M{n}" for n in range(200)]


def test_messages_split_at_every_byte_are_answered(tmp_path: Path) -> None:
    with listening(tmp_path) as node, node.connect() as sender:
        sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in frame(message("A")) + frame(message("B")):
            sender.sendall(bytes((byte,)))
        assert [ack.control_id for ack in Answers(sender).next(2)] == ["A", "B"]


def test_what_waits_is_made_durable_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []
    keep = Inbox.keep

    def counted(self: Inbox, arrivals: list[Arrival]) -> list[int]:
        batches.append(len(arrivals))
        time.sleep(0.02)  # a slow disk
        return keep(self, arrivals)

    monkeypatch.setattr(Inbox, "keep", counted)
    with listening(tmp_path) as node:
        senders = [node.connect() for _ in range(8)]
        for number, sender in enumerate(senders):
            sender.sendall(b"".join(frame(message(f"{number}-{n}")) for n in range(10)))
        for sender in senders:
            assert len(Answers(sender).next(10)) == 10
            sender.close()
    assert sum(batches) == 80
    assert len(batches) < 20


def test_a_long_message_does_not_hold_up_other_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()
    judge = answering.judge

    def slow(raw: bytes, peer: str, section: Hl7Section) -> Judgement:
        if len(raw) > LOOP_BYTES:
            assert let_go.wait(10)
        return judge(raw, peer, section)

    monkeypatch.setattr(answering, "judge", slow)
    with listening(tmp_path) as node, node.connect() as one, node.connect() as other:
        one.sendall(frame(long("LONG")) + frame(message("BEHIND")))
        other.sendall(frame(message("FAST")))
        assert Answers(other).next()[0].control_id == "FAST"
        let_go.set()
        assert [ack.control_id for ack in Answers(one).next(2)] == ["LONG", "BEHIND"]
        assert control_ids(node.kept()) == ["FAST", "LONG", "BEHIND"]


def test_a_fault_of_the_nodes_own_is_answered_with_207_and_the_connection_lives_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    understand = inbound.understand

    def fails(raw: bytes, section: Hl7Section) -> object:
        if peek(raw).control_id == "BAD":
            raise RuntimeError
        return understand(raw, section)

    monkeypatch.setattr(inbound, "understand", fails)
    with listening(tmp_path) as node, node.connect() as sender:
        sender.sendall(frame(message("BAD")) + frame(message("GOOD")))
        bad, good = Answers(sender).next(2)
        assert (bad.code, bad.control_id, bad.error_code) == ("AE", "BAD", "207")
        assert (good.code, good.control_id) == ("AA", "GOOD")
        assert control_ids(node.kept()) == ["BAD", "GOOD"]


def test_what_cannot_be_kept_is_refused_and_what_comes_later_is_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrated(tmp_path)
    keep = Inbox.keep
    full = [True]

    def keeps(self: Inbox, arrivals: list[Arrival]) -> list[int]:
        if full[0]:
            raise sqlite3.OperationalError("database or disk is full")
        return keep(self, arrivals)

    monkeypatch.setattr(Inbox, "keep", keeps)
    with listening(tmp_path) as node, node.connect() as sender:
        answers = Answers(sender)
        sender.sendall(frame(message("A")) + frame(message("B", "AL|AL")))
        assert [(ack.code, ack.error_code) for ack in answers.next(2)] == [("AE", "207"), ("CE", "207")]
        full[0] = False
        sender.sendall(frame(message("A")))
        assert answers.next()[0].code == "AA"
        assert control_ids(node.kept()) == ["A"]
        eventually("the timeline says so", lambda: node.lines("message.not_kept"))


def test_a_refused_message_is_kept_with_its_reason_and_the_same_bytes_get_the_same_answer(tmp_path: Path) -> None:
    raw = message("A", kind="SIU^S12")
    with listening(tmp_path) as node, node.connect() as sender:
        sender.sendall(frame(raw) * 2)
        assert [(ack.code, ack.error_code) for ack in Answers(sender).next(2)] == [("AR", "200")] * 2
        first, again = node.kept()
        assert (first.raw, first.told, first.reason) == (raw, "AR 200", "this message type is not supported")
        assert again.told == first.told


def test_acknowledgements_are_never_answered(tmp_path: Path) -> None:
    migrated(tmp_path)
    with listening(tmp_path) as node, node.connect() as sender:
        sender.sendall(frame(message("X", kind="ACK")) + frame(message("Y", "AL|AL", kind="MCF")) + frame(message("Z")))
        assert Answers(sender).next()[0].control_id == "Z"
        assert control_ids(node.kept()) == ["Z"]
        (line,) = eventually("the timeline says so", lambda: node.lines("message.unasked"))
        assert line == "Acknowledgements from 127.0.0.1 that no message of the node waits for: 2"


def test_a_sender_that_wants_no_answers_gets_none(tmp_path: Path) -> None:
    with listening(tmp_path) as node, node.connect() as sender:
        sender.sendall(frame(message("QUIET", "NE|NE")) + frame(message("LOUD", "AL|NE")))
        (ack,) = Answers(sender).next()
        assert (ack.code, ack.control_id) == ("CA", "LOUD")
        assert [arrival.told for arrival in node.kept()] == ["", "CA"]


def test_garbage_between_messages_is_tolerated_and_on_the_timeline(tmp_path: Path) -> None:
    migrated(tmp_path)
    with listening(tmp_path) as node:
        with node.connect() as sender:
            sender.sendall(b"GET / HTTP/1.0\r\n\r\n" + frame(message("A")) + b"junk" + frame(message("B")))
            assert [ack.control_id for ack in Answers(sender).next(2)] == ["A", "B"]
        (line,) = eventually("the timeline says so", lambda: node.lines("message.garbage"))
        assert line.endswith(f": {len('GET / HTTP/1.0') + len('junk')}")


def test_a_sender_that_closes_its_side_first_is_answered(tmp_path: Path) -> None:
    with listening(tmp_path) as node, node.connect() as sender:
        sender.sendall(b"".join(frame(message(f"M{n}")) for n in range(40)))
        sender.shutdown(socket.SHUT_WR)
        assert len(Answers(sender).next(41)) == 40


def test_a_message_that_is_too_long_is_refused_behind_the_others_and_the_connection_closed(tmp_path: Path) -> None:
    with listening(tmp_path, max_message_bytes=2048) as node, node.connect() as sender:
        sender.sendall(frame(message("OK")) + b"\x0b" + message("LONG") + b"x" * 100_000)
        ok, refused = Answers(sender).next(2)
        assert (ok.code, ok.control_id) == ("AA", "OK")
        assert (refused.code, refused.control_id, refused.error_code) == ("AR", "LONG", "104")
        assert sender.recv(10) == b""
        assert control_ids(node.kept()) == ["OK"]


def test_a_message_for_which_there_is_no_memory_is_refused_for_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WAITING_BYTES", 400_000)
    with listening(tmp_path, max_message_bytes=200_000) as node:
        monkeypatch.setattr(connection, "FREE_BYTES", 10_000)
        holders = [node.connect() for _ in range(2)]
        for number, holder in enumerate(holders):
            holder.sendall(b"\x0b" + message(f"H{number}") + b"NTE|1||" + b"x" * 190_000)
        eventually("they are held", lambda: node.listener._limits.bytes > 360_000)
        with node.connect() as late:
            late.sendall(b"\x0b" + message("LATE") + b"NTE|1||" + b"x" * 100_000)
            (ack,) = Answers(late).next()
            assert (ack.code, ack.control_id, ack.error_code) == ("AE", "LATE", "207")
        for holder in holders:
            holder.sendall(b"\x1c\r")
            assert Answers(holder).next()[0].code == "AA"
            holder.close()
        eventually("nothing is held any more", lambda: node.listener._limits.bytes == 0)


def test_an_idle_connection_is_closed(tmp_path: Path) -> None:
    with listening(tmp_path, idle_seconds=0.3) as node, node.connect() as sender:
        sender.sendall(frame(message("A")))
        assert Answers(sender).next()[0].code == "AA"
        began = time.monotonic()
        assert gone(sender)
        assert 0.1 < time.monotonic() - began < 3


@pytest.mark.parametrize("limit", [{"idle_seconds": 0.5}, {"idle_seconds": 0, "read_seconds": 0.5}])
def test_a_sender_that_drips_bytes_without_end_is_closed(tmp_path: Path, limit: dict[str, float]) -> None:
    with listening(tmp_path, **limit) as node, node.connect() as sender:
        began = time.monotonic()
        with pytest.raises(OSError):  # noqa: PT012  the loop is what is watched
            for number, byte in enumerate(b"\x0b" + message("A") * 100):
                sender.sendall(b"\x0b" if number % 20 == 19 else bytes((byte,)))  # starting over gains no time
                time.sleep(0.02)
        assert time.monotonic() - began < 4


def test_a_sender_that_does_not_read_its_answers_is_closed(tmp_path: Path) -> None:
    migrated(tmp_path)
    with listening(tmp_path, read_seconds=0.5) as node, node.connect() as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sender.settimeout(10)
        with pytest.raises(OSError):  # noqa: PT012  the loop is what is watched
            for number in range(100_000):
                sender.sendall(
                    frame(message(f"M{number}", kind="SIU^S12").replace(b"|RIS|", b"|" + b"R" * 1000 + b"|"))
                )
        eventually("the timeline says so", lambda: node.lines("message.deaf"))


def gone(sender: socket.socket) -> bool:
    try:
        return sender.recv(10) == b""
    except ConnectionError:
        return True


def test_a_peer_that_is_not_on_the_list_gets_no_word(tmp_path: Path) -> None:
    with listening(tmp_path, peers=["192.0.2.0/24", "2001:db8::/32"]) as node, node.connect() as sender:
        assert gone(sender)
    assert node.kept() == []


def test_a_peer_is_known_also_by_its_mapped_address() -> None:
    allowed = Limits(Hl7Section(peers=("127.0.0.0/8",)))
    assert allowed.allows("127.0.0.1")
    assert allowed.allows("::ffff:127.0.0.1")
    assert not allowed.allows("::1")


@pytest.mark.parametrize("limit", ["max_connections", "max_connections_per_peer"])
def test_connections_beyond_the_limit_are_closed_and_a_place_is_free_again_after_one_ends(
    tmp_path: Path, limit: str
) -> None:
    with listening(tmp_path, **{limit: 2}) as node:
        one, two, three = (node.connect() for _ in range(3))
        assert gone(three)
        one.close()
        eventually("a place is free", lambda: node.listener.connections == 1)
        with node.connect() as four:
            four.sendall(frame(message("A")))
            assert Answers(four).next()[0].code == "AA"
        two.close()
        three.close()


def test_stopping_answers_what_is_being_kept_and_closes_what_is_idle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = threading.Event()
    keep = Inbox.keep

    def slow(self: Inbox, arrivals: list[Arrival]) -> list[int]:
        began.set()
        time.sleep(0.5)
        return keep(self, arrivals)

    monkeypatch.setattr(Inbox, "keep", slow)
    with listening(tmp_path) as node:
        busy, idle = node.connect(), node.connect()
        busy.sendall(frame(message("A")))
        assert began.wait(5)
    with busy, idle:
        assert Answers(busy).next()[0].control_id == "A"
        assert busy.recv(10) == b""
        assert idle.recv(10) == b""


def test_a_port_that_is_taken_is_an_error_that_names_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OverreadError, match=f"cannot listen on 127.0.0.1:{port}"), listening(tmp_path, port=port):
            pass


@pytest.mark.parametrize("section", [{"charset": "EBCDIC"}, {"charsets": {"RIS": "UTF-16"}}])
def test_a_default_character_set_that_is_not_supported_is_an_error_at_the_start(section: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="no supported character set"):
        Listener(Settings(hl7=Hl7Section.model_validate(section)))


NOISE = st.binary(max_size=60)
CONTENT = st.one_of(
    st.binary(max_size=120),
    st.just(message("A")),
    st.just(message("B", "AL|AL")),
    st.just(message("C", kind="ORU^R01")),
)


@examples(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.tuples(NOISE, CONTENT), max_size=5), cuts=st.lists(st.integers(1, 400), max_size=6))
def test_every_whole_frame_is_answered_whatever_stands_in_it_and_between(
    shared: Listening, pieces: list[tuple[bytes, bytes]], cuts: list[int]
) -> None:
    stream = b"".join(noise + frame(content) for noise, content in pieces) + frame(message("LAST"))
    whole = FrameDecoder(1 << 20).feed(stream)
    owed = [peek(raw).control_id for raw in whole if peek(raw).code not in ("ACK", "MCF")]
    with shared.connect() as sender:
        for cut in cuts:
            sender.sendall(stream[:cut])
            stream = stream[cut:]
        sender.sendall(stream)
        assert [ack.control_id for ack in Answers(sender).next(len(owed))] == owed


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listening]:
    with listening(tmp_path_factory.mktemp("listener")) as node:
        yield node


def test_the_process_is_light_starts_by_its_own_command_and_ends_on_sigterm(tmp_path: Path) -> None:
    config = tmp_path / "overread.toml"
    port = free_port()
    config.write_text(f'[node]\nroot = "{tmp_path / "data"}"\n[hl7]\nhost = "127.0.0.1"\nport = {port}\n')
    process = subprocess.Popen([sys.executable, "-m", "node.service", "listener", "--config", str(config)])
    try:
        eventually("it listens", lambda: reachable(port), 20)
        assert send("127.0.0.1", port, message("A"), 10).code == "AA"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
    heavy = (
        "import node.hl7.listener, sys; print([m for m in ('torch', 'pydicom', 'numpy', 'celery') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def reachable(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
