"""How many HL7 messages wait between the listener and the records."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from node.hl7.inbox import FILE, Inbox
from node.records.schema import now


@dataclass(frozen=True, slots=True)
class Waiting:
    """Messages that were kept and are not yet in the records."""

    count: int = 0
    oldest: dt.datetime | None = None

    @property
    def seconds(self) -> float:
        """Age of the eldest; 0 if none waits."""
        return max(0.0, (now() - self.oldest).total_seconds()) if self.oldest else 0.0


def waiting(root: Path) -> Waiting:
    """Look into the inbox below the node's root; a node that has none gets none by being asked."""
    return waiting_in(root / FILE)


def waiting_in(path: Path) -> Waiting:
    """Look into an inbox's file."""
    if not path.exists():
        return Waiting()
    inbox = Inbox(path)
    try:
        return Waiting(inbox.count(), inbox.oldest())
    finally:
        inbox.close()
