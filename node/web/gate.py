"""The gate before every page: host names, sessions, the login, cross-site requests, and the headers of the answer.

Who may see what
----------------
* ``/static`` and ``/login``: everybody.
* ``/healthz``, ``/readyz``, ``/metrics``: everybody on this machine; others need the login where one is configured.
* everything else: everybody where no login is configured (the settings then allow loopback only), else the login, as
  the session cookie or, for scripts, as HTTP Basic.

Without a login only host names of this machine are answered, so that a web page of somebody else cannot reach the node
by pointing a name of its own at 127.0.0.1 (DNS rebinding).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import anyio.to_thread
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from node import logs
from node.settings import WebSection, is_loopback
from node.web.credentials import Login, basic_credentials
from node.web.sessions import COOKIE, MAX_AGE_SECONDS, Session, Sessions, new_session

OPEN_PATHS = ("/static/", "/login")
OPERATIONS_PATHS = ("/healthz", "/readyz", "/metrics")
SCRIPT_PATHS = ("/api/", "/dicom-web/")
"""Asked by programs: they are told to log in by HTTP Basic, not sent to a form."""
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Gate:
    """ASGI middleware around the whole application; gives each request ``request.state.session``."""

    def __init__(self, app: ASGIApp, *, web: WebSection, sessions: Sessions, login: Login) -> None:
        self._app = app
        self._web = web
        self._sessions = sessions
        self._login = login

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        session = self._sessions.read(request.cookies.get(COOKIE))
        fresh = session is None
        session = session or new_session()
        scope.setdefault("state", {})["session"] = session
        guarded = _Guarded(send, cookie=self._cookie(request, session) if fresh else None)
        response = await self._refusal(request, session)
        if response is not None:
            await response(scope, receive, guarded.send)
            return
        await self._run(scope, receive, guarded)

    async def _run(self, scope: Scope, receive: Receive, guarded: _Guarded) -> None:
        try:
            await self._app(scope, receive, guarded.send)
        except Exception as exc:  # the server would log the text, and a foreign text may quote a patient
            logs.get("web").error("web.error", error=exc, path=scope["path"])
            if not guarded.started:
                await PlainTextResponse("Something failed here; the log says what.", 500)(scope, receive, guarded.send)

    async def _refusal(self, request: Request, session: Session) -> Response | None:
        if not self._web.login and not is_loopback(host_name(request.headers.get("host", ""))):
            return PlainTextResponse("This host name is not served here.", 400)
        if request.method not in SAFE_METHODS and request.headers.get("sec-fetch-site", "none") not in (
            "same-origin",
            "none",
        ):
            return PlainTextResponse("Requests from other sites are not taken.", 403)
        if self._is_open(request) or session.user or await self._basic(request):
            return None
        return _ask_for_login(request)

    def _is_open(self, request: Request) -> bool:
        path = request.url.path
        if not self._web.login or path.startswith(OPEN_PATHS):
            return True
        return path in OPERATIONS_PATHS and request.client is not None and is_loopback(request.client.host)

    async def _basic(self, request: Request) -> bool:
        """HTTP Basic is for reading only: a browser would add it to requests that other sites make.

        DICOMweb takes it for storing too. Its media type is none that a page may send to another site unasked (CORS,
        Fetch standard section 2.2.2), and nobody is asked here for a leave to do so.
        """
        given = basic_credentials(request.headers.get("authorization", ""))
        if given is None or not (request.method in SAFE_METHODS or request.url.path.startswith("/dicom-web/")):
            return False
        return await anyio.to_thread.run_sync(self._login.attempt, client_address(request), *given)

    def _cookie(self, request: Request, session: Session) -> Callable[[], str]:
        secure = request.url.scheme == "https"
        return lambda: cookie_header(self._sessions.write(session), secure=secure)


class _Guarded:
    """The send channel of one request: adds the headers, remembers whether the answer has begun."""

    def __init__(self, send: Send, cookie: Callable[[], str] | None) -> None:
        self._send = send
        self._cookie = cookie
        self.started = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
            if self._cookie and "set-cookie" not in headers and headers.get("content-type", "").startswith("text/html"):
                headers.append("set-cookie", self._cookie())
        await self._send(message)


def host_name(header: str) -> str:
    """Return the host of a ``Host`` header without its port and brackets (RFC 9110 section 7.2)."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0].lower()


def client_address(request: HTTPConnection) -> str:
    """Return the address the request came from, "" if the server does not say."""
    return request.client.host if request.client else ""


def cookie_header(value: str, *, secure: bool) -> str:
    """Return a ``Set-Cookie`` value: unreadable to scripts, never sent by other sites' requests (RFC 6265bis)."""
    parts = [f"{COOKIE}={value}", "Path=/", f"Max-Age={MAX_AGE_SECONDS}", "HttpOnly", "SameSite=Strict"]
    return "; ".join([*parts, "Secure"] if secure else parts)


def _ask_for_login(request: Request) -> Response:
    path = request.url.path
    if path.startswith(SCRIPT_PATHS) or path in OPERATIONS_PATHS:
        return PlainTextResponse("Log in first.", 401, {"WWW-Authenticate": 'Basic realm="Overread", charset="UTF-8"'})
    target = f"/login?next={quote(path)}" if request.method == "GET" and path != "/" else "/login"
    if request.headers.get("hx-request"):
        return Response(status_code=401, headers={"HX-Redirect": "/login"})
    return RedirectResponse(target, status_code=303)


def session_of(request: Request) -> Session:
    """Return the session that the gate read."""
    session: Any = request.state.session
    assert isinstance(session, Session)  # noqa: S101  the gate sets nothing else
    return session
