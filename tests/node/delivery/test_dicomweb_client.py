"""The HTTP client of STOW-RS: login, certificates, what it cannot be configured with."""

from __future__ import annotations

import base64
import logging
import ssl
import subprocess
from pathlib import Path

import pytest

from node.delivery.dicomweb_client import retry_after
from node.errors import ConfigError
from tests.node.delivery.stow import Reply, deliver, items, serving


def test_the_login_is_sent_and_shows_up_nowhere_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serving() as server:
        said = deliver(server.url, items(tmp_path, 1), username="overread", password="pass:wörd")
        said += deliver(server.url, items(tmp_path, 1), token="t0ken.of-mine~")
        server.script = lambda _: Reply(401, "t0ken.of-mine~")
        said += deliver(
            server.url, items(tmp_path, 1), token="t0ken.of-mine~", username="ignored", password="pass:wörd"
        )
    assert [request.headers.get("authorization") for request in server.requests] == [
        "Basic " + base64.b64encode("overread:pass:wörd".encode()).decode(),
        "Bearer t0ken.of-mine~",
        "Bearer t0ken.of-mine~",
    ]
    text = caplog.text + repr(said)
    assert "httpcore" in caplog.text
    for secret in ("pass:wörd", "t0ken", "Basic ", "Bearer "):
        assert secret not in text


@pytest.mark.parametrize("changes", [{"token": "two words"}, {"token": "line\nbreak"}])
def test_what_cannot_be_sent_as_configured_is_an_error_of_the_configuration(
    tmp_path: Path, changes: dict[str, str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        deliver(**{"url": "http://127.0.0.1:9", "what": items(tmp_path, 1)} | changes)  # type: ignore[arg-type]
    assert not any(value in str(caught.value) for value in changes.values())


def certificate(folder: Path, name: str) -> ssl.SSLContext:
    folder.mkdir()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
         "key.pem", "-out", "cert.pem", "-subj", "/CN=web", "-days", "2", "-addext", f"subjectAltName={name}"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


@pytest.mark.parametrize("name", ["IP:127.0.0.1", "DNS:another.example"])
def test_a_server_has_to_show_a_trusted_certificate_of_its_own_name(tmp_path: Path, name: str) -> None:
    with serving(context=certificate(tmp_path / "tls", name)) as server:
        what = items(tmp_path, 1)
        [stranger] = deliver(server.url, what)
        [known] = deliver(server.url, what, tls={"authorities": tmp_path / "tls" / "cert.pem"})
    refused = (False, "the server's certificate is not trusted, or is another server's")
    assert (stranger.ok, stranger.reason) == refused
    assert (known.ok, known.reason) == ((True, "") if name.startswith("IP") else refused)


def test_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after("120") == 120
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert retry_after("Fri, 31 Dec 9999 23:59:59 GMT") == retry_after("9" * 99) == 7 * 86400
    assert [retry_after(text) for text in ("", "soon", "-1", "٣", "1.5", "Wed, 99 Oct 2015")] == [None] * 6
