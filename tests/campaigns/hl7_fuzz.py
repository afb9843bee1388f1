"""Fuzzed frames and messages to the real HL7 listener, with processing behind it.

``python -m tests.campaigns.hl7_fuzz --count 100000 --seed 1``. Each connection's stream follows from the seed and its
number; a stream that breaks a promise is written to a file, and ``--replay FILE`` sends it again. Where the FHIR
converter's samples are (``OVERREAD_TEST_DATA``) a third of the messages are made of them.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from node.records.states import MessageState
from tests.campaigns import console
from tests.campaigns.console import Outcome
from tests.campaigns.hl7_messages import real
from tests.campaigns.hl7_session import Session, Told
from tests.campaigns.hl7_streams import Stream, Streams
from tests.campaigns.hl7_target import MOST_MEMORY, Target, target
from tests.conftest import data_root

ITEMS = 25
"""Cases of one connection."""
SAMPLES = Path("hl7-fhir-converter/Hl7v2")
TAKEN_SECONDS = 900.0
"""How long processing may take, after the last message, until nothing is left."""
_TOGETHER = 500


@dataclass
class Ledger:
    """What all connections have found. For several threads."""

    outcome: Outcome
    folder: Path
    used: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    perhaps: set[str] = field(default_factory=set)
    """Digests of messages that were accepted, that were refused and kept, and of connections that were reset."""
    slowest: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, stream: Stream, told: Told, seed: int) -> None:
        """Count a stream, and keep its digests."""
        with self._lock:
            figures = self.outcome
            figures.add("cases", stream.items)
            figures.add("connections")
            figures.add("frames that were whole", len(told.expected))
            self.slowest = max(self.slowest, told.slowest)
            for answer in told.answers:
                figures.add(f"answered {answer.code}{f' {answer.error}' if answer.error else ''}")
            for item in told.expected:
                if item.kept:
                    (self.perhaps if stream.reset else self.used if item.used else self.refused).add(item.digest)
                elif not item.code:
                    figures.add("frames that nothing is answered to")
            if stream.reset:
                figures.add("connections that were reset")
            if told.problems:
                path = self.folder / f"stream-{seed}-{stream.number}.bin"
                path.write_bytes(stream.data)
                self.outcome.violation(f"{'; '.join(told.problems)[:1500]} [--replay {path}]")


def send(
    node: Target, streams: Iterator[Stream], ledger: Ledger, seed: int, until: float, advance: Callable[[int], object]
) -> None:
    """Send streams one after the other, until there are none or time is over; several threads share the iterator."""
    for stream in streams:
        node.wait_for_room()
        told = Session(node, stream).run()
        ledger.enter(stream, told, seed)
        advance(stream.items)
        if time.monotonic() > until or node.dead():
            return


class _Shared(Iterator[Stream]):
    """Streams for several threads."""

    def __init__(self, streams: Streams, count: int) -> None:
        self._streams, self._numbers = streams, iter(range(-(-count // ITEMS)))
        self._lock = threading.Lock()

    def __next__(self) -> Stream:
        with self._lock:
            number = next(self._numbers)
        return self._streams.stream(number, ITEMS)


def run(
    folder: Path,
    outcome: Outcome,
    *,
    count: int,
    seed: int,
    connections: int,
    seconds: float,
    samples: Sequence[bytes] = (),
    advance: Callable[[int], object] = lambda items: None,
) -> None:
    """Run the campaign; streams of failing cases go to ``folder``."""
    ledger, shared = Ledger(outcome, folder), _Shared(Streams(seed, samples), count)
    with target(folder) as node:
        began, before = time.monotonic(), node.memory()
        threads = [
            threading.Thread(target=send, args=(node, shared, ledger, seed, began + seconds, advance), daemon=True)
            for _ in range(connections)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sent = time.monotonic() - began
        _finish(node, ledger, outcome, seed)
        outcome.figures |= {
            "seconds": round(sent, 1),
            "cases a second": round(outcome.figures.get("cases", 0) / sent, 1),
            "seconds until all were taken over": round(time.monotonic() - began, 1),
            "slowest answers of a connection, seconds": round(ledger.slowest, 2),
            "listener's memory at the start, MiB": before >> 20,
            "listener's memory at the end, MiB": node.memory() >> 20 if not node.dead() else 0,
            "listener's peak memory, MiB": node.peak_memory >> 20,
            "times that the listener's lines waited for the records": node.postponed(),
        }


def _finish(node: Target, ledger: Ledger, outcome: Outcome, seed: int) -> None:
    """Wait until nothing is left, and see that what was promised holds."""
    deadline = time.monotonic() + TAKEN_SECONDS
    while (left := node.left()) and time.monotonic() < deadline and not node.dead():
        time.sleep(0.2)
    outcome.require(not left, f"{left} messages are still to be taken over")
    for text in node.dead():
        outcome.violation(text)
    if not node.dead():
        told = Session(node, Stream(-1, (), 0, reset=False)).run()
        outcome.require(
            [a.code for a in told.answers] == ["AA"], "the listener does not answer a sound message any more"
        )
    check(node, ledger, outcome)
    outcome.require(node.peak_memory < MOST_MEMORY, f"the listener used {node.peak_memory >> 20} MiB")
    for text in itertools.chain(node.complaints(), node.leaks()):
        outcome.violation(text)


def check(node: Target, ledger: Ledger, outcome: Outcome) -> None:
    """See that what was acknowledged is in the records, processed or failed with a reason, and nothing else is."""
    known = ledger.used | ledger.refused | ledger.perhaps
    outcomes: dict[str, tuple[MessageState, str, bytes | None]] = {}
    digests = sorted(known)
    for start in range(0, len(digests), _TOGETHER):
        outcomes |= node.outcomes(digests[start : start + _TOGETHER])
    for digest in ledger.used | ledger.refused:
        state, reason, _ = outcomes.get(digest, (None, "", None))
        if state is None:
            outcome.violation(f"a message that was kept is not in the records: {digest}")
        elif state is MessageState.RECEIVED or (state is MessageState.FAILED and not reason):
            outcome.violation(f"a message is {state} without a reason: {digest}")
        elif digest in ledger.refused and state is not MessageState.FAILED:
            outcome.violation(f"a message that was refused is {state}: {digest}")
        else:
            outcome.add(f"in the records: {state}")
            if digest in ledger.used and state is MessageState.FAILED:
                outcome.add("accepted, and refused by what the records know")


def replay(path: Path, folder: Path) -> int:
    """Send one stream again and print what it breaks."""
    outcome = Outcome()
    ledger = Ledger(outcome, folder)
    with target(folder) as node:
        stream = Stream(0, (path.read_bytes(),), 1, reset=False)
        ledger.enter(stream, Session(node, stream).run(), 0)
        _finish(node, ledger, outcome, 0)
    return console.finish(outcome, None)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; returns 1 if a promise was broken."""
    options = _options(arguments)
    seed = console.seed_of(options)
    outcome = Outcome({"seed": seed})
    samples = real(data_root() / SAMPLES)
    outcome.figures["real messages among the seeds"] = len(samples)
    with console.workplace(options, "hl7-fuzz", outcome) as folder:
        if options.replay is not None:
            return replay(options.replay, folder)
        with console.progress(options.count) as (bar, task):
            run(
                folder, outcome, count=options.count, seed=seed, connections=options.connections,
                seconds=options.seconds, samples=samples,
                advance=lambda items: bar.update(task, advance=items, description="fuzz"),
            )  # fmt: skip
    return console.finish(outcome, options.json)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = console.parser("hl7_fuzz", __doc__)
    parser.add_argument("--count", type=int, default=100_000, help="frames and messages (100000)")
    parser.add_argument("--connections", type=int, default=4, help="at once (4)")
    parser.add_argument("--replay", type=Path, help="a file with a stream that failed")
    parser.set_defaults(seconds=7200.0)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
