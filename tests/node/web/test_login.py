"""The gate: login, sessions, the brake on guessing, host names, other sites' requests."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
import structlog
from argon2 import PasswordHasher
from fastapi.testclient import TestClient
from pydantic import SecretStr

from node import logs
from node.settings import WebSection
from node.web import credentials
from node.web.credentials import Login, Throttle, basic_credentials, password_matches
from node.web.gate import host_name
from node.web.routes.login import local_path
from node.web.sessions import COOKIE, Sessions, load_secret, new_session
from tests.node.web.conftest import Client
from tests.node.web.seed import Seeded
from tests.node.web.test_pages import csrf_of

RIGHT = "right horse"
WEB: dict[str, Any] = {"user": "reader", "password": RIGHT}
FAR = ("10.1.2.3", 40000)
PRIVATE = ["/", "/studies/1", "/studies/1/parts/notes", "/studies/1/events", "/events", "/operations", "/nothing"]
PRIVATE += ["/identity", "/messages", "/messages/part", "/messages/1", "/messages/1/content", "/alerts/part"]
PRIVATE += ["/studies/1/parts/assessment", "/studies/1/parts/doubt"]
FORMS = ["/studies/1/identity", "/messages/1/replay"]


@pytest.fixture
def guarded(make_client: Client, seeded: Seeded) -> TestClient:
    """Give a client from another machine of a node with a login."""
    client = make_client(address=FAR, host="0.0.0.0", **WEB)
    assert client.get("/login").status_code == 200
    return client


def log_in(client: TestClient, password: str = RIGHT, target: str = "/") -> Any:
    csrf = csrf_of(client.get("/login").text)
    return client.post("/login", data={"name": "reader", "password": password, "csrf": csrf, "target": target})


@pytest.mark.parametrize("path", PRIVATE)
def test_without_a_session_every_page_leads_to_the_login(guarded: TestClient, path: str) -> None:
    answer = guarded.get(path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login")


@pytest.mark.parametrize("path", FORMS)
def test_without_a_session_every_form_leads_to_the_login(guarded: TestClient, path: str) -> None:
    answer = guarded.post(path, data={"csrf": csrf_of(guarded.get("/login").text), "decision": "same_person"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


@pytest.mark.parametrize(
    "path", ["/api/worklist", "/api/messages", "/api/studies/1", "/metrics", "/healthz", "/readyz"]
)
def test_scripts_from_other_machines_are_asked_for_the_login(guarded: TestClient, path: str) -> None:
    answer = guarded.get(path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic")
    assert guarded.get(path, auth=("reader", "wrong")).status_code == 401
    assert guarded.get(path, auth=("reader", "right horse")).status_code == 200


def test_a_live_part_of_a_page_sends_the_browser_to_the_login(guarded: TestClient) -> None:
    answer = guarded.get("/studies/1/parts/status", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/login")


def test_the_right_password_opens_the_page_that_was_asked_for(guarded: TestClient) -> None:
    assert guarded.get("/studies/1").headers["location"] == "/login?next=/studies/1"
    answer = log_in(guarded, target="/studies/1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/studies/1")
    cookie = answer.headers["set-cookie"]
    assert all(flag in cookie for flag in ("HttpOnly", "SameSite=Strict", "Path=/"))
    assert "Secure" not in cookie
    assert guarded.get("/studies/1").status_code == 200


def test_over_https_the_cookie_is_secure(make_client: Client, seeded: Seeded) -> None:
    client = make_client(address=FAR, host="0.0.0.0", **WEB)
    client.base_url = client.base_url.copy_with(scheme="https")
    assert "Secure" in log_in(client).headers["set-cookie"]


def test_a_login_takes_a_new_session(guarded: TestClient) -> None:
    guarded.get("/login")
    before = guarded.cookies[COOKIE]
    log_in(guarded)
    assert guarded.cookies[COOKIE] != before
    guarded.cookies.clear()
    guarded.cookies.set(COOKIE, before)
    assert guarded.get("/").status_code == 303


def test_logging_out_ends_it_and_needs_the_token(guarded: TestClient) -> None:
    log_in(guarded)
    assert guarded.post("/logout", data={"csrf": "0" * 64}).status_code == 403
    assert guarded.get("/").status_code == 200
    assert guarded.post("/logout", data={"csrf": csrf_of(guarded.get("/").text)}).status_code == 303
    assert guarded.get("/").status_code == 303


def test_a_wrong_password_is_refused_without_saying_which_part(guarded: TestClient) -> None:
    answer = log_in(guarded, "wrong")
    assert answer.status_code == 401
    assert "Name or password is wrong." in answer.text


def test_a_login_without_the_token_of_the_form_is_refused(guarded: TestClient) -> None:
    answer = guarded.post("/login", data={"name": "reader", "password": "right horse", "csrf": "x"})
    assert answer.status_code == 403
    assert guarded.get("/").status_code == 303


def test_guessing_is_slowed_down_even_with_the_right_password(guarded: TestClient) -> None:
    for _ in range(credentials.FREE_FAILURES + 1):
        assert log_in(guarded, "wrong").status_code == 401
    answer = log_in(guarded)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert guarded.get("/api/worklist", auth=("reader", "right horse")).status_code == 401


def test_the_wait_doubles_is_bounded_and_is_forgotten() -> None:
    now = [0.0]
    throttle = Throttle(clock=lambda: now[0])
    waits = []
    for _ in range(20):
        throttle.failed("a")
        waits.append(throttle.wait("a"))
    assert waits[: credentials.FREE_FAILURES] == [0.0] * credentials.FREE_FAILURES
    assert waits[credentials.FREE_FAILURES : credentials.FREE_FAILURES + 3] == [2.0, 4.0, 8.0]
    assert waits[-1] == credentials.LONGEST_WAIT_SECONDS
    assert throttle.wait("b") == 0.0
    now[0] = credentials.FORGET_SECONDS + 1
    throttle.failed("a")
    assert throttle.wait("a") == 0.0


def test_the_memory_of_failures_is_bounded() -> None:
    throttle = Throttle()
    for index in range(credentials.MAX_ADDRESSES + 500):
        throttle.failed(str(index))
    assert len(throttle._failures) == credentials.MAX_ADDRESSES


def test_a_success_forgets_the_failures_before_it() -> None:
    login = Login(WebSection(**WEB))
    for _ in range(4):
        for _ in range(credentials.FREE_FAILURES - 1):
            assert not login.attempt("a", "reader", "wrong")
        assert login.attempt("a", "reader", "right horse")


def test_a_hashed_password_is_verified() -> None:
    web = WebSection(user="reader", password_hash=SecretStr(PasswordHasher(time_cost=1).hash("right horse")))
    assert password_matches(web, "reader", "right horse")
    assert not password_matches(web, "reader", "wrong")
    assert not password_matches(web, "other", "right horse")


@pytest.mark.parametrize(
    "web", [WebSection(), WebSection(user="reader"), WebSection(user="r", password_hash=SecretStr("x"))]
)
def test_no_configured_password_or_a_broken_hash_lets_nobody_in(web: WebSection) -> None:
    assert not password_matches(web, web.user, "")
    assert not password_matches(web, web.user, "x")


@pytest.mark.parametrize(
    ("header", "given"),
    [
        ("Basic cmVhZGVyOmE6Yg==", ("reader", "a:b")),
        ("basic w7w6cA==", ("ü", "p")),
        ("Basic !!!", None),
        ("Basic cmVhZGVy", None),
        ("Basic /w==", None),
        ("Basic \xff\xff", None),
        ("Bearer x", None),
        ("", None),
    ],
)
def test_http_basic_is_read_and_nothing_else(header: str, given: tuple[str, str] | None) -> None:
    assert basic_credentials(header) == given


def test_basic_cannot_change_anything(guarded: TestClient, seeded: Seeded) -> None:
    url = f"/studies/{seeded.done}/deliveries/{seeded.failed_delivery}/again"
    answer = guarded.post(url, auth=("reader", "right horse"))
    assert answer.headers["location"].startswith("/login")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_watching_from_the_same_machine_needs_no_login(make_client: Client, seeded: Seeded, path: str) -> None:
    client = make_client(**WEB)
    assert client.get(path).status_code == 200
    assert client.get("/").status_code == 303


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "10.0.0.1", "", "[fe80::1]"]
)
def test_a_foreign_host_name_is_refused_on_loopback(client: TestClient, host: str) -> None:
    answer = client.get("/", headers={"Host": host})
    assert answer.status_code == 400
    assert "Zweifel" not in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]:8080", "[::1]"])
def test_the_names_of_this_machine_are_served(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 200


def test_behind_a_login_any_host_name_is_served_so_that_a_proxy_can_stand_before_it(guarded: TestClient) -> None:
    log_in(guarded)
    cookies = {"Cookie": f"{COOKIE}={guarded.cookies[COOKIE]}"}
    assert guarded.get("/", headers={"Host": "overread.hospital.example", **cookies}).status_code == 200


def test_host_names_lose_port_and_brackets() -> None:
    assert [host_name(h) for h in ("a:1", "[::1]:2", "A", "")] == ["a", "::1", "a", ""]


@pytest.mark.parametrize(
    ("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)]
)
def test_requests_that_other_sites_send_change_nothing(client: TestClient, site: str, status: int) -> None:
    answer = client.post("/worklist/rows", headers={"Sec-Fetch-Site": site}, data={})
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/studies/1", "/studies/1"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/a\r\nb", "/"),
        ("", "/"),
    ],
)
def test_a_login_leads_to_this_site_only(target: str, path: str) -> None:
    assert local_path(target) == path


def test_the_signing_key_is_made_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "root" / "web.secret"
    first = load_secret(path)
    assert len(first) == 32
    assert load_secret(path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["web.secret"]


def test_a_session_is_not_accepted_forged_or_after_the_password_changed() -> None:
    web = WebSection(**WEB)
    sessions = Sessions(b"k" * 32, web)
    session = new_session("reader")
    cookie = sessions.write(session)
    assert sessions.read(cookie) == session
    assert sessions.read(cookie[:-2] + "xx") is None
    assert sessions.read("") is None
    assert Sessions(b"j" * 32, web).read(cookie) is None
    assert Sessions(b"k" * 32, WebSection(user="reader", password=SecretStr("new"))).read(cookie) is None


def test_an_error_inside_gives_no_text_away(
    make_client: Client, seeded: Seeded, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("Zweifel^Hildegard")

    monkeypatch.setattr("node.records.views.worklist", broken)
    logs.configure()
    try:
        answer = make_client().get("/")
    finally:
        structlog.reset_defaults()
    assert answer.status_code == 500
    captured = capsys.readouterr()
    assert "Zweifel" not in answer.text + captured.out + captured.err
    assert '"error": "RuntimeError"' in captured.err
