"""The server and the client on real sockets."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest

from node.errors import DeliveryError, Hl7InputError
from node.hl7 import ack as acks
from node.hl7.framing import FrameDecoder, frame
from node.hl7.message import peek
from node.hl7.mllp import Handler, MllpClient, MllpServer, send
from node.settings import Hl7Section, Settings


def message(control_id: str) -> bytes:
    return f"MSH|^~\\&|RIS|HOSP|||20260101||ADT^A01|{control_id}|P|2.5.1\rPID|1||1\r".encode()


def accept(raw: bytes, _peer: str) -> bytes:
    return acks.accept(peek(raw), Hl7Section())


@contextmanager
def running(handler: Handler = accept, **hl7: object) -> Iterator[MllpServer]:
    """Run a server in a loop of its own."""
    settings = Settings(hl7=Hl7Section.model_validate({"host": "127.0.0.1", "port": 0, **hl7}))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def call(work: Callable[[], Awaitable[None]]) -> None:
        async def run() -> None:
            await work()

        asyncio.run_coroutine_threadsafe(run(), loop).result(10)

    garbage: list[int] = []
    server = MllpServer(settings, handler, garbage=lambda count, _peer: garbage.append(count))
    server.seen_garbage = garbage  # type: ignore[attr-defined]
    call(server.start)
    try:
        yield server
    finally:
        call(server.stop)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


def connect(server: MllpServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=5)


def answers(connection: socket.socket, count: int) -> list[acks.Ack]:
    decoder = FrameDecoder(1 << 20)
    found: list[acks.Ack] = []
    while len(found) < count and (data := connection.recv(65536)):
        found += [acks.read(raw) for raw in decoder.feed(data)]
    return found


def test_many_glued_messages_are_answered_one_by_one_in_order() -> None:
    with running() as server, connect(server) as connection:
        connection.sendall(b"".join(frame(message(f"M{n}")) for n in range(200)))
        assert [ack.control_id for ack in answers(connection, 200)] == [f"M{n}" for n in range(200)]


def test_messages_split_at_every_byte_are_answered() -> None:
    with running() as server, connect(server) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in frame(message("A")) + frame(message("B")) + frame(message("C")):
            connection.sendall(bytes((byte,)))
        assert [ack.control_id for ack in answers(connection, 3)] == ["A", "B", "C"]


def test_connections_do_not_wait_for_each_other() -> None:
    def slow(raw: bytes, peer: str) -> bytes:
        if peek(raw).control_id == "SLOW":
            time.sleep(1.0)
        return accept(raw, peer)

    with running(slow) as server, connect(server) as one, connect(server) as other:
        one.sendall(frame(message("SLOW")))
        began = time.monotonic()
        other.sendall(frame(message("FAST")))
        assert answers(other, 1)[0].control_id == "FAST"
        assert time.monotonic() - began < 0.8
        assert answers(one, 1)[0].control_id == "SLOW"


def test_a_handler_that_fails_is_answered_with_ae_207_and_the_connection_lives_on() -> None:
    def fails(raw: bytes, peer: str) -> bytes:
        if peek(raw).control_id == "BAD":
            raise RuntimeError("a bug")
        return accept(raw, peer)

    with running(fails) as server, connect(server) as connection:
        connection.sendall(frame(message("BAD")) + frame(message("GOOD")))
        bad, good = answers(connection, 2)
        assert (bad.code, bad.control_id, bad.error_code) == ("AE", "BAD", "207")
        assert (good.code, good.control_id) == ("AA", "GOOD")


def test_garbage_between_messages_is_tolerated_and_reported() -> None:
    with running() as server:
        with connect(server) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n" + frame(message("A")) + b"junk" + frame(message("B")))
            assert [ack.control_id for ack in answers(connection, 2)] == ["A", "B"]
        counts: list[int] = server.seen_garbage  # type: ignore[attr-defined]
        wait_until(lambda: counts == [len("GET / HTTP/1.0") + len("junk")])


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_a_message_that_is_too_long_is_refused_and_the_connection_closed() -> None:
    with running(max_message_bytes=2048) as server, connect(server) as connection:
        connection.sendall(frame(message("OK")) + b"\x0b" + message("LONG") + b"x" * 100_000)
        ok, long = answers(connection, 2)
        assert (ok.code, ok.control_id) == ("AA", "OK")
        assert (long.code, long.control_id, long.error_code) == ("AR", "LONG", "104")
        assert connection.recv(10) == b""


def test_an_idle_connection_is_closed() -> None:
    with running(idle_seconds=0.3) as server, connect(server) as connection:
        connection.sendall(frame(message("A")))
        assert answers(connection, 1)[0].code == "AA"
        began = time.monotonic()
        assert connection.recv(10) == b""
        assert 0.1 < time.monotonic() - began < 3


def test_a_sender_that_drips_bytes_without_end_is_closed() -> None:
    with running(idle_seconds=0.5) as server, connect(server) as connection:
        began = time.monotonic()
        with pytest.raises(OSError):  # noqa: PT012  the loop is what is watched
            for byte in b"\x0b" + message("A") * 100:
                connection.sendall(bytes((byte,)))
                time.sleep(0.02)
        assert time.monotonic() - began < 4


def test_a_peer_that_is_not_on_the_list_gets_no_word() -> None:
    with running(peers=["192.0.2.0/24", "2001:db8::/32"]) as server, connect(server) as connection:
        connection.sendall(frame(message("A")))
        with pytest.raises((ConnectionError, AssertionError)):
            assert connection.recv(10)


def test_a_peer_on_the_list_is_answered_also_by_its_mapped_address() -> None:
    with running(peers=["127.0.0.0/8"]) as server:
        assert send("127.0.0.1", server.port, message("A"), 5).code == "AA"
        assert server.allows("::ffff:127.0.0.1")
        assert not server.allows("::1")


def test_stopping_answers_what_is_being_processed_and_closes_what_is_idle() -> None:
    began = threading.Event()

    def slow(raw: bytes, peer: str) -> bytes:
        began.set()
        time.sleep(0.5)
        return accept(raw, peer)

    with running(slow) as server:
        busy, idle = connect(server), connect(server)
        busy.sendall(frame(message("A")))
        assert began.wait(5)
    with busy, idle:
        assert answers(busy, 1)[0].control_id == "A"
        assert busy.recv(10) == b""
        assert idle.recv(10) == b""


@contextmanager
def peer(answer: Callable[[bytes], bytes | None]) -> Iterator[int]:
    """Listen for one connection; answer each message with what ``answer`` gives, close at None."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        decoder = FrameDecoder(1 << 20)
        with connection:
            while data := connection.recv(65536):
                for raw in decoder.feed(data):
                    said = answer(raw)
                    if said is None:
                        return
                    connection.sendall(said)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.close()
    thread.join(5)


