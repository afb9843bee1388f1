"""The sentences and notes that are measured."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from models.notes.codes import concepts
from models.notes.evaluate import Example, first_half, read_negex

KITS = {"NegEx": "annotations_reports_1-60.txt", "ConText": "context_reports_1-60.txt"}
NOTE_CHARACTERS = 2000


def sentences(folder: Path, kit: str) -> list[Example]:
    """Read the marked sentences of a kit."""
    text = (folder / KITS[kit]).read_text(encoding="utf-8", errors="replace")
    return read_negex(text.splitlines())


def halves(examples: Iterable[Example]) -> dict[str, list[Example]]:
    """Part sentences into the half that rules were learnt from, the other one, and all."""
    every = list(examples)
    first = [example for example in every if first_half(example.text)]
    return {"first": first, "second": [example for example in every if not first_half(example.text)], "all": every}


def notes(folder: Path) -> list[str]:
    """Join the sections of the MTS-Dialog training set, in its order, to notes of 2000 characters."""
    with (folder / "MTS-Dialog-TrainingSet.csv").open(encoding="utf-8", newline="") as file:
        parts = [f"{row['section_header']}:\n{row['section_text']}\n" for row in csv.DictReader(file)]
    joined: list[str] = []
    current = ""
    for part in parts:
        current += part
        if len(current) >= NOTE_CHARACTERS:
            joined.append(current[:NOTE_CHARACTERS])
            current = ""
    return joined


def names() -> list[str]:
    """Give the lexicon's English names, for a peer that has none of its own."""
    return [name.removeprefix("=") for concept in concepts() for name in concept.names if name.isascii()]
