"""The HTTP of a Store request: multipart/related out, a bounded answer in (PS3.18 section 10.5, RFC 2387, RFC 9110).

Nothing that comes from here quotes a foreign exception, an answer's text, a login or a name in a url.
"""

from __future__ import annotations

import os
import socket
import ssl
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, BinaryIO

import httpx2

from node.dicom.scp.wire import shut
from node.errors import ConfigError, DeliveryError
from node.settings import Destination, Settings

CHUNK_BYTES = 1 << 18
ANSWER_BYTES = 256 << 10
ANSWER_BYTES_EACH = 16 << 10
"""Most of an answer, and more for each object: peers take 1 to 2 KiB for one."""
CONNECT_SECONDS = 10.0
KEEP_SECONDS = 5.0
"""How long a connection without work stays open: results of one study come within seconds of each other."""
RETRY_AFTER_MOST = 7 * 86400

PART_HEAD = b"Content-Type: application/dicom\r\n\r\n"


class NoAnswer(DeliveryError):
    """The destination did not answer. ``slow``: it took the request and ran out of time."""

    def __init__(self, message: str, *, slow: bool = False) -> None:
        super().__init__(message, status="no answer")
        self.slow = slow


class Part:
    """An open file as a part of a body."""

    __slots__ = ("file", "size")

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size = os.fstat(file.fileno()).st_size

    def chunks(self) -> Iterator[bytes]:
        """Read it from its beginning.

        Raises
        ------
        Unreadable
            If it became shorter, or the disk fails.
        """
        try:
            self.file.seek(0)
            left = self.size
            while left:
                chunk = self.file.read(min(left, CHUNK_BYTES))
                if not chunk:
                    raise Unreadable(self, "it became shorter while it was sent")
                left -= len(chunk)
                yield chunk
        except OSError as exc:
            raise Unreadable(self, exc.strerror or type(exc).__name__) from None


class Unreadable(DeliveryError):
    """A file could not be read to its end; the request that it was in has been broken off."""

    def __init__(self, part: Part, message: str) -> None:
        super().__init__(f"cannot be read: {message}", status="not read")
        self.part = part


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer. ``body_missing`` says why the body was not read, where it was not."""

    status: int
    body: bytes
    retry_after: int | None = None
    body_missing: str = ""


class StowClient:
    """Stores at one service, over one connection that is kept between requests.

    Raises
    ------
    ConfigError
        If url, login or certificates cannot be used.
    """

    def __init__(self, destination: Destination, settings: Settings) -> None:
        self._url = f"{destination.url.rstrip('/')}/studies"
        self._timeout = settings.delivery.timeout_seconds
        self._connection: socket.socket | None = None
        self._fresh = True
        self._used = time.monotonic()
        self.interrupted = False
        self._client = httpx2.Client(
            headers=_headers(destination),
            auth=_basic(destination),
            verify=_context(settings),
            timeout=httpx2.Timeout(self._timeout, connect=min(self._timeout, CONNECT_SECONDS)),
            limits=httpx2.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEP_SECONDS),
            follow_redirects=False,  # objects and login go to the configured server and to no other
            trust_env=False,  # nor through a proxy or with a login that only the environment knows
        )
        try:
            self._client.build_request("POST", self._url)
        except (httpx2.InvalidURL, UnicodeError):
            self._client.close()
            raise ConfigError(f"destination {destination.name}: the url cannot be used") from None

    def begin(self) -> None:
        """Forget an interruption: a new round begins."""
        self.interrupted = False

    def interrupt(self) -> None:
        """Wake the thread that sends or waits (called by another thread)."""
        self.interrupted = True
        if (connection := self._connection) is not None:
            shut(connection)

    @property
    def idle(self) -> bool:
        """Whether the connection is not worth keeping any longer."""
        return time.monotonic() - self._used >= KEEP_SECONDS

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def store(self, parts: Sequence[Part]) -> Answer:
        """Send one Store request.

        Storing the same object twice is harmless, so what a kept connection lost without an answer is sent once more:
        the server may have closed it just then (RFC 9112 section 9.3.1).

        Raises
        ------
        NoAnswer
            If there was none, in time or at all.
        Unreadable
            If a file could not be read to its end.
        """
        kept, self._fresh = not self._fresh, False
        try:
            try:
                return self._post(parts)
            except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError):
                if not kept or self.interrupted:
                    raise
                return self._post(parts)
        except httpx2.HTTPError as exc:
            self._fresh = True
            raise _no_answer(exc, self._timeout) from None
        finally:
            self._used = time.monotonic()

    def _post(self, parts: Sequence[Part]) -> Answer:
        boundary = uuid.uuid4().hex
        size = sum(part.size for part in parts) + (len(PART_HEAD) + len(boundary) + 6) * len(parts) + len(boundary) + 6
        headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Content-Length": str(size),  # known, and there are servers that do not take a chunked body
        }
        body = self._body(parts, boundary.encode())
        extensions = {"trace": self._trace}
        with self._client.stream("POST", self._url, content=body, headers=headers, extensions=extensions) as response:
            return self._read(response, ANSWER_BYTES + ANSWER_BYTES_EACH * len(parts))

    def _body(self, parts: Sequence[Part], boundary: bytes) -> Iterator[bytes]:
        for part in parts:
            yield b"--" + boundary + b"\r\n" + PART_HEAD
            yield from part.chunks()
            yield b"\r\n"
        yield b"--" + boundary + b"--\r\n"

    def _read(self, response: httpx2.Response, most: int) -> Answer:
        """Read an answer as far as it is one: of a size that is known, in a time that is known, uncompressed."""
        after = retry_after(response.headers.get("Retry-After", ""))
        if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            return Answer(response.status_code, b"", after, "it is compressed, which was not asked for")
        body = bytearray()
        deadline = time.monotonic() + self._timeout
        try:
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > most:
                    return Answer(response.status_code, b"", after, f"it is longer than {most} bytes")
                if time.monotonic() > deadline:
                    return Answer(response.status_code, b"", after, f"it did not end within {self._timeout:g} s")
        except httpx2.HTTPError:
            return Answer(response.status_code, b"", after, "it broke off")
        return Answer(response.status_code, bytes(body), after)

    def _trace(self, name: str, info: Mapping[str, Any]) -> None:
        """Remember the connection's socket for :meth:`interrupt`: before an answer it is shown nowhere else."""
        if name in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._connection = info["return_value"].get_extra_info("socket")
        if self.interrupted and name.endswith(".complete") and self._connection is not None:
            shut(self._connection)  # the interruption came before there was a connection


