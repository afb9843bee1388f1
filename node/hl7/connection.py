"""One MLLP connection: frames in, answers out, in order. What messages mean is decided in :mod:`node.hl7.answering`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import cast

from node.hl7 import ack as acks
from node.hl7 import answering
from node.hl7.answering import Judgement
from node.hl7.awaiting import Awaited, Awaiting, digest
from node.hl7.framing import FrameDecoder, frame
from node.hl7.keeping import Keeper
from node.hl7.limits import FREE_BYTES, LOOP_BYTES, PIPELINE, Limits
from node.hl7.remarks import Remarks
from node.settings import Hl7Section

LINGER_SECONDS = 2.0
"""How long bytes of a message that was refused half-way are still taken, so that its sender sees the answer."""
PROCESSED_SECONDS = 20.0
"""How long a sender waits for the answer with ``hl7.acknowledge = "processed"``, before it is told to try again."""


@dataclass(frozen=True, slots=True)
class Port:
    """What the connections of one port share."""

    settings: Hl7Section
    keeper: Keeper
    awaiting: Awaiting
    remarks: Remarks
    limits: Limits
    threads: Executor
    lost: Callable[[Connection], None]


@dataclass(slots=True)
class _Turn:
    """A message's place in the order of answers."""

    size: int
    ready: bool = False
    answer: bytes | None = None
    last: bool = False


@dataclass(slots=True)
class _Clock:
    """Since when what is waited for; loop time, None where it is not."""

    active: float
    frame: float | None = None
    deaf: float | None = None
    ending: float | None = None


@dataclass(slots=True)
class _Flow:
    """What keeps a connection from taking more messages."""

    judging: bool = False
    full: bool = False
    paused: bool = False
    scheduled: bool = False
    ended: bool = False
    later: set[Awaited] = field(default_factory=set)


