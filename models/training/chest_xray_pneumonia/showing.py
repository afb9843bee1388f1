"""Held-out radiographs with the answers of the model, for the folder of a training."""

from __future__ import annotations

from pathlib import Path

from models import catalog
from models.contracts import Radiograph, Record
from models.training.chest_xray_pneumonia.card import NAME
from models.training.chest_xray_pneumonia.data import read_parts
from models.training.framework import examples

#: All children of the data set are of 1 to 5 years, and taken from front to back.
CHILD = Record(age_years=3)


def pictures(data: Path, out: Path, *, device: str = "auto", weights: Path | None = None) -> None:
    """Draw ``examples.png``; see :func:`models.training.registry.evaluate`."""
    held_out = read_parts(data).held_out
    cases = list(zip(held_out.names, held_out.pixels, held_out.labels, strict=True))
    items = [
        (name, Radiograph(pixels, "CR", view="AP", record=CHILD), bool(label))
        for name, pixels, label in examples.some(cases)
    ]
    said = examples.ask(catalog.load(NAME, device, folder=weights), items, ("normal", "pneumonia"))
    examples.page(out / examples.FILE, examples.choose(said))
