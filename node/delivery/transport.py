"""What every transport takes and gives. A transport is one file beside this one and one line in ``TRANSPORTS``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from node.settings import Destination, Settings


@dataclass(frozen=True, slots=True)
class Item:
    """One result that a destination is owed."""

    delivery: int
    kind: str
    uid: str
    study_uid: str
    path: Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the destination said. ``status`` is its own word; only ``ok`` counts as delivered."""

    delivery: int
    ok: bool
    status: str
    reason: str = ""


Transport = Callable[[Destination, Sequence[Item], Settings], Iterator[Outcome]]
"""Sends items in their order and yields one outcome for each that was tried.

An item without an outcome was not tried (a connection broke, or order forbids it) and is tried again in the next round.
"""
