"""Scoring and timing, ours and the peers'."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from models.facts import Assertion, Experiencer
from models.notes.engine import VERSION, RuleEngine
from models.notes.evaluate import Example, Score, evaluate
from tests.benchmarks.notes import corpus

Marked = tuple[str, int, int]
Said = Mapping[Marked, Assertion]

PEER_SECONDS = 900.0  # a peer that needs longer is given up


@dataclass(frozen=True, slots=True)
class Row:
    """The scores of one reader on one half of one kit."""

    reader: str
    kit: str
    half: str
    scores: tuple[Score, ...]


@dataclass(frozen=True, slots=True)
class Peer:
    """What a peer answered."""

    versions: dict[str, str]
    said: Said
    seconds: tuple[float, ...]


def ask(peer: str, python: str, examples: Sequence[Example], notes: Sequence[str], rounds: int) -> Peer:
    """Run a peer in its own Python.

    Raises
    ------
    subprocess.CalledProcessError, subprocess.TimeoutExpired
        If it fails or takes too long.
    """
    marked = sorted({(example.text, example.start, example.end) for example in examples})
    items = [{"text": text, "start": start, "end": end} for text, start, end in marked]
    asked = {"peer": peer, "items": items, "notes": notes, "names": corpus.names(), "rounds": rounds}
    script = Path(__file__).with_name("peer.py")
    done = subprocess.run(
        [python, str(script)], input=json.dumps(asked), capture_output=True, text=True, check=True, timeout=PEER_SECONDS
    )
    answer = json.loads(done.stdout)
    said = {mark: assertion(found) for mark, found in zip(marked, answer["assertions"], strict=True)}
    return Peer(answer["versions"], said, tuple(answer["seconds"]))


def assertion(found: Mapping[str, bool]) -> Assertion:
    """Read what a peer says of one span; what it does not know is False."""
    return Assertion(
        negated=found.get("negated", False),
        uncertain=found.get("uncertain", False),
        historical=found.get("historical", False),
        hypothetical=found.get("hypothetical", False),
        experiencer=Experiencer.FAMILY if found.get("family", False) else Experiencer.PATIENT,
    )


def ours(examples: Sequence[Example]) -> dict[Marked, Assertion]:
    """Assert every marked span with the default engine."""
    engine = RuleEngine()
    return {(e.text, e.start, e.end): engine.assert_span(e.text, e.start, e.end) for e in examples}


def score(reader: str, kit: str, examples: Sequence[Example], said: Said, known: Sequence[str]) -> list[Row]:
    """Score one reader on both halves of a kit and on all of it, in the properties that it knows."""
    return [
        Row(
            reader,
            kit,
            half,
            tuple(s for s in evaluate(part, lambda *mark: said[mark]) if s.name in known and _asked(s)),
        )
        for half, part in corpus.halves(examples).items()
    ]


def _asked(found: Score) -> bool:
    """Whether the kit marks the property at all."""
    return bool(found.true_positives + found.false_positives + found.false_negatives + found.true_negatives)


def speed(notes: Sequence[str], rounds: int) -> list[float]:
    """Give our CPU seconds of each round over all notes, each read anew, after one round that warms up."""
    engine = RuleEngine()
    seconds = []
    for turn in range(rounds + 1):
        fresh = [f"{note}\n{turn}." for note in notes]  # the engine remembers the last notes that it read
        begin = time.process_time()
        for note in fresh:
            engine.analyze(note)
        seconds.append(time.process_time() - begin)
    return seconds[1:]


def as_json(
    rows: Sequence[Row], rates: Mapping[str, Sequence[float]], notes: int, versions: Mapping[str, str]
) -> dict[str, Any]:
    """Lay everything out for a file."""
    return {
        "versions": {"overread-rules": VERSION, **versions},
        "scores": [
            {"reader": row.reader, "kit": row.kit, "half": row.half, **_figures(found)}
            for row in rows
            for found in row.scores
        ],
        "notes": notes,
        "cpu_seconds": {reader: list(seconds) for reader, seconds in rates.items()},
        "notes_per_second": {reader: notes / median(seconds) for reader, seconds in rates.items()},
    }


def _figures(found: Score) -> dict[str, Any]:
    return asdict(found) | {"precision": found.precision, "recall": found.recall, "f1": found.f1}


def as_markdown(found: Mapping[str, Any]) -> str:
    """Lay the same out as two tables."""
    lines = ["| kit | half | property | reader | positive | precision | recall | F1 |", "| --- " * 8 + "|"]
    for row in sorted(found["scores"], key=lambda row: (row["kit"], row["half"], row["name"])):
        positive = row["true_positives"] + row["false_negatives"]
        figures = f"{positive} | {row['precision']:.3f} | {row['recall']:.3f} | {row['f1']:.3f}"
        lines.append(f"| {row['kit']} | {row['half']} | {row['name']} | {row['reader']} | {figures} |")
    lines += ["", "| reader | notes per CPU second | slowest round | fastest round |", "| --- " * 4 + "|"]
    for reader, rate in found["notes_per_second"].items():
        seconds = found["cpu_seconds"][reader]
        lines.append(
            f"| {reader} | {rate:.0f} | {found['notes'] / max(seconds):.0f} | {found['notes'] / min(seconds):.0f} |"
        )
    return "\n".join(lines)
