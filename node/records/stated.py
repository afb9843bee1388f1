"""Statements that come in any order: of each field the latest one holds. Pure.

Beside a row, ``stated`` keeps for each of its fields when what is there was said, as text that sorts like the time.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any


def stamp(at: dt.datetime) -> str:
    """Return a time as text; texts sort as their times do."""
    return at.astimezone(dt.UTC).isoformat(timespec="microseconds")


def latest(stated: Mapping[str, Any], given: Mapping[str, Any], at: dt.datetime) -> list[str]:
    """Return which of the given fields a statement of this time sets: those of which nothing later was said."""
    text = stamp(at)
    return [key for key in given if str(stated.get(key, "")) <= text]
