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
    """What the destination said. ``status`` is its own word; only ``ok`` counts as accepted.

    ``reason`` says why an object was not taken, or what is to be noted of one that was: a warning, a transcoding.
    ``comment`` is text of the other side's own, which may hold anything: it is shown, and stands in no timeline.
    """

    delivery: int
    ok: bool
    status: str
    reason: str = ""
    comment: str = ""


Transport = Callable[[Destination, Sequence[Item], Settings], Iterator[Outcome]]
"""Sends items in their order and yields one outcome for each that was tried.

An item without an outcome was not tried (a connection broke, or order forbids it) and is tried again in the next round.
"""


class KeptTransport:
    """A transport with a connection that outlives a call. Each destination's loop has an instance of its own."""

    def __call__(self, destination: Destination, items: Sequence[Item], settings: Settings) -> Iterator[Outcome]:
        """Send items, as every transport does."""
        raise NotImplementedError

    def rest(self) -> None:
        """Nothing is due: close what was idle for long enough."""

    def close(self) -> None:
        """Close the connection."""

    def interrupt(self) -> None:
        """End what is being sent (called by another thread)."""
