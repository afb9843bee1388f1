"""What all campaigns share on the terminal: options, a progress bar, the outcome."""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

MOST_TOLD = 20
"""Violations that are kept in words; the others are counted."""


@dataclass
class Outcome:
    """What a campaign found: figures by name, and each broken promise as a sentence."""

    figures: dict[str, Any] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    count: int = 0

    def violation(self, text: str) -> None:
        """Note a broken promise."""
        self.count += 1
        if len(self.violations) < MOST_TOLD:
            self.violations.append(text)

    def require(self, holds: bool, text: str) -> None:
        """Note a broken promise unless it holds."""
        if not holds:
            self.violation(text)

    def add(self, name: str, count: int = 1) -> None:
        """Count something."""
        self.figures[name] = self.figures.get(name, 0) + count

    def merge(self, other: Mapping[str, Any]) -> None:
        """Add another process's outcome: counts are summed, of peaks the highest is kept."""
        for name, value in other["figures"].items():
            if name.startswith(("peak", "slowest")):
                self.figures[name] = max(self.figures.get(name, 0), value)
            else:
                self.add(name, value)
        self.count += other["count"]
        self.violations += other["violations"][: max(0, MOST_TOLD - len(self.violations))]

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"figures": self.figures, "count": self.count, "violations": self.violations}


def parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """Return the options that every campaign has."""
    found = argparse.ArgumentParser(prog=f"python -m tests.campaigns.{name}", description=description)
    found.add_argument("--seed", type=int, default=None, help="of all random choices; told at the end")
    found.add_argument("--seconds", type=float, default=1200.0, help="stop after this time, whatever is left to do")
    found.add_argument("--folder", type=Path, help="where to work (a temporary folder)")
    found.add_argument("--json", type=Path, help="file for the figures as JSON; /dev/stdout prints them")
    return found


def seed_of(options: argparse.Namespace) -> int:
    """Return the seed that was given, or a new one."""
    return random.SystemRandom().randrange(1 << 32) if options.seed is None else int(options.seed)


@contextmanager
def workplace(options: argparse.Namespace, name: str, outcome: Outcome) -> Iterator[Path]:
    """Give a folder that goes away afterwards, and stays where a promise was broken."""
    folder = Path(tempfile.mkdtemp(prefix=f"overread-{name}-", dir=options.folder))
    yield folder
    if outcome.count:
        Console(stderr=True).print(f"what was found lies in {folder}", markup=False)
    else:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def progress(total: int) -> Iterator[tuple[Progress, Any]]:
    """Give a progress bar on stderr and its task."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield bar, bar.add_task("", total=total)


def finish(outcome: Outcome, target: Path | None) -> int:
    """Print what was found and return the exit status."""
    console = Console(stderr=True, soft_wrap=True)
    for name, value in outcome.figures.items():
        console.print(f"{name}: {value}", markup=False, highlight=False)
    for text in outcome.violations:
        console.print(f"VIOLATION: {text}", markup=False, style="red")
    console.print(f"violations: {outcome.count}", markup=False)
    if target is not None:
        target.write_text(json.dumps(outcome.plain(), indent=2) + "\n", encoding="utf-8")
    return 1 if outcome.count else 0
