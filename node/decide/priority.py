"""Urgency: three steps, as HL7 orders and radiologists know them (HL7 v2.5.1 table 0485: S, A, R)."""

from __future__ import annotations

from collections.abc import Iterable

ORDER = ("STAT", "ASAP", "ROUTINE")
"""From most to least urgent; the position sorts worklist and queue."""


def most_urgent(*priorities: str | None) -> str:
    """Return the most urgent of those that are given; ROUTINE if none is."""
    known: Iterable[str] = [p for p in priorities if p in ORDER]
    return min(known, key=ORDER.index, default="ROUTINE")


def rank(priority: str) -> int:
    """Return 0 for STAT, 1 for ASAP, 2 for everything else."""
    return ORDER.index(priority) if priority in ORDER else len(ORDER) - 1