class Connection(asyncio.Protocol):
    """Serves one peer. All methods run on the loop's thread.

    Parameters
    ----------
    peer
        Its address.
    """

    def __init__(self, port: Port, peer: str, loop: asyncio.AbstractEventLoop) -> None:
        self.peer = peer
        self._port = port
        self._loop = loop
        self._decoder = FrameDecoder(port.settings.max_message_bytes)
        self._transport: asyncio.Transport | None = None
        self._unjudged: deque[bytes] = deque()
        self._turns: deque[_Turn] = deque()
        self._bytes = 0  # of messages that are whole and not answered
        self._held = 0  # what the limits know of
        self._flow = _Flow()
        self._clock = _Clock(loop.time())
        self._stopped = False

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        self._clock.active = self._loop.time()

    def data_received(self, data: bytes) -> None:
        """Take bytes; messages that they complete have their turn."""
        if self._ending:
            return
        for raw in self._decoder.feed(data):
            self._unjudged.append(raw)
            self._bytes += len(raw)
            self._clock.frame = None
            self._clock.active = self._loop.time()
        if self._decoder.unfinished and self._clock.frame is None:
            self._clock.frame = self._loop.time()
        self._count()
        self._advance()
        if self._decoder.too_large is not None:
            self._break_off("message.too_long", answering.too_long(self._decoder.too_large, self._port.settings))
        elif self._port.limits.exceeded and self._decoder.pending > FREE_BYTES:
            self._break_off("message.no_room", answering.no_room(self._decoder.head, self._port.settings))

    def eof_received(self) -> bool:
        """Let what came be answered: some senders close their side first."""
        self._stopped = True
        self._advance()
        self._close_when_answered()
        return self._transport is not None and self._transport.get_extra_info("ssl_object") is None

    def pause_writing(self) -> None:
        """Take nothing more from a peer that does not read its answers."""
        self._flow.full = True
        self._clock.deaf = self._loop.time()

    def resume_writing(self) -> None:
        """Go on."""
        self._flow.full = False
        self._clock.deaf = None
        self._advance()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what was waited for. What was handed to the inbox is kept, answered or not."""
        cut = self._clock.ending is not None or self._flow.ended  # by the node itself
        outside = self._decoder.garbage + (0 if cut else self._decoder.pending)
        if outside:
            self._port.remarks.add("message.garbage", self.peer, outside)
        self._port.limits.hold(-self._held)
        self._held = 0
        self._port.awaiting.forget(self._flow.later)
        self._unjudged.clear()
        self._turns.clear()
        self._transport = None
        self._port.lost(self)

    # What the listener calls

    def overdue(self, now: float) -> str | None:
        """Say why the connection is to be closed: ``idle``, ``ended``, or a kind of remark; None if it is not.

        Parameters
        ----------
        now
            Loop time.
        """
        section, clock = self._port.settings, self._clock
        if clock.ending is not None:
            return "ended" if now - clock.ending > LINGER_SECONDS else None
        if clock.deaf is not None and now - clock.deaf > section.read_seconds:
            return "message.deaf"
        if self._turns or self._flow.paused:
            return None
        if clock.frame is not None and now - clock.frame > section.read_seconds:
            return "message.slow"
        return "idle" if section.idle_seconds and now - clock.active > section.idle_seconds else None

    def end(self) -> None:
        """Take nothing more; close once what is being kept is answered."""
        self._stopped = self._flow.ended = True
        self._bytes -= sum(map(len, self._unjudged))
        self._unjudged.clear()
        self._close_when_answered()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    # Messages

    @property
    def _ending(self) -> bool:
        return self._stopped or self._clock.ending is not None or bool(self._turns and self._turns[-1].last)

    def _advance(self) -> None:
        """Judge messages while there is room in the pipeline; read on once none is left over."""
        flow = self._flow
        while self._unjudged and len(self._turns) < PIPELINE and not flow.judging and not flow.full:
            raw = self._unjudged.popleft()
            turn = _Turn(len(raw))
            self._turns.append(turn)
            if len(raw) <= LOOP_BYTES:
                self._take(turn, raw, answering.judge(raw, self.peer, self._port.settings))
            else:
                self._judge_aside(turn, raw)
        self._regulate(bool(self._unjudged) or flow.full)

    def _judge_aside(self, turn: _Turn, raw: bytes) -> None:
        """Judge a long message in a thread; those behind it wait."""
        self._flow.judging = True
        call = self._loop.run_in_executor(self._port.threads, answering.judge, raw, self.peer, self._port.settings)

        def judged(future: asyncio.Future[Judgement]) -> None:
            self._flow.judging = False
            if not future.cancelled() and self._transport is not None:
                self._take(turn, raw, future.result())
                self._schedule()

        call.add_done_callback(judged)

    def _take(self, turn: _Turn, raw: bytes, judgement: Judgement) -> None:
        if judgement.arrival is None:
            if judgement.answer is None and judgement.header.code.upper() in acks.ANSWERS:
                self._port.remarks.add("message.unasked", self.peer)
            self._settle(turn, judgement.answer)
        else:
            self._port.keeper.keep(judgement.arrival, partial(self._kept, turn, raw, judgement))

    def _kept(self, turn: _Turn, raw: bytes, judgement: Judgement, number: int | None) -> None:
        """Answer a message that is durable now, or (without a number) that could not be kept."""
        if number is None:
            self._port.remarks.add("message.not_kept", self.peer)
            self._settle(turn, answering.not_kept(judgement, self._port.settings))
            return
        if self._transport is not None and judgement.later:
            self._await(turn, raw, judgement, number)
        if not judgement.in_order:
            self._settle(turn, judgement.answer)

    def _await(self, turn: _Turn, raw: bytes, judgement: Judgement, number: int) -> None:
        """Have the application's answer told once it is known."""

        def done(answer: bytes | None) -> None:  # in the waiting thread
            self._loop.call_soon_threadsafe(self._told, turn, judgement, item, answer)

        until = self._loop.time() + PROCESSED_SECONDS if judgement.in_order else None
        item = Awaited(number, digest(raw), judgement.header, until, done)
        self._flow.later.add(item)
        self._port.awaiting.add(item)

    def _told(self, turn: _Turn, judgement: Judgement, item: Awaited, answer: bytes | None) -> None:
        self._flow.later.discard(item)
        if judgement.in_order:
            self._settle(turn, answer or answering.not_kept(judgement, self._port.settings))
        elif answer is not None and acks.meets(judgement.later, acks.code_of(answer)):
            self._write(frame(acks.unasked(answer, judgement.header)))

    def _settle(self, turn: _Turn, answer: bytes | None) -> None:
        turn.ready, turn.answer = True, answer
        self._schedule()

    def _schedule(self) -> None:
        """Have answers written once all that are ready by now are known: one write for many."""
        if not self._flow.scheduled:
            self._flow.scheduled = True
            self._loop.call_soon(self._proceed)

    def _proceed(self) -> None:
        """Write the answers whose turn it is."""
        self._flow.scheduled = False
        written: list[bytes] = []
        last = False
        while self._turns and self._turns[0].ready:
            turn = self._turns.popleft()
            self._bytes -= turn.size
            last = turn.last
            if turn.answer is not None:
                written.append(frame(turn.answer))
            self._clock.active = self._loop.time()
        self._write(b"".join(written))
        self._count()
        if last:
            self._linger()
        else:
            self._advance()
            self._close_when_answered()

    # The wire

    def _write(self, data: bytes) -> None:
        """Write; an application's answer that comes once the end was said (:meth:`_linger`) is not given."""
        if data and self._transport is not None and not self._transport.is_closing() and self._clock.ending is None:
            self._transport.write(data)

    def _regulate(self, pause: bool) -> None:
        """Read, or do not: what is not read waits at the sender."""
        if self._transport is None or self._transport.is_closing() or pause == self._flow.paused:
            return
        self._flow.paused = pause
        if pause:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
            if self._clock.frame is not None:
                self._clock.frame = self._loop.time()  # it was we who kept it waiting

    def _count(self) -> None:
        held = max(0, self._bytes + self._decoder.pending - FREE_BYTES)
        self._port.limits.hold(held - self._held)
        self._held = held

    def _break_off(self, kind: str, judgement: Judgement) -> None:
        """Refuse a message that is not whole, behind the answers to those before it, and end."""
        if not self._ending:
            self._port.remarks.add(kind, self.peer)
            turn = _Turn(0, last=True)
            self._turns.append(turn)
            self._settle(turn, judgement.answer)

    def _close_when_answered(self) -> None:
        done = self._clock.ending is not None or not (self._turns or self._unjudged or self._flow.judging)
        if self._stopped and done and self._transport is not None:
            self._transport.close()

    def _linger(self) -> None:
        """Say that nothing more comes, and take what is on its way for a moment: a reset would overtake the answer."""
        self._clock.ending = self._loop.time()
        self._unjudged.clear()
        if self._transport is not None and self._transport.can_write_eof():
            self._transport.write_eof()
        self._regulate(False)
