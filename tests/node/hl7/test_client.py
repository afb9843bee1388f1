"""The sender: what counts as accepted, how long it waits, what it does with a connection that is kept."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from node.errors import DeliveryError, Hl7InputError
from node.hl7 import ack as acks
from node.hl7.framing import FrameDecoder, frame
from node.hl7.message import peek
from node.hl7.mllp import MllpClient, send
from node.settings import Hl7Section

SECTION = Hl7Section()
Reply = Callable[[bytes], bytes | None]


def message(control_id: str, wanted: str = "") -> bytes:
    tail = f"|||{wanted}" if wanted else ""
    return f"MSH|^~\\&|RIS|HOSP|||20260101||ORU^R01|{control_id}|P|2.5.1{tail}\rPID|1||1\r".encode()


def accept(raw: bytes, *, commit: bool = False) -> bytes:
    return frame(acks.accept(peek(raw), SECTION, commit=commit))


class Peer:
    """Listens; answers each message with what ``reply`` gives, closes the connection at None."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.messages: list[bytes] = []
        self.connections: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        decoder = FrameDecoder(1 << 20)
        with connection, suppress(ConnectionError):
            while data := connection.recv(65536):
                for raw in decoder.feed(data):
                    self.messages.append(raw)
                    if (said := self.reply(raw)) is None:
                        return
                    connection.sendall(said)

    def control_ids(self) -> list[str]:
        return [peek(raw).control_id for raw in self.messages]

    def close(self) -> None:
        self._listening.close()


@contextmanager
def peer(reply: Reply) -> Iterator[Peer]:
    running = Peer(reply)
    try:
        yield running
    finally:
        running.close()


def test_several_messages_go_over_one_connection() -> None:
    with peer(accept) as ris, MllpClient("127.0.0.1", ris.port, 5) as client:
        assert [client.exchange(message(name)).control_id for name in ("A", "B", "C")] == ["A", "B", "C"]
        assert len(ris.connections) == 1


def test_an_answer_in_pieces_is_read() -> None:
    with peer(lambda raw: b"\r\n" + accept(raw)) as ris:
        assert send("127.0.0.1", ris.port, message("A"), 5).code == "AA"


@pytest.mark.parametrize("code", ["AE", "AR"])
def test_a_refusal_is_an_error_with_the_peers_word(code: str) -> None:
    def refuse(raw: bytes) -> bytes:
        return frame(acks.refuse(peek(raw), SECTION, Hl7InputError("no", error_code="207", ack=code)))

    with peer(refuse) as ris, pytest.raises(DeliveryError) as caught:
        send("127.0.0.1", ris.port, message("A"), 5)
    assert caught.value.status == code
    assert "207" in str(caught.value)


def test_an_answer_to_another_message_is_no_acceptance() -> None:
    with peer(lambda _: accept(message("OTHER"))) as ris, pytest.raises(DeliveryError, match="another"):
        send("127.0.0.1", ris.port, message("A"), 5)


def test_an_answer_that_is_no_acknowledgement_is_an_error() -> None:
    with peer(frame) as ris, pytest.raises(DeliveryError, match="no acknowledgement"):
        send("127.0.0.1", ris.port, message("A"), 5)


def test_a_peer_that_closes_without_an_answer_is_an_error_and_a_fresh_connection_is_not_tried_twice() -> None:
    with peer(lambda _: None) as ris:
        with pytest.raises(DeliveryError, match="closed"):
            send("127.0.0.1", ris.port, message("A"), 5)
        assert ris.control_ids() == ["A"]


def test_a_peer_that_does_not_answer_is_given_up_in_time() -> None:
    with peer(lambda _: b"") as ris:
        began = time.monotonic()
        with pytest.raises(DeliveryError, match="in time"):
            send("127.0.0.1", ris.port, message("A"), 0.3)
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


def test_an_answer_that_never_ends_is_given_up() -> None:
    with peer(lambda _: b"\x0b" + b"x" * (2 << 20)) as ris, pytest.raises(DeliveryError, match="too long"):
        send("127.0.0.1", ris.port, message("A"), 5)


def test_the_client_connects_again_after_an_error() -> None:
    def once_late(raw: bytes) -> bytes:
        if peek(raw).control_id == "A":
            time.sleep(1.0)
        return accept(raw)

    with peer(once_late) as ris, MllpClient("127.0.0.1", ris.port, 0.6) as client:
        with pytest.raises(DeliveryError):
            client.exchange(message("A"))
        assert client.exchange(message("B")).control_id == "B"


def test_a_kept_connection_that_the_peer_closed_meanwhile_is_replaced_without_sending_twice() -> None:
    with peer(accept) as ris, MllpClient("127.0.0.1", ris.port, 5) as client:
        client.exchange(message("A"))
        ris.connections[0].shutdown(socket.SHUT_RDWR)
        time.sleep(0.05)
        assert client.exchange(message("B")).code == "AA"
        assert ris.control_ids() == ["A", "B"]
        assert len(ris.connections) == 2


