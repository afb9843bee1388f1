"""Live pages: a stream of server-sent events that says *that* something changed, never what.

One poller reads the timeline for all open pages of the process, so that a hundred pages cost what one does.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from node import logs
from node.records import timeline
from node.records.engine import Records

POLL_SECONDS = 0.7
"""How stale a page may be; also what lumps a burst of lines into one reload."""
PING_SECONDS = 15.0
"""Comment lines that keep proxies from closing a quiet stream, and show us a page that has gone."""
RETRY_MS = 2000
"""How soon a browser connects again after the node was restarted."""


class _Page:
    """One open stream: wakes when a line of its study (or any, where it follows none) came."""

    def __init__(self, study: int | None) -> None:
        self.study = study
        self.woken = asyncio.Event()

    def wants(self, studies: set[int | None]) -> bool:
        return self.study is None or self.study in studies


class LiveFeed:
    """Watches the timeline and wakes the open pages.

    Parameters
    ----------
    records
        The record store.
    stopping
        Set by whoever stops the server; every stream then ends at once.
    """

    def __init__(self, records: Records, stopping: asyncio.Event, poll_seconds: float = POLL_SECONDS) -> None:
        self._records = records
        self._stopping = stopping
        self._poll_seconds = poll_seconds
        self._pages: set[_Page] = set()
        self._poller: asyncio.Task[None] | None = None
        self._cursor = 0

    async def stream(self, cursor: int, study: int | None = None) -> AsyncIterator[str]:
        """Yield an event stream's text (WHATWG HTML, 9.2) for a page that has seen the timeline up to ``cursor``."""
        page = _Page(study)
        self._pages.add(page)  # before the first look, so that no line falls between the two
        try:
            yield f"retry: {RETRY_MS}\n\n"
            await self._watch()
            newest, studies = await asyncio.to_thread(self._since, cursor)
            if page.wants(studies) and newest > cursor:
                page.woken.set()
            while not self._stopping.is_set():
                if await self._woken(page):
                    page.woken.clear()
                    yield f"id: {max(self._cursor, newest)}\nevent: changed\ndata: {max(self._cursor, newest)}\n\n"
                elif not self._stopping.is_set():
                    yield ": still here\n\n"
        finally:
            self._pages.discard(page)

    async def _woken(self, page: _Page) -> bool:
        """Wait for news, the stop, or the time for a ping; True for news."""
        waits = {asyncio.ensure_future(page.woken.wait()), asyncio.ensure_future(self._stopping.wait())}
        try:
            await asyncio.wait(waits, timeout=PING_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return page.woken.is_set() and not self._stopping.is_set()

    async def _watch(self) -> None:
        if self._poller is None or self._poller.done():
            self._cursor = await asyncio.to_thread(self._last)
            self._poller = asyncio.get_running_loop().create_task(self._poll())

    async def _poll(self) -> None:
        while self._pages and not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._poll_seconds)
                return
            try:
                self._cursor, studies = await asyncio.to_thread(self._since, self._cursor)
            except Exception as exc:  # a busy or restarting database must not end every live page
                logs.get("web").warning("web.live", error=exc)
                continue
            for page in self._pages:
                if studies and page.wants(studies):
                    page.woken.set()

    def _last(self) -> int:
        with self._records.read() as session:
            return timeline.last_id(session)

    def _since(self, cursor: int) -> tuple[int, set[int | None]]:
        """Return the newest line's id and the studies (None: the node itself) that lines after ``cursor`` are about."""
        with self._records.read() as session:
            events = timeline.since(session, cursor)
            return (events[-1].id if events else cursor), {event.study_fk for event in events}
