"""TLS on the HL7 port and to destinations: who gets in with which certificate, and whom a handshake holds up."""

from __future__ import annotations

import socket
import ssl
import time
from pathlib import Path

import pytest

from node.errors import ConfigError, DeliveryError
from node.hl7 import listener as listener_module
from node.hl7.framing import frame
from node.hl7.mllp import MllpClient
from node.hl7.tls import client_context, server_context
from node.records.engine import Records
from node.settings import TlsSection
from tests.node.hl7.certificates import Keys, made
from tests.node.hl7.listening import Answers, listening
from tests.peers import eventually


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return made(tmp_path_factory.mktemp("keys"))


def message(control_id: str, size: int = 0) -> bytes:
    head = f"MSH|^~\\&|RIS|HOSP|||20260101||ADT^A08|{control_id}|P|2.5.1\rPID|1||4711^^^HOSP||Doe^Jane\rPV1|1|O\r"
    return head.encode() + (b"NTE|1||" + b"x" * size + b"\r" if size else b"")


@pytest.mark.parametrize(
    ("policy", "client", "welcome"),
    [
        ("required", "client", True),
        ("required", "", False),
        ("required", "stranger", False),
        ("optional", "", True),
        ("optional", "stranger", False),
        ("none", "", True),
    ],
)
def test_a_sender_gets_in_with_the_certificate_that_is_asked_for(
    tmp_path: Path, keys: Keys, policy: str, client: str, welcome: bool
) -> None:
    with listening(tmp_path, tls=keys.section("server", policy)) as node:
        with MllpClient("127.0.0.1", node.port, 5, tls=keys.context(client)) as sender:
            if welcome:
                assert [sender.exchange(message(name)).code for name in ("A", "B")] == ["AA", "AA"]
            else:
                with pytest.raises(DeliveryError):
                    sender.exchange(message("A"))
        assert len(node.kept()) == (2 if welcome else 0)


def test_the_nodes_client_shows_its_certificate_and_verifies_the_peers(tmp_path: Path, keys: Keys) -> None:
    with listening(tmp_path, tls=keys.section("server", "required")) as node:
        ours = client_context(keys.section("client"))
        with MllpClient("127.0.0.1", node.port, 5, tls=ours) as sender:
            assert sender.exchange(message("A")).code == "AA"
        mistrusting = client_context(keys.section("client", authority="other"))
        sender = MllpClient("127.0.0.1", node.port, 5, tls=mistrusting)
        with sender, pytest.raises(DeliveryError, match="TLS failed"):
            sender.exchange(message("B"))


def test_without_authorities_of_its_own_the_site_relies_on_names(keys: Keys) -> None:
    assert not client_context(keys.section("client")).check_hostname
    assert client_context(TlsSection()).check_hostname
    assert client_context(TlsSection()).verify_mode is ssl.CERT_REQUIRED


def test_a_long_message_and_many_small_ones_come_through_whole(tmp_path: Path, keys: Keys) -> None:
    with listening(tmp_path, tls=keys.section("server")) as node:
        with keys.context().wrap_socket(node.connect()) as sender:
            sender.sendall(b"".join(frame(message(f"M{n}")) for n in range(100)) + frame(message("LONG", 2 << 20)))
            assert [ack.code for ack in Answers(sender).next(101)] == ["AA"] * 101
        assert len(node.kept()[-1].raw) > 2 << 20


def test_a_message_that_is_too_long_is_refused_over_tls_too(tmp_path: Path, keys: Keys) -> None:
    short = listening(tmp_path, tls=keys.section("server"), max_message_bytes=2048)
    with short as node, keys.context().wrap_socket(node.connect()) as sender:
        sender.sendall(b"\x0b" + message("LONG", 20_000))
        (ack,) = Answers(sender).next()
        assert (ack.code, ack.error_code) == ("AR", "104")


def test_a_handshake_that_does_not_go_on_holds_nobody_up_and_is_ended(
    tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "HANDSHAKE_SECONDS", 2.0)
    records = Records(f"sqlite:///{tmp_path / 'overread.sqlite'}")
    records.migrate()
    records.close()
    with listening(tmp_path, tls=keys.section("server")) as node:
        stuck = [node.connect() for _ in range(20)]
        began = time.monotonic()
        with MllpClient("127.0.0.1", node.port, 5, tls=keys.context()) as sender:
            assert sender.exchange(message("A")).code == "AA"
        assert time.monotonic() - began < 2.0
        for connection in stuck:
            assert gone(connection)
            connection.close()
        eventually("their places are free", lambda: node.listener.connections == 0)
        eventually("the timeline says so", lambda: node.lines("message.handshake"))


def test_a_sender_without_tls_gets_no_answer(tmp_path: Path, keys: Keys) -> None:
    with listening(tmp_path, tls=keys.section("server")) as node, node.connect() as sender:
        sender.sendall(frame(message("A")))
        sender.settimeout(5)
        said = b""
        try:
            while data := sender.recv(1000):
                said += data
        except ConnectionError:
            pass
        assert b"MSA" not in said
        assert node.kept() == []


def gone(connection: socket.socket) -> bool:
    try:
        return connection.recv(10) == b""
    except ConnectionError:
        return True


def test_a_file_that_cannot_be_read_is_an_error_that_names_the_section(tmp_path: Path) -> None:
    section = TlsSection(certificate=tmp_path / "none.pem", key=tmp_path / "none.key")
    with pytest.raises(ConfigError, match=r"^hl7\.tls: "):
        server_context(section)
    with pytest.raises(ConfigError, match=r"^hl7\.tls: "):
        client_context(section)
