"""Build and encode results beside highdicom alone: `python -m tests.benchmarks.results`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track

from tests.benchmarks.results.measure import as_json, as_markdown, rounds
from tests.benchmarks.results.study import make


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.results", description=__doc__)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--size", type=int, default=512, help="rows and columns")
    parser.add_argument("--rounds", type=int, default=5, help="after one that warms up")
    parser.add_argument("--json", help="file for the JSON; - prints only it; without it, it follows the tables")
    options = parser.parse_args(arguments)
    study = make(options.slices, options.size)
    progress = track(
        rounds(study, options.rounds), "rounds", total=options.rounds, console=Console(stderr=True), transient=True
    )
    plan = {"slices": options.slices, "size": options.size, "rounds": options.rounds, "segments": 5}
    _print(as_json(list(progress), plan), options.json)
    return 0


def _print(found: dict[str, object], target: str | None) -> None:
    text = json.dumps(found, indent=2)
    if target != "-":
        print(as_markdown(found))  # noqa: T201
    if target in (None, "-"):
        print(text)  # noqa: T201
    else:
        Path(str(target)).write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
