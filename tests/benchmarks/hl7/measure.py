"""One run: a receiver on an empty folder, messages over some connections, and how long until all are taken over."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.hl7.client import Client, NotAnswered
from tests.benchmarks.hl7.messages import mix
from tests.benchmarks.hl7.receivers import CLOSES, OURS, Backlog, Receiver
from tests.benchmarks.receive.measure import PAUSE_SECONDS, empty, environment, settle
from tests.benchmarks.receive.processes import busy_seconds
from tests.benchmarks.receive.receivers import ReceiverFailed

WARM_UP = 200
"""Messages that are sent, answered and taken over before anything is measured."""
EMPTY_SECONDS = 600.0
"""How long the gateway may take until nothing is left."""
POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Case:
    """How messages are sent."""

    title: str
    connections: int
    anew: bool = False


CASES: Mapping[str, Case] = {
    "8": Case("8 connections", 8),
    "1": Case("1 connection", 1),
    "anew": Case("8 senders, a connection for each message", 8, anew=True),
}


@dataclass(frozen=True)
class Run:
    """What one run showed; ``error`` says why it does not count.

    Parameters
    ----------
    seconds
        From the first message's first byte to the last answer.
    p50, p99
        Seconds from a message's first byte to its answer; with ``anew`` the connection's start is among them.
    cpu
        User and system seconds of each process of the receiver from the first message until nothing was left to do.
    others
        CPU seconds a second that neither the receiver nor the sender used meanwhile.
    taken
        Messages that had been taken over into the records when the last one was answered (ours).
    empty_after
        Seconds from the last answer until all were taken over (ours).
    """

    case: str
    receiver: str
    round: int
    messages: int
    bytes: int = 0
    seconds: float = 0.0
    p50: float = 0.0
    p99: float = 0.0
    connections: int = 0
    cpu: dict[str, float] = field(default_factory=dict)
    others: float = 0.0
    taken: int | None = None
    empty_after: float | None = None
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether it counts."""
        return not self.error

    @property
    def rate(self) -> float:
        """Messages a second, received and acknowledged."""
        return self.messages / self.seconds if self.seconds else 0.0

    @property
    def takeover(self) -> float | None:
        """Messages a second, from the first one sent until all were taken over."""
        return None if self.empty_after is None else self.messages / (self.seconds + self.empty_after)


def measure(case: str, receiver: str, number: int, count: int, folder: Path, pause: float = PAUSE_SECONDS) -> Run:
    """Measure once, as round ``number``; ``folder`` does not exist, and is left with empty files."""
    try:
        with Receiver(receiver, folder, environment(nodelay=True)) as running:
            _warm_up(running, receiver)
            settle(pause)
            return _observe(running, case, receiver, number, count)
    except (ReceiverFailed, NotAnswered, OSError) as exc:
        return Run(case, receiver, number, count, error=f"{type(exc).__name__}: {exc}")
    finally:
        empty(folder)


def _warm_up(running: Receiver, receiver: str) -> None:
    Client(running.port, 4, anew=receiver in CLOSES).send(mix(WARM_UP, 0, "W"))
    if receiver == OURS:
        _until_empty(running, WARM_UP)


def _observe(running: Receiver, case: str, receiver: str, number: int, count: int) -> Run:
    how, messages = CASES[case], mix(count, number + 1, f"R{number}C")
    client = Client(running.port, how.connections, anew=how.anew or receiver in CLOSES)
    before, busy, own = running.cpu(), busy_seconds(), time.process_time()
    began = time.perf_counter()
    sent = client.send(messages)
    taken, empty_after = None, None
    if receiver == OURS:
        backlog = running.backlog()
        taken = backlog.processed - WARM_UP
        empty_after = _until_empty(running, WARM_UP + count)
    took = time.perf_counter() - began
    cuts = statistics.quantiles(sent.latencies, n=100)
    cpu = {name: round(seconds - before[name], 3) for name, seconds in running.cpu().items()}
    others = busy_seconds() - busy - sum(cpu.values()) - (time.process_time() - own)
    return Run(
        case, receiver, number, count,
        bytes=sum(len(message.data) for message in messages),
        seconds=round(sent.seconds, 4),
        cpu=cpu, others=round(max(0.0, others) / took, 2), taken=taken, empty_after=empty_after,
        connections=sent.connections, p50=round(cuts[49], 6), p99=round(cuts[98], 6),
    )  # fmt: skip


def _until_empty(running: Receiver, count: int) -> float:
    """Wait until all messages were taken over; returns the seconds.

    Raises
    ------
    ReceiverFailed
        Some failed, are missing, or take too long.
    """
    began = time.perf_counter()
    while (backlog := running.backlog()).left:
        running.check()
        if time.perf_counter() - began > EMPTY_SECONDS:
            raise ReceiverFailed(f"not taken over after {EMPTY_SECONDS:g} s: {backlog.left}")
        time.sleep(POLL_SECONDS)
    if backlog != Backlog(0, 0, count, 0):
        raise ReceiverFailed(f"{count} messages were acknowledged: {backlog}")
    return round(time.perf_counter() - began, 3)
