"""One Store request: its parts go to the intake one after the other while the body still arrives."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from node.dicom.landing import Landing, Source, Taken, Taker
from node.dicom.multipart import (
    Event,
    MultipartError,
    MultipartParser,
    PartBegin,
    PartData,
    PartEnd,
    media_type,
)
from node.errors import DicomInputError, InputError, OverreadError
from node.settings import Settings
from node.storage.room import Room
from node.web.dicomweb.report import BAD_REQUEST, CONTENT_TOO_LARGE, TIMEOUT

SOURCE = "STOW-RS"
"""What stands for the calling AE title: HTTP has none."""
MAX_REQUESTS = 4
"""Requests at a time; more are asked to come again. Each has one thread, so that storing blocks nobody else."""
MAX_PARTS = 20_000
"""Parts of one request: more than the largest series, and a bound to the answer."""
WRITE_BYTES = 1 << 20
"""Bytes of a part gathered in memory before they are written."""

T = TypeVar("T")


class TooSlow(InputError):
    """The body comes too slowly."""


class TooMuch(InputError):
    """The body is longer than ``web.max_stow_bytes``, or has too many parts."""


class Busy(OverreadError):
    """As many requests as may be are under way."""


FAULTS: dict[type[OverreadError], int] = {MultipartError: BAD_REQUEST, TooSlow: TIMEOUT, TooMuch: CONTENT_TOO_LARGE}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the parts; ``fault`` is the HTTP status of what broke the request off, ``reason`` its sentence."""

    taken: tuple[Taken, ...]
    bytes: int
    fault: int | None = None
    reason: str = ""


class Inlet:
    """What all Store requests of a node share. ``taker`` is None in a process that takes nothing."""

    def __init__(self, settings: Settings, taker: Taker | None) -> None:
        self.taker = taker
        self.settings = settings
        self.spool = settings.node.root / "spool"
        self.room = Room(self.spool, settings.dicom.min_free_bytes, settings.dicom.min_free_percent)
        self._threads = ThreadPoolExecutor(MAX_REQUESTS, "stow")
        self._numbers = itertools.count(1)
        self._open = 0

    @contextlib.contextmanager
    def admitted(self) -> Iterator[Source]:
        """Admit a request and name its association; for the event loop only.

        Raises
        ------
        Busy
            If as many are under way as may be.
        """
        if self._open >= MAX_REQUESTS:
            raise Busy("too many store requests at once")
        self._open += 1
        try:
            yield Source(f"stow-{os.getpid()}-{next(self._numbers)}", SOURCE, self.settings.dicom.ae_title)
        finally:
            self._open -= 1

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Call what blocks; where the request is cancelled meanwhile, wait for it all the same, to keep the order."""
        task = asyncio.ensure_future(asyncio.get_running_loop().run_in_executor(self._threads, call))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            raise


class Upload:
    """One request on its way in.

    Parameters
    ----------
    inlet
        What the requests share.
    taker
        What the objects are handed to.
    source
        As :meth:`Inlet.admitted` gives it.
    boundary
        Of the multipart body.
    study
        Study Instance UID that every instance has to have; empty: any.
    """

    def __init__(self, inlet: Inlet, taker: Taker, source: Source, boundary: bytes, study: str) -> None:
        self._inlet = inlet
        self._taker = taker
        self._source = source
        self._study = study
        self._parser = MultipartParser(boundary)
        self._part: _Part | None = None
        self._taken: list[Taken] = []
        self._bytes = 0

    async def run(self, body: AsyncIterator[bytes]) -> Outcome:
        """Read the body to its end, or to what breaks it off; the association has ended when this returns."""
        try:
            async for chunk in paced(body, self._inlet.settings):
                self._count(len(chunk))
                for event in self._parser.feed(chunk):
                    await self._on(event)
            self._parser.close()
        except (MultipartError, TooSlow, TooMuch) as exc:
            return Outcome(tuple(self._taken), self._bytes, FAULTS[type(exc)], str(exc))
        finally:
            if self._part is not None:
                self._part.close()
            await self._inlet.in_thread(lambda: self._taker.end(self._source.association))
        return Outcome(tuple(self._taken), self._bytes)

    def _count(self, size: int) -> None:
        self._bytes += size
        if self._bytes > self._inlet.settings.web.max_stow_bytes:
            raise TooMuch("the request is longer than web.max_stow_bytes")

    async def _on(self, event: Event) -> None:
        match event:
            case PartBegin():
                if len(self._taken) >= MAX_PARTS:
                    raise TooMuch("the request has too many parts")
                self._part = _Part(event, self._inlet)
            case PartData() if self._part is not None:
                self._part.gathered += event.data
                if len(self._part.gathered) >= WRITE_BYTES:
                    await self._inlet.in_thread(self._part.flush)
            case PartEnd() if self._part is not None:
                part, self._part = self._part, None
                self._taken.append(await self._inlet.in_thread(lambda: self._hand(part)))

    def _hand(self, part: _Part) -> Taken:
        try:
            part.flush()
            if part.landing is None:
                reason = part.problem or DicomInputError("not a DICOM file: empty")
                return Taken(*self._taker.refuse(self._source.association, SOURCE, reason.dicom_status, str(reason)))
            if part.problem is not None:
                return part.landing.refused(self._taker, self._source, part.problem)
            return part.landing.hand(self._taker, self._source, study=self._study)
        finally:
            part.close()


@dataclass(slots=True)
class _Part:
    """A part being received. After a problem the rest of it is read and dropped: the others can still be kept."""

    begin: PartBegin
    inlet: Inlet
    gathered: bytearray = field(default_factory=bytearray)
    landing: Landing | None = None
    problem: OverreadError | None = None

    def __post_init__(self) -> None:
        try:
            # A part that says nothing is what the request says: application/dicom.
            if media_type(self.begin.headers.get("content-type", "application/dicom")).name != "application/dicom":
                self.problem = DicomInputError("the part is not application/dicom")
        except MultipartError:
            self.problem = DicomInputError("the part's Content-Type is none")

    def flush(self) -> None:
        data, self.gathered = self.gathered, bytearray()
        if self.problem is not None or not data:
            return
        try:
            if self.landing is None:
                limit = self.inlet.settings.dicom.max_instance_bytes
                self.landing = Landing(self.inlet.spool, limit, self.inlet.room.require)
            self.landing.write(data)
        except OverreadError as exc:
            self.problem = exc

    def close(self) -> None:
        if self.landing is not None:
            self.landing.close()


async def paced(body: AsyncIterator[bytes], settings: Settings) -> AsyncIterator[bytes]:
    """Give the chunks of a body that comes fast enough; the time that its reader takes does not count.

    Raises
    ------
    TooSlow
        If nothing comes for ``dicom.read_seconds``, or, past that time, less than ``dicom.min_bytes_per_second``.
    """
    patience, rate = settings.dicom.read_seconds, settings.dicom.min_bytes_per_second
    waited, received = 0.0, 0
    iterator = aiter(body)
    while True:
        began = time.monotonic()
        try:
            async with asyncio.timeout(patience):
                chunk = await anext(iterator)
        except StopAsyncIteration:
            return
        except TimeoutError as exc:
            raise TooSlow("the body stopped coming") from exc
        waited += time.monotonic() - began
        received += len(chunk)
        if waited > patience and received < rate * (waited - patience):
            raise TooSlow("the body comes too slowly")
        if chunk:
            yield chunk