def test_the_client_sends_several_messages_over_one_connection() -> None:
    with peer(lambda raw: frame(accept(raw, ""))) as port, MllpClient("127.0.0.1", port, 5) as client:
        assert [client.exchange(message(name)).control_id for name in ("A", "B", "C")] == ["A", "B", "C"]


def test_an_answer_in_pieces_is_read() -> None:
    def piecewise(raw: bytes) -> bytes:
        return b"\r\n" + frame(accept(raw, ""))

    with peer(piecewise) as port:
        assert send("127.0.0.1", port, message("A"), 5).code == "AA"


@pytest.mark.parametrize("code", ["AE", "AR"])
def test_a_refusal_is_an_error_with_the_peers_word(code: str) -> None:
    def refuse(raw: bytes) -> bytes:
        return frame(acks.refuse(peek(raw), Hl7Section(), Hl7InputError("no", error_code="207", ack=code)))

    with peer(refuse) as port, pytest.raises(DeliveryError) as caught:
        send("127.0.0.1", port, message("A"), 5)
    assert caught.value.status == code
    assert "207" in str(caught.value)


def test_an_answer_to_another_message_is_no_acceptance() -> None:
    with peer(lambda _: frame(accept(message("OTHER"), ""))) as port, pytest.raises(DeliveryError, match="another"):
        send("127.0.0.1", port, message("A"), 5)


def test_an_answer_that_is_no_acknowledgement_is_an_error() -> None:
    with peer(lambda raw: frame(raw)) as port, pytest.raises(DeliveryError, match="no acknowledgement"):
        send("127.0.0.1", port, message("A"), 5)


def test_a_peer_that_closes_without_an_answer_is_an_error() -> None:
    with peer(lambda _: None) as port, pytest.raises(DeliveryError, match="closed"):
        send("127.0.0.1", port, message("A"), 5)


def test_a_peer_that_does_not_answer_is_given_up_in_time() -> None:
    with peer(lambda _: b"") as port:
        began = time.monotonic()
        with pytest.raises(DeliveryError, match="in time"):
            send("127.0.0.1", port, message("A"), 0.3)
        assert time.monotonic() - began < 2


def test_a_peer_that_drips_its_answer_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                for _ in range(100):
                    try:
                        connection.sendall(b"\x0bx")
                    except OSError:
                        return
                    time.sleep(0.05)

        threading.Thread(target=drip, daemon=True).start()
        began = time.monotonic()
        with pytest.raises(DeliveryError, match="in time"):
            send("127.0.0.1", listener.getsockname()[1], message("A"), 0.4)
        assert time.monotonic() - began < 2


def test_a_peer_that_is_not_there_is_an_error_worth_another_try() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(DeliveryError) as caught:
        send("127.0.0.1", port, message("A"), 2)
    assert caught.value.retryable


def test_the_client_connects_again_after_an_error() -> None:
    seen: list[str] = []

    def once_late(raw: bytes, origin: str) -> bytes:
        seen.append(peek(raw).control_id)
        if len(seen) == 1:
            time.sleep(0.6)
        return accept(raw, origin)

    with running(once_late) as server, MllpClient("127.0.0.1", server.port, 0.3) as client:
        with pytest.raises(DeliveryError):
            client.exchange(message("A"))
        assert client.exchange(message("B")).control_id == "B"