def test_a_message_is_sent_once_more_where_a_kept_connection_dies_before_anything_is_answered() -> None:
    replies: list[Reply] = [accept, lambda _: None, accept]
    with peer(lambda raw: replies.pop(0)(raw)) as ris, MllpClient("127.0.0.1", ris.port, 5) as client:
        client.exchange(message("A"))
        assert client.exchange(message("B")).control_id == "B"
        assert ris.control_ids() == ["A", "B", "B"]


def test_a_connection_that_dies_again_and_again_is_an_error() -> None:
    replies: list[Reply] = [accept, lambda _: None, lambda _: None]
    with peer(lambda raw: replies.pop(0)(raw)) as ris, MllpClient("127.0.0.1", ris.port, 5) as client:
        client.exchange(message("A"))
        with pytest.raises(DeliveryError, match="closed"):
            client.exchange(message("B"))
        assert ris.control_ids() == ["A", "B", "B"]


def test_what_a_peer_says_unasked_is_never_taken_for_the_next_answer() -> None:
    glued = peer(lambda raw: accept(raw) + accept(message("B")))
    with glued as ris, MllpClient("127.0.0.1", ris.port, 5) as client:
        client.exchange(message("A"))
        time.sleep(0.05)
        client.exchange(message("B"))
        assert ris.control_ids() == ["A", "B"]
        assert len(ris.connections) == 2


def test_an_interrupted_exchange_ends_at_once() -> None:
    with peer(lambda _: b"") as ris, MllpClient("127.0.0.1", ris.port, 30) as client:
        threading.Timer(0.2, client.interrupt).start()
        began = time.monotonic()
        with pytest.raises(DeliveryError):
            client.exchange(message("A"))
        with pytest.raises(DeliveryError, match="interrupted"):
            client.exchange(message("B"))
        assert time.monotonic() - began < 5


def test_in_the_enhanced_mode_ca_is_enough_where_no_application_acknowledgement_is_wanted() -> None:
    with peer(lambda raw: accept(raw, commit=True)) as ris, MllpClient("127.0.0.1", ris.port, 5) as client:
        assert client.exchange(message("A", "AL|NE")).code == "CA"
        assert client.exchange(message("B", "AL|NE")).code == "CA"


def test_in_the_enhanced_mode_the_applications_answer_is_waited_for_where_it_is_wanted() -> None:
    def both(raw: bytes) -> bytes:
        if peek(raw).code == "ACK":
            return b""
        return accept(raw, commit=True) + frame(acks.accept(peek(raw), SECTION))

    with peer(both) as ris, MllpClient("127.0.0.1", ris.port, 5) as client:
        assert client.exchange(message("A", "AL|AL")).code == "AA"
        assert client.exchange(message("B", "AL|AL")).code == "AA"


def test_an_application_acknowledgement_that_asks_for_it_is_accepted() -> None:
    def asking(raw: bytes) -> bytes:
        if peek(raw).code == "ACK":
            return b""
        header = peek(raw)
        own = acks.accept(header, SECTION).replace(b"|2.5.1\r", b"|2.5.1|||AL|NE\r")
        assert b"|AL|NE\r" in own
        return accept(raw, commit=True) + frame(own)

    with peer(asking) as ris, MllpClient("127.0.0.1", ris.port, 5) as client:
        assert client.exchange(message("A", "AL|AL")).code == "AA"
        deadline = time.monotonic() + 5
        while len(ris.messages) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        said = acks.read(ris.messages[1])
        assert said.code == "CA"
        assert said.control_id not in ("", "A")
        assert acks.wanted(ris.messages[1], peek(ris.messages[1])) == acks.Wanted("NE", "NE")


def test_an_application_that_refuses_what_was_committed_is_a_refusal() -> None:
    def both(raw: bytes) -> bytes:
        error = Hl7InputError("no such patient", error_code="204", location="PID^1^3")
        return accept(raw, commit=True) + frame(acks.refuse(peek(raw), SECTION, error))

    with peer(both) as ris, MllpClient("127.0.0.1", ris.port, 5) as client:
        with pytest.raises(acks.AckRefused) as caught:
            client.exchange(message("A", "AL|AL"))
        assert caught.value.status == "AE"


def test_a_commit_that_is_refused_is_a_refusal() -> None:
    def refuse(raw: bytes) -> bytes:
        return frame(acks.refuse(peek(raw), SECTION, acks.not_now(), commit=True))

    with peer(refuse) as ris, MllpClient("127.0.0.1", ris.port, 5) as client:
        with pytest.raises(acks.AckRefused) as caught:
            client.exchange(message("A", "AL|NE"))
        assert (caught.value.status, caught.value.ack.error_code) == ("CE", "207")


def test_an_applications_late_answer_to_an_earlier_message_is_passed_over() -> None:
    def late(raw: bytes) -> bytes:
        return frame(acks.accept(peek(message("EARLIER")), SECTION)) + accept(raw, commit=True)

    with peer(late) as ris, MllpClient("127.0.0.1", ris.port, 5) as client:
        assert client.exchange(message("A", "AL|NE")).code == "CA"
