"""The command: `python -m tests.benchmarks.receive`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.receive import report
from tests.benchmarks.receive.benchmark import QUICK, Plan, Size, run
from tests.benchmarks.receive.figures import CASES
from tests.benchmarks.receive.measure import PAUSE_SECONDS, Run, failures
from tests.benchmarks.receive.receivers import RECEIVERS

MEMORY_FILE_SYSTEMS = frozenset({"tmpfs", "ramfs"})


def _names(known: Sequence[str], text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split("+" if "+" in text else ","))
    if unknown := [name for name in names if name not in known]:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
    return names


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.receive", description=__doc__)
    parser.add_argument("--cases", type=lambda text: _names(tuple(CASES), text), default=tuple(CASES), help="ct1,ct4")
    parser.add_argument(
        "--receivers", type=lambda text: _names(tuple(RECEIVERS), text), default=(), help="'ours+storescp --fork'"
    )
    parser.add_argument("--rounds", type=int, help="pairs of runs of each figure (5; 1 with --quick)")
    parser.add_argument("--quick", action="store_true", help="one round of few objects: shows that it runs, no more")
    parser.add_argument("--slices", type=int, help=f"CT slices ({Size().slices})")
    parser.add_argument("--small", type=int, help=f"small objects ({Size().small})")
    parser.add_argument("--frames", type=int, help=f"frames of a huge object, 0.5 MiB each ({Size().frames})")
    parser.add_argument("--pause", type=float, default=PAUSE_SECONDS, help="seconds between runs, after sync")
    parser.add_argument("--folder", type=Path, help="where to work, on the disk to be measured (a temporary folder)")
    parser.add_argument("--json", help="file for the JSON; - prints only it; without it, it follows the tables")
    return parser.parse_args(arguments)


def _plan(options: argparse.Namespace) -> Plan:
    basis = QUICK if options.quick else Size()
    given = {name: value for name in ("slices", "small", "frames") if (value := getattr(options, name)) is not None}
    rounds = options.rounds or (1 if options.quick else 5)
    return Plan(options.cases, rounds, dataclasses.replace(basis, **given), options.pause, options.receivers)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it and print; returns 1 if a run does not count."""
    options = _arguments(arguments)
    plan = _plan(options)
    folder = Path(tempfile.mkdtemp(prefix="overread-bench-", dir=options.folder))
    if report.file_system(folder) in MEMORY_FILE_SYSTEMS:
        print(f"warning: {folder.parent} is in memory: what is synced there costs nothing", file=sys.stderr)  # noqa: T201
    try:
        runs = run(plan, folder)
        found = report.as_json(runs, dataclasses.asdict(plan), folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _print(runs, found, options.json)
    return 1 if failures(runs) else 0


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
