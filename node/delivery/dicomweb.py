"""Delivery by STOW-RS (PS3.18 section 10.5): objects go out as the bytes that their files hold, several a request.

Delivered is what the answer names in Referenced SOP Sequence, whatever its HTTP status; see
:mod:`node.delivery.dicomweb_answer`. A request that is refused as a whole is taken apart, so that one object that the
destination cannot take holds back no other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import TypeVar

from node.delivery.dicomweb_answer import AnswerError, StoreResponse, Verdict, parse
from node.delivery.dicomweb_client import Answer, NoAnswer, Part, StowClient, Unreadable
from node.delivery.transport import Item, KeptTransport, Outcome
from node.settings import Destination, Settings

T = TypeVar("T")

BATCH_OBJECTS = 50
BATCH_BYTES = 64 << 20
"""Most of one request. An object that is larger goes alone."""

TOO_LARGE = 413
WHOLE: dict[int, str] = {
    401: "the login is missing or wrong",
    403: "the login may not store there",
    404: "there is no Store service at this url",
    405: "there is no Store service at this url",
    407: "a proxy in between wants a login",
    408: "the request came too slowly",
    421: "there is no Store service at this url",
    429: "too many requests",
    502: "what is behind the gateway does not answer",
    503: "unavailable",
    504: "what is behind the gateway does not answer",
}
"""Statuses that are about the login, the url or the server: other objects would be answered the same now."""
WORDS: dict[int, str] = {
    400: "bad request",
    409: "conflict",
    TOO_LARGE: "too large for the destination",
    415: "unsupported media type",
    500: "internal error of the destination",
}


class Stopped(Exception):
    """Nothing more is tried in this round, for a reason that holds for everything that is left."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.verdict = Verdict(False, status, reason)


