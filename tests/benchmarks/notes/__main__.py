"""Read marked sentences and notes, ours beside medspaCy and negspacy: `python -m tests.benchmarks.notes`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.notes import corpus, measure
from tests.conftest import data_root

OURS = "overread"
KNOWN = {
    OURS: ("negated", "historical", "not the patient"),
    "medspacy": ("negated", "historical", "not the patient"),
    "negspacy": ("negated",),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.notes", description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=data_root(), help="folder that holds text-negex and text-mts-dialog"
    )
    parser.add_argument("--medspacy", help="a Python that has medspaCy")
    parser.add_argument("--negspacy", help="a Python that has negspacy")
    parser.add_argument("--rounds", type=int, default=5, help="over all notes, after one that warms up; 0: no timing")
    parser.add_argument("--json", help="file for the JSON; - prints only it; without it, it follows the tables")
    options = parser.parse_args(arguments)
    one_core()
    peers = {name: python for name in ("medspacy", "negspacy") if (python := getattr(options, name))}
    _print(run(options.data, peers, options.rounds), options.json)
    return 0


def one_core() -> None:
    """Keep this process and those it starts on one core, and their libraries to one thread."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    os.environ["OMP_NUM_THREADS"] = "1"


def run(data: Path, peers: dict[str, str], rounds: int) -> dict[str, Any]:
    """Measure everything in one run."""
    kits = {kit: corpus.sentences(data / "text-negex", kit) for kit in corpus.KITS}
    examples = [example for kit in kits.values() for example in kit]
    notes = corpus.notes(data / "text-mts-dialog") if rounds else []
    said: dict[str, measure.Said] = {OURS: measure.ours(examples)}
    rates: dict[str, Sequence[float]] = {OURS: measure.speed(notes, rounds)} if rounds else {}
    versions: dict[str, str] = {}
    for name, python in peers.items():
        answer = measure.ask(name, python, examples, notes, rounds)
        said[name] = answer.said
        versions |= answer.versions
        if answer.seconds:
            rates[name] = answer.seconds
    rows = [
        row
        for name, found in said.items()
        for kit, part in kits.items()
        for row in measure.score(name, kit, part, found, KNOWN[name])
    ]
    return measure.as_json(rows, rates, len(notes), versions)


def _print(found: dict[str, Any], target: str | None) -> None:
    text = json.dumps(found, indent=2)
    if target != "-":
        print(measure.as_markdown(found))  # noqa: T201
    if target in (None, "-"):
        print(text)  # noqa: T201
    else:
        Path(str(target)).write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
