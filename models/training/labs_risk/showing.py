"""Held-out stays with the answers of the model, for the folder of a training."""

from __future__ import annotations

from pathlib import Path

from models import catalog
from models.training.framework import examples
from models.training.labs_risk.card import NAME
from models.training.labs_risk.data import STAYS_FILE, parse_stay, read_stays, split_stays, stay_files


def pictures(data: Path, out: Path, *, device: str = "auto", weights: Path | None = None) -> None:
    """Draw ``examples.png``; see :func:`models.training.registry.evaluate`."""
    stays = read_stays(data)
    wanted = set(examples.some(split_stays(stays).held_out))
    items = [
        (case, parse_stay(text), stays[case].died) for case, text in stay_files(data / STAYS_FILE) if case in wanted
    ]
    said = examples.ask(catalog.load(NAME, device, folder=weights), items, ("survived", "died"))
    examples.page(out / examples.FILE, examples.choose(said))