class DicomWebTransport(KeptTransport):
    """Sends objects to one Store service, over a connection that is kept."""

    def __init__(self) -> None:
        self._client: StowClient | None = None
        self._most = self._ceiling = BATCH_OBJECTS

    def __call__(self, destination: Destination, items: Sequence[Item], settings: Settings) -> Iterator[Outcome]:
        """Send objects; accepted is what the answer says is stored, and a warning is kept.

        Raises
        ------
        ConfigError
            If url, token or certificates cannot be used.
        """
        if self._client is None:
            self._client = StowClient(destination, settings)
        client = self._client
        client.begin()
        left = {item.delivery for item in items}
        try:
            for outcome in self._send(client, list(items)):
                left.discard(outcome.delivery)
                yield outcome
        except Stopped as exc:
            if not client.interrupted:
                yield from (_outcome(item, exc.verdict) for item in items if item.delivery in left)

    def rest(self) -> None:
        """Close the connection once it was idle for some seconds."""
        if self._client is not None and self._client.idle:
            self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()
        self._client = None

    def interrupt(self) -> None:
        """End what is being sent."""
        if self._client is not None:
            self._client.interrupt()

    def _send(self, client: StowClient, items: list[Item]) -> Iterator[Outcome]:
        while items:
            with ExitStack() as files:
                parts, unreadable = self._next(files, items)
                yield from unreadable
                if parts:
                    yield from self._store(client, [item for item, _ in parts], [part for _, part in parts])

    def _next(self, files: ExitStack, items: list[Item]) -> tuple[list[tuple[Item, Part]], list[Outcome]]:
        """Take the next request's objects from the list and open their files."""
        parts: list[tuple[Item, Part]] = []
        unreadable: list[Outcome] = []
        size = 0
        while items and len(parts) < self._most:
            try:
                part = Part(files.enter_context(items[0].path.open("rb")))
            except OSError as exc:
                verdict = Verdict(False, type(exc).__name__, f"cannot be read: {exc.strerror}")
                unreadable.append(_outcome(items.pop(0), verdict))
                continue
            size += part.size
            if parts and size > BATCH_BYTES:
                break
            parts.append((items.pop(0), part))
        return parts, unreadable

    def _store(self, client: StowClient, items: list[Item], parts: list[Part]) -> Iterator[Outcome]:
        """Send one request and say what became of its objects; those that it does not settle go by other requests."""
        try:
            answer = self._asked(client, parts)
        except Unreadable as exc:
            bad = parts.index(exc.part)
            yield _outcome(items[bad], Verdict(False, exc.status, str(exc)))
            if len(parts) > 1:
                yield from self._store(client, _without(items, bad), _without(parts, bad))
            return
        said = judge(answer, [item.uid for item in items])
        apart = []
        for number, (item, verdict) in enumerate(zip(items, said, strict=True)):
            if verdict is None:
                apart.append(number)
            else:
                yield _outcome(item, verdict)
        if answer.status in WHOLE or 300 <= answer.status < 400:
            raise Stopped(str(answer.status), _refusal(answer))
        step = max(1, len(items) // 2) if answer.status == TOO_LARGE else 1
        for start in range(0, len(apart), step):
            chosen = apart[start : start + step]
            yield from self._store(client, [items[n] for n in chosen], [parts[n] for n in chosen])

    def _asked(self, client: StowClient, parts: list[Part]) -> Answer:
        """Send a request, and learn from it how many objects the destination manages at a time."""
        try:
            answer = client.store(parts)
        except NoAnswer as exc:
            if exc.slow:
                self._most = max(1, len(parts) // 2)
            raise Stopped("no answer", str(exc)) from None
        if answer.status == TOO_LARGE and len(parts) > 1:
            self._ceiling = max(1, len(parts) // 2)
        self._most = min(self._ceiling, self._most + 1)
        return answer


def judge(answer: Answer, uids: Sequence[str]) -> list[Verdict | None]:
    """Return what an answer says of each object that was sent. Pure.

    None stands for an object that is to be sent alone: the request was refused, and it may have been for another one.
    A refused request has stored nothing (PS3.18 table 10.5.3-1: 400, 409), so what a refusal calls stored is sent alone
    too. Where an object was alone already, it has failed.
    """
    try:
        response = parse(answer.body)
    except AnswerError as exc:
        response, unread = StoreResponse({}, {}), str(exc)
    else:
        unread = ""
    if answer.body_missing:
        unread = answer.body_missing
    good = 200 <= answer.status < 300
    whole = answer.status in WHOLE or 300 <= answer.status < 400
    otherwise: Verdict | None
    if good:
        otherwise = Verdict(False, str(answer.status), _unnamed(answer.status, response, unread))
    else:
        otherwise = None if len(uids) > 1 and not whole else Verdict(False, str(answer.status), _refusal(answer))
    found = [response.verdict(uid) for uid in uids]
    return [v if v is not None and (good or not v.stored) else otherwise for v in found]


def _unnamed(status: int, response: StoreResponse, unread: str) -> str:
    """Say why a request that was answered with success does not count."""
    if unread:
        return f"answered {status}, but the answer does not say what was stored: {unread}"
    remarks = response.remarks()
    return f"answered {status}, but the answer does not name the object" + (f"; it has: {remarks}" if remarks else "")


def _refusal(answer: Answer) -> str:
    if 300 <= answer.status < 400:
        return f"{answer.status} redirected: the configured url has to be the one that takes objects"
    meaning = WHOLE.get(answer.status) or WORDS.get(answer.status, "")
    again = f"; it asks to come again after {answer.retry_after} s" if answer.retry_after is not None else ""
    return (f"{answer.status} {meaning}" if meaning else f"answered {answer.status}") + again


def _without(things: list[T], number: int) -> list[T]:
    return things[:number] + things[number + 1 :]


def _outcome(item: Item, verdict: Verdict) -> Outcome:
    return Outcome(item.delivery, verdict.ok, verdict.status, verdict.reason)
