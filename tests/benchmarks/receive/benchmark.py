"""The whole benchmark: corpora, rounds in alternating order, and the runs that come of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.benchmarks.receive import corpora
from tests.benchmarks.receive.figures import CASES
from tests.benchmarks.receive.measure import PAUSE_SECONDS, Run, Task, measure
from tests.benchmarks.receive.receivers import installed


@dataclass(frozen=True, slots=True)
class Size:
    """How much is sent. ``frames`` are half a mebibyte each; ``width`` is that of a CT slice."""

    slices: int = 800
    small: int = 1600
    frames: int = 4000
    width: int = 512


QUICK = Size(slices=80, small=160, frames=100)
MEMORY_ROUNDS = 1
"""Memory is a highest value, not a ratio: it needs no pairs, and each round writes 8 GB."""
SPARE = 2 << 30


@dataclass(frozen=True)
class Plan:
    """What to run: names of cases and of receivers (none: all that are installed), rounds, sizes."""

    cases: Sequence[str] = tuple(CASES)
    rounds: int = 5
    size: Size = Size()
    pause: float = PAUSE_SECONDS
    receivers: Sequence[str] = ()

    def takes_part(self, receiver: str) -> bool:
        """Whether a receiver is measured."""
        return installed(receiver) and (not self.receivers or receiver in self.receivers)


def write_corpora(plan: Plan, folder: Path) -> dict[str, corpora.Corpus]:
    """Write what the cases of the plan send."""
    size = plan.size
    makers: dict[str, Callable[[], corpora.Corpus]] = {
        "ct": lambda: corpora.ct(folder, size.slices, size.width),
        "mr": lambda: corpora.small(folder, size.small),
        "huge": lambda: corpora.huge(folder, size.frames),
    }
    found = {name: makers[name]() for name in sorted({CASES[case].corpus for case in plan.cases})}
    corpora.warm(path for name, corpus in found.items() if name != "huge" for path in corpus.files)
    return found


def tasks(plan: Plan, sent: dict[str, corpora.Corpus]) -> list[tuple[int, Task]]:
    """Return the runs in order: round by round, case by case, every second round with the receivers reversed."""
    found = []
    for number in range(plan.rounds):
        for name in plan.cases:
            case = CASES[name]
            if name == "memory" and number >= MEMORY_ROUNDS:
                continue
            order = case.receivers if number % 2 == 0 else case.receivers[::-1]
            corpus = sent[case.corpus].only(case.folders)
            found += [
                (number, Task(name, receiver, corpus, case.associations, case.nodelay, name == "memory"))
                for receiver in order
                if plan.takes_part(receiver)
            ]
    return found


def run(plan: Plan, folder: Path) -> list[Run]:
    """Run the benchmark below ``folder``, with a progress bar on stderr.

    Raises
    ------
    OSError
        If the disk has no room for the instances of the case ``memory``.
    """
    console = Console(stderr=True)
    with console.status("writing what is to be sent"):
        sent = write_corpora(plan, folder / "sent")
    most = max(sum(path.stat().st_size for path in corpus.files) for corpus in sent.values())
    if (free := shutil.disk_usage(folder).free) < most + SPARE:
        raise OSError(f"{folder}: {free >> 20} MiB are free, {(most + SPARE) >> 20} are needed")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    todo, runs = tasks(plan, sent), []
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=len(todo))
        for count, (number, task) in enumerate(todo):
            progress.update(bar, description=f"round {number + 1}, {task.case}, {task.receiver}")
            runs.append(measure(task, number, folder / f"run-{count}", plan.pause))
            progress.advance(bar)
    return runs
