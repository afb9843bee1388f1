"""TLS on the DICOM port (PS3.15 annex B.12): who gets in with which certificate, and whom a handshake holds up."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from pynetdicom import build_context
from sqlalchemy import func, select

from node.dicom.files import Outgoing
from node.dicom.requestor import associated
from node.dicom.scp.tls import client_context
from node.dicom.scu import Remote
from node.dicom.sender import Sender, SendOutcome
from node.errors import ConfigError, DeliveryError
from node.records.schema import Instance
from node.settings import TlsSection
from tests.node.dicom.conftest import Node
from tests.node.dicom.objects import encoded, image, outgoing_image
from tests.node.dicom.scp import raw
from tests.node.dicom.scp.raw import VERIFICATION, Raw, connected
from tests.peers import run

Start = Callable[..., Node]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@dataclass(frozen=True)
class Keys:
    folder: Path

    def authority(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    def pair(self, name: str) -> tuple[Path, Path]:
        return self.folder / f"{name}.key", self.folder / f"{name}.pem"

    def server(self, client_certificates: str) -> dict[str, object]:
        key, certificate = self.pair("server")
        authorities = self.authority("ca") if client_certificates != "none" else None
        return {
            "certificate": certificate, "key": key, "authorities": authorities,
            "client_certificates": client_certificates,
        }  # fmt: skip

    def client(self, name: str = "") -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.authority("ca"))
        context.check_hostname = False
        if name:
            key, certificate = self.pair(name)
            context.load_cert_chain(certificate, key)
        return context


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: no certificates can be made")
    folder = tmp_path_factory.mktemp("keys")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    for name in ("ca", "other"):
        openssl(
            folder, "req", "-x509", *curve, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}",
            "-days", "2",
        )  # fmt: skip
    for name, authority, days in (
        ("server", "ca", "2"), ("good", "ca", "2"), ("expired", "ca", "-1"), ("stranger", "other", "2"),
    ):  # fmt: skip
        openssl(folder, "req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl(
            folder, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key",
            "-CAcreateserial", "-days", days, "-out", f"{name}.pem",
        )  # fmt: skip
    return Keys(folder)


@pytest.mark.peer
@pytest.mark.parametrize(
    ("policy", "client", "welcome"),
    [
        ("required", "good", True),
        ("required", "", False),
        ("required", "expired", False),
        ("required", "stranger", False),
        ("optional", "", True),
        ("optional", "good", True),
        ("optional", "expired", False),
        ("optional", "stranger", False),
        ("none", "", True),
        ("none", "stranger", True),
    ],
)
def test_storescu_gets_in_with_the_certificate_that_is_asked_for(
    start: Start, tmp_path: Path, keys: Keys, peer: Callable[[str], str], policy: str, client: str, welcome: bool
) -> None:
    node = start(tls=keys.server(policy))
    pair = [str(path) for path in keys.pair(client)] if client else []
    identity = ["+tls", *pair] if client else ["+tla"]
    done = run(
        peer("storescu"), "-v", *identity, "+cf", str(keys.authority("ca")), "127.0.0.1", str(node.receiver.port),
        str(outgoing_image(tmp_path / "out").path),
    )  # fmt: skip
    node.settle()
    assert (done.returncode == 0) is welcome, done.stdout + done.stderr
    assert len(list(node.spool.files())) == int(welcome)
    assert len(node.lines("association.rejected")) == int(not welcome)


@pytest.mark.peer
def test_plain_dicom_on_the_tls_port_fails_and_leaves_a_line(
    start: Start, keys: Keys, peer: Callable[[str], str]
) -> None:
    node = start(tls=keys.server("none"))
    assert run(peer("echoscu"), "127.0.0.1", str(node.receiver.port)).returncode != 0
    node.settle()
    (line,) = node.lines("association.rejected")
    assert line == "A TLS handshake with 127.0.0.1 failed: the peer spoke plain DICOM, or an old version of TLS."
    assert run(peer("echoscu"), "+tla", "-ic", "127.0.0.1", str(node.receiver.port)).returncode == 0


def test_tls_1_1_and_suites_without_forward_secrecy_are_refused(start: Start, keys: Keys) -> None:
    node = start(tls=keys.server("none"))
    old, weak = keys.client(), keys.client()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    weak.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.set_ciphers("AES256-GCM-SHA384:ECDHE-ECDSA-AES128-SHA")
    for context in (old, weak):
        with pytest.raises((ssl.SSLError, ConnectionError)), connected(node, context):
            pass
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = keys.client()
        context.minimum_version = context.maximum_version = version
        with connected(node, context) as user:
            user.send(raw.request())
            assert user.pdu()[0] == raw.ACCEPT


def test_objects_of_every_size_come_through_tls(start: Start, keys: Keys) -> None:
    node = start(tls=keys.server("required"))
    with connected(node, keys.client("good")) as user:
        user.send(raw.request())
        assert user.pdu()[0] == raw.ACCEPT
        for rows in (6, 20_000, 60_000):
            ds = image(Rows=rows, Columns=50, PixelData=bytes(100 * rows))
            user.send(raw.store(1, str(ds.SOPInstanceUID), encoded(ds), piece=100_000))
            assert user.message().status == 0
        user.release()
    node.settle()
    assert len(list(node.spool.files())) == 3


def test_stalled_handshakes_hold_nobody_up(start: Start, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.dicom.scp.server.HANDSHAKE_SECONDS", 2.0)
    node = start(tls=keys.server("none"))
    with ExitStack() as stack:
        stalled = [stack.enter_context(socket.create_connection(("127.0.0.1", node.receiver.port))) for _ in range(30)]
        stalled[0].sendall(b"\x16\x03\x01")
        began = time.monotonic()
        with connected(node, keys.client()) as user:
            user.send(raw.request())
            assert user.pdu()[0] == raw.ACCEPT
            assert time.monotonic() - began < 1.9
        for connection in stalled:
            connection.settimeout(5)
            assert connection.recv(100) == b""
    node.settle()
    assert len(node.lines("association.rejected")) == 30


def test_a_stop_waits_for_no_handshake_and_ends_associations_over_tls(start: Start, keys: Keys) -> None:
    node = start(tls=keys.server("none"))
    with (
        connected(node, keys.client()) as user,
        socket.create_connection(("127.0.0.1", node.receiver.port)) as stalled,
    ):
        user.send(raw.request())
        assert user.pdu()[0] == raw.ACCEPT
        began = time.monotonic()
        node.receiver.stop(0.2)
        assert time.monotonic() - began < 2.0
        with contextlib.suppress(ssl.SSLError, AssertionError):
            user.aborted()  # the abort, or the alert of a TLS connection that was shut before it was read
        assert Raw(stalled).pdu() == (0, b"")


def test_the_nodes_own_associations_speak_tls_with_it(start: Start, keys: Keys) -> None:
    node = start(tls=keys.server("required"))
    key, certificate = keys.pair("good")
    tls = client_context(TlsSection(certificate=certificate, key=key, authorities=keys.authority("ca")))
    with associated(
        [build_context(VERIFICATION)], "127.0.0.1", node.receiver.port, "OVERREAD", "MR1", 10.0, tls
    ) as assoc:
        assert assoc.send_c_echo().Status == 0


def test_a_certificate_that_cannot_be_used_is_said_by_its_section(start: Start, keys: Keys, tmp_path: Path) -> None:
    key, certificate = keys.pair("server")
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no key")
    for files in ({"certificate": certificate, "key": wrong}, {"certificate": tmp_path / "none", "key": key}):
        with pytest.raises(ConfigError, match=r"dicom\.tls"):
            start(tls=files)


def test_the_node_delivers_over_tls_and_keeps_the_association(start: Start, keys: Keys, tmp_path: Path) -> None:
    node = start(tls=keys.server("required"))
    key, certificate = keys.pair("good")
    shown = client_context(TlsSection(certificate=certificate, key=key, authorities=keys.authority("ca")))
    sender = Sender(Remote("127.0.0.1", node.receiver.port, "OVERREAD", "MR1", 10.0, shown))
    for _ in range(2):
        items = [outgoing_image(tmp_path / "out", Rows=600, Columns=600, PixelData=bytes(720_000)) for _ in range(3)]
        assert [outcome.status for outcome in sender.send(items)] == [0] * 3
    sender.close()
    node.settle()
    with node.records.read() as session:
        assert session.scalar(select(func.count(Instance.id))) == 6
    stranger = client_context(TlsSection(authorities=keys.authority("other")))
    with pytest.raises(DeliveryError, match="TLS: CERTIFICATE_VERIFY_FAILED"):
        list(send_over(stranger, node.receiver.port, outgoing_image(tmp_path / "out")))


def send_over(context: ssl.SSLContext, port: int, item: Outgoing) -> list[SendOutcome]:
    return list(Sender(Remote("127.0.0.1", port, "OVERREAD", "MR1", 10.0, context)).send([item]))
