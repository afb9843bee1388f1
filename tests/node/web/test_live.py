"""Live pages over a real server: what is sent, to whom, and that a stop is not held up."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import httpx2
import pytest

from node.records import timeline
from node.records.engine import Records
from node.settings import Settings
from node.web import live
from node.web.app import create_app
from node.web.live import LiveFeed
from node.web.server import WebServer, create_server
from tests.node.web.seed import Seeded
from tests.peers import free_port


@dataclass
class Running:
    """A server in a thread."""

    url: str
    server: WebServer
    thread: threading.Thread

    def stop(self) -> float:
        """Stop it; returns the seconds that took."""
        begin = time.monotonic()
        self.server.should_exit = True
        self.thread.join(10)
        assert not self.thread.is_alive()
        return time.monotonic() - begin


@pytest.fixture
def running(settings: Settings, records: Records, seeded: Seeded) -> Iterator[Running]:
    """Give a node's web side on a free port."""
    port = free_port()
    settings = settings.model_copy(update={"web": settings.web.model_copy(update={"port": port})})
    server = create_server(settings, create_app(settings, records))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    yield Running(f"http://127.0.0.1:{port}", server, thread)
    server.should_exit = True
    thread.join(10)


@contextmanager
def stream(url: str, **headers: str) -> Iterator[Iterator[str]]:
    with httpx2.Client(timeout=5) as client, client.stream("GET", url, headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = response.iter_lines()
        assert next(lines) == f"retry: {live.RETRY_MS}"
        yield lines


def line(records: Records, study: int | None) -> int:
    with records.write() as session:
        event = timeline.add(session, "test.line", "Something.", study=study)
        session.flush()
        return event.id


def cursor(records: Records) -> int:
    with records.read() as session:
        return timeline.last_id(session)


def changes(texts: Sequence[str]) -> int:
    return sum("event: changed" in text for text in texts)


def first(lines: Iterator[str], field: str) -> str:
    return next(text for text in lines if text.startswith(field))


def test_a_new_line_of_the_timeline_reaches_an_open_page_without_patient_data(
    running: Running, records: Records, seeded: Seeded
) -> None:
    with stream(f"{running.url}/events?cursor={cursor(records)}") as lines:
        begin = time.monotonic()
        number = line(records, seeded.done)
        assert first(lines, "event") == "event: changed"
        assert next(lines) == f"data: {number}"
        assert time.monotonic() - begin < 3 * live.POLL_SECONDS + 1


def test_a_line_that_came_between_page_and_stream_is_not_missed(
    running: Running, records: Records, seeded: Seeded
) -> None:
    seen = cursor(records)
    number = line(records, seeded.done)
    with stream(f"{running.url}/studies/{seeded.done}/events?cursor={seen}") as lines:
        assert first(lines, "id") == f"id: {number}"


def test_a_study_page_hears_of_its_own_study_only(running: Running, records: Records, seeded: Seeded) -> None:
    with stream(f"{running.url}/studies/{seeded.done}/events?cursor={cursor(records)}") as lines:
        line(records, seeded.stat)
        line(records, None)
        time.sleep(3 * live.POLL_SECONDS)
        number = line(records, seeded.done)
        assert first(lines, "id") == f"id: {number}"


def test_a_browser_that_connects_again_goes_on_from_what_it_saw(
    running: Running, records: Records, seeded: Seeded
) -> None:
    last = str(cursor(records))
    with stream(f"{running.url}/events?cursor=0", **{"Last-Event-ID": last}) as lines:
        number = line(records, seeded.done)
        assert first(lines, "id") == f"id: {number}"


def test_a_stop_ends_open_streams_and_is_not_held_up(running: Running, records: Records) -> None:
    with stream(f"{running.url}/events?cursor={cursor(records)}") as lines:
        took = running.stop()
        assert took < 2.5
        assert [text for text in lines if text] == []


def test_a_page_that_was_closed_is_forgotten(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        feed = LiveFeed(records, asyncio.Event(), poll_seconds=0.02)
        pages = feed.stream(0)
        await anext(pages)
        assert len(feed._pages) == 1
        await pages.aclose()  # type: ignore[attr-defined]
        assert not feed._pages

    asyncio.run(scenario())


def test_a_burst_of_lines_is_one_event_and_quiet_is_a_ping(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PING_SECONDS", 0.3)

    async def scenario() -> list[str]:
        feed = LiveFeed(records, asyncio.Event(), poll_seconds=0.1)
        pages = feed.stream(0)
        await anext(pages)
        waiting = asyncio.ensure_future(anext(pages))
        await asyncio.sleep(0.05)
        for _ in range(20):
            line(records, None)
        texts = [await waiting]
        while changes(texts) == 0 or changes(texts[-1:]):  # until it is quiet again
            texts.append(await anext(pages))
        return texts

    texts = asyncio.run(scenario())
    assert texts[-1] == ": still here\n\n"
    assert 1 <= changes(texts) <= 2


def test_the_live_view_survives_a_database_that_fails_for_a_moment(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> str:
        feed = LiveFeed(records, asyncio.Event(), poll_seconds=0.02)
        pages = feed.stream(0)
        await anext(pages)
        waiting = asyncio.ensure_future(anext(pages))
        await asyncio.sleep(0.1)
        real, failures = feed._since, iter([True, True])

        def sometimes(seen: int) -> tuple[int, set[int | None]]:
            if next(failures, False):
                raise OSError
            return real(seen)

        monkeypatch.setattr(feed, "_since", sometimes)
        line(records, None)
        return await asyncio.wait_for(waiting, 5)

    assert "event: changed" in asyncio.run(scenario())
