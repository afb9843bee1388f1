"""Held-out radiographs with the answers of the model, for the folder of a training."""

from __future__ import annotations

from pathlib import Path

from models import catalog
from models.contracts import Radiograph, Record, RecordValue
from models.imaging.chest_xray.labs import LABS
from models.training.chest_xray_severity.card import NAME
from models.training.chest_xray_severity.data import Case, divided, read_cases, read_picture
from models.training.framework import examples


def pictures(data: Path, out: Path, *, device: str = "auto", weights: Path | None = None) -> None:
    """Draw ``examples.png``; see :func:`models.training.registry.evaluate`."""
    cases = read_cases(data)
    names = set(divided(cases).held_out)
    held_out = examples.some([case for case in cases if case.picture in names])
    items = [(case.picture, source_of(case, data), case.severe) for case in held_out]
    said = examples.ask(catalog.load(NAME, device, folder=weights), items, ("not severe", "severe"))
    examples.page(out / examples.FILE, examples.choose(said))


def source_of(case: Case, data: Path) -> Radiograph:
    """Radiograph and laboratory values as a study would bring them."""
    values = [
        RecordValue(lab.codes[0], case.labs[lab.key], lab.unit.value, 0.0) for lab in LABS if lab.key in case.labs
    ]
    pixels = read_picture(data / "png" / f"{case.picture}.png")
    return Radiograph(pixels, "CR", view=case.view, record=Record(tuple(values)))
