"""Delivery into a folder: ``<folder>/<study>/<object>``, whole or not there at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from node import durable
from node.delivery.transport import Item, Outcome
from node.settings import Destination, Settings

SUFFIX = {"oru": ".hl7", "alert": ".hl7"}


def deliver(destination: Destination, items: Sequence[Item], settings: Settings) -> Iterator[Outcome]:
    """Copy files; accepted is written, synchronised to the disk and renamed into place."""
    for item in items:
        try:
            _copy(item, destination.path or Path())
        except OSError as exc:
            yield Outcome(item.delivery, False, type(exc).__name__, f"cannot write: {exc.strerror}")
        else:
            yield Outcome(item.delivery, True, "written")


def _copy(item: Item, folder: Path) -> None:
    target = folder / item.study_uid / f"{item.uid}{SUFFIX.get(item.kind, '.dcm')}"
    durable.write(target, item.path.read_bytes())