def retry_after(value: str) -> int | None:
    """Read ``Retry-After``: seconds or a date (RFC 9110 section 10.2.3); None where it is neither."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(int(text[:9]), RETRY_AFTER_MOST)
    with suppress(ValueError, TypeError, OverflowError, IndexError):
        at = parsedate_to_datetime(text)
        seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)
        return min(max(0, round(seconds.total_seconds())), RETRY_AFTER_MOST)
    return None


def _headers(destination: Destination) -> dict[str, str]:
    # The client asks for compression by default; an answer of a few hundred bytes is not worth a bomb.
    found = {"Accept": "application/dicom+json", "Accept-Encoding": "identity", "User-Agent": "overread"}
    if token := destination.token.get_secret_value():
        if not token.isascii() or not token.isprintable() or " " in token:
            raise ConfigError(f"destination {destination.name}: the token has characters that no token has")
        found["Authorization"] = f"Bearer {token}"
    return found


def _basic(destination: Destination) -> httpx2.BasicAuth | None:
    if destination.token.get_secret_value() or not destination.username:
        return None
    return httpx2.BasicAuth(destination.username, destination.password.get_secret_value())


def _context(settings: Settings) -> ssl.SSLContext:
    """Return how servers are verified, names too: by the system's authorities, and by those that the site names."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.dicom.tls.authorities is not None:
        try:
            context.load_verify_locations(settings.dicom.tls.authorities)
        except (OSError, ssl.SSLError):
            raise ConfigError("dicom.tls: the authorities cannot be used") from None
    return context


def _no_answer(exc: httpx2.HTTPError, seconds: float) -> NoAnswer:
    """Say in our own words what went wrong; the library's may quote what was sent."""
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return NoAnswer("the server's certificate is not trusted, or is another server's")
        cause = cause.__cause__ or cause.__context__
    if isinstance(exc, httpx2.ConnectTimeout):
        return NoAnswer(f"no connection within {min(seconds, CONNECT_SECONDS):g} s")
    if isinstance(exc, httpx2.ReadTimeout):
        return NoAnswer(f"no answer within {seconds:g} s", slow=True)
    if isinstance(exc, httpx2.TimeoutException):
        return NoAnswer(f"the request was not taken within {seconds:g} s")
    if isinstance(exc, httpx2.ConnectError):
        return NoAnswer("no connection")
    if isinstance(exc, httpx2.RemoteProtocolError | httpx2.NetworkError):
        return NoAnswer("the connection was lost before an answer came")
    return NoAnswer(f"the request could not be sent ({type(exc).__name__})")
