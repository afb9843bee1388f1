"""Mutated associations, messages and data sets through the receiver's code, and the codecs under hypothesis.

``python -m tests.campaigns.fuzz --cases 100000``. What is sent follows from the seed and the case's number. A case
that breaks a promise is written to a file; ``--replay FILE`` runs it again.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

import psutil

from tests.campaigns import codecs, console
from tests.campaigns.cases import Cases
from tests.campaigns.console import Outcome
from tests.campaigns.target import Target

BATCH = 250
MEMORY = Path("/dev/shm")  # noqa: S108  fuzzing is about codecs, not about disks
DURABILITY = ("instance", "none")
"""Workers take turns: one keeps through the journal, one without."""
CODEC_SHARE = 0.3
"""Share of the cases that go to the codecs under hypothesis."""


@dataclass(frozen=True, slots=True)
class Work:
    """What one process does: association cases ``first``, ``first + step``... below ``cases``, then codec cases."""

    folder: Path
    seed: int
    first: int
    step: int
    cases: int
    codec_cases: int
    until: float


def associations(work: Work, outcome: Outcome) -> Iterator[int]:
    """Run a worker's association cases; yields after each batch how many it had."""
    scratch = Path(tempfile.mkdtemp(prefix="overread-fuzz-", dir=MEMORY if MEMORY.is_dir() else None))
    target = Target(scratch, DURABILITY[work.first % len(DURABILITY)])
    cases = Cases(work.seed)
    numbers = range(work.first, work.cases, work.step)
    try:
        for start in range(0, len(numbers), BATCH):
            batch = numbers[start : start + BATCH]
            for number in batch:
                stream = cases.case(number)
                if problems := target.run(stream):
                    path = work.folder / f"case-{work.seed}-{number}.bin"
                    path.write_bytes(stream)
                    outcome.violation(f"{'; '.join(problems)} [--replay {path}]")
            for text in target.sweep():
                outcome.violation(f"after cases {batch[0]} to {batch[-1]}: {text}")
            outcome.add("association cases", len(batch))
            yield len(batch)
            if time.time() > work.until:
                break
    finally:
        outcome.figures |= {f"answered {name}": count for name, count in sorted(target.answers.items())}
        outcome.figures["slowest case, seconds"] = round(target.slowest, 2)
        outcome.figures["peak memory of a process, MiB"] = psutil.Process().memory_info().rss >> 20
        target.close()
        shutil.rmtree(scratch, ignore_errors=True)


def codec_cases(work: Work, outcome: Outcome) -> Iterator[int]:
    """Run a worker's codec cases; yields after each codec how many it had."""
    share = work.codec_cases // len(codecs.CODECS)
    for name, codec in codecs.CODECS.items():
        if time.time() > work.until:
            break
        count, failure = codecs.run(codec, share, work.seed * 1000 + work.first)
        if failure is not None:
            path = work.folder / f"{name}-{work.seed}-{work.first}.bin"
            path.write_bytes(failure.data)
            outcome.violation(f"{name}: {failure.text} [--codec {name} --replay {path}]")
        outcome.add("codec cases", count)
        yield count


def _process(work: Work, queue: SimpleQueue[Any]) -> None:
    warnings.simplefilter("ignore")  # pydicom's quote attribute values
    outcome = Outcome()
    try:
        for count in _all(work, outcome):
            queue.put(count)
    finally:
        queue.put(outcome.plain())


def _all(work: Work, outcome: Outcome) -> Iterator[int]:
    yield from associations(work, outcome)
    yield from codec_cases(work, outcome)


def run(folder: Path, cases: int, seconds: float, seed: int, processes: int, outcome: Outcome) -> None:
    """Run the campaign; files of failing cases go to ``folder``."""
    queue: SimpleQueue[Any] = multiprocessing.get_context("spawn").SimpleQueue()
    codec = int(cases * CODEC_SHARE)
    until, began = time.time() + seconds, time.monotonic()
    workers = [
        multiprocessing.get_context("spawn").Process(
            target=_process, args=(Work(folder, seed, n, processes, cases - codec, codec // processes, until), queue)
        )
        for n in range(processes)
    ]
    for worker in workers:
        worker.start()
    with console.progress(cases) as (bar, task):
        left = processes
        while left:
            found = queue.get()
            if isinstance(found, int):
                bar.update(task, advance=found, description="fuzz")
            else:
                outcome.merge(found)
                left -= 1
    for worker in workers:
        worker.join()
        outcome.require(worker.exitcode == 0, f"a worker of the fuzzer ended with {worker.exitcode}")
    took = time.monotonic() - began
    total = outcome.figures.get("association cases", 0) + outcome.figures.get("codec cases", 0)
    outcome.figures |= {"cases": total, "seconds": round(took, 1), "cases per second": round(total / took)}


def replay(path: Path, codec: str | None) -> int:
    """Run one case again and print what it breaks."""
    data = path.read_bytes()
    if codec is not None:
        codecs.CODECS[codec].check(data)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        target = Target(Path(folder), "instance")
        problems = target.run(data) + target.sweep()
        target.close()
    print(json.dumps({"problems": problems, "answers": target.answers, "seconds": target.slowest}, indent=2))  # noqa: T201
    return 1 if problems else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = console.parser("fuzz", __doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--replay", type=Path, help="a file with a case that failed")
    parser.add_argument("--codec", choices=tuple(codecs.CODECS), help="the codec that failed on it")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; returns 1 if a promise was broken."""
    options = _options(arguments)
    if options.replay is not None:
        return replay(options.replay, options.codec)
    seed = console.seed_of(options)
    outcome = Outcome({"seed": seed})
    with console.workplace(options, "fuzz", outcome) as folder:
        run(folder, options.cases, options.seconds, seed, options.processes, outcome)
    return console.finish(outcome, options.json)


if __name__ == "__main__":
    sys.exit(main())
