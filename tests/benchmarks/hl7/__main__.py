"""Messages a second, received, durable, acknowledged, beside python-hl7 and hl7apy: `python -m tests.benchmarks.hl7`.

The node's listener, gateway and broker run as `overread serve` starts them, with SQLite; the gateway takes messages
over while they come in. The same client drives everybody; receivers of a case run back to back, in reversed order every
second round, and ratios are taken within a round.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.benchmarks.hl7 import report
from tests.benchmarks.hl7.measure import CASES, Run, measure
from tests.benchmarks.hl7.receivers import CLOSES, PLANS, installed
from tests.benchmarks.receive.__main__ import MEMORY_FILE_SYSTEMS
from tests.benchmarks.receive.measure import PAUSE_SECONDS
from tests.benchmarks.receive.report import file_system


def tasks(rounds: int, cases: Sequence[str], receivers: Sequence[str]) -> list[tuple[int, str, str]]:
    """Return the runs in order: round, case, receiver; one that closes behind each answer has a case less."""
    return [
        (number, case, receiver)
        for number in range(rounds)
        for case in cases
        for receiver in (receivers if number % 2 == 0 else receivers[::-1])
        if not (CASES[case].anew and receiver in CLOSES)
    ]


def run(todo: Sequence[tuple[int, str, str]], messages: int, pause: float, folder: Path) -> list[Run]:
    """Run the benchmark below ``folder``, with a progress bar on stderr."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    runs: list[Run] = []
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("", total=len(todo))
        for count, (number, case, receiver) in enumerate(todo):
            progress.update(bar, description=f"round {number + 1}, {case}, {receiver}")
            runs.append(measure(case, receiver, number, messages, folder / f"run-{count}", pause))
            progress.advance(bar)
    return runs


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it and print; returns 1 if a run does not count."""
    options = _arguments(arguments)
    present = [name for name in options.receivers if installed(name)]
    for name in set(options.receivers) - set(present):
        print(f"{name} is not installed and left out", file=sys.stderr)  # noqa: T201
    folder = Path(tempfile.mkdtemp(prefix="overread-bench-", dir=options.folder))
    if file_system(folder) in MEMORY_FILE_SYSTEMS:
        print(f"warning: {folder.parent} is in memory: what is synced there costs nothing", file=sys.stderr)  # noqa: T201
    try:
        runs = run(tasks(options.rounds, options.cases, present), options.messages, options.pause, folder)
        settings = {name: getattr(options, name) for name in ("rounds", "messages", "cases", "receivers", "pause")}
        found = report.as_json(runs, settings, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _print(runs, found, options.json)
    return 1 if report.failures(runs) else 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.hl7", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each receiver and case (5)")
    parser.add_argument("--messages", type=int, default=3000, help="messages of a run (3000)")
    parser.add_argument("--cases", nargs="+", choices=tuple(CASES), default=list(CASES))
    parser.add_argument("--receivers", nargs="+", choices=tuple(PLANS), default=list(PLANS))
    parser.add_argument("--pause", type=float, default=PAUSE_SECONDS, help="seconds between runs, after sync")
    parser.add_argument("--folder", type=Path, help="where to work, on the disk to be measured (a temporary folder)")
    parser.add_argument("--json", help="file for the JSON; - prints only it; without it, it follows the tables")
    return parser.parse_args(arguments)


def _print(runs: Sequence[Run], found: dict[str, object], target: str | None) -> None:
    text = json.dumps(found, indent=2)
    if target != "-":
        print(report.as_markdown(runs))  # noqa: T201
    if target in (None, "-"):
        print(text)  # noqa: T201
    else:
        Path(str(target)).write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
