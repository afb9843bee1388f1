"""Statements that come in any order: of each field the latest one holds. Pure.

Beside a row, ``stated`` keeps for each of its fields when what is there was said, as text that sorts like the time.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

REGISTERED = "R"
"""Stands before the time of what a registration said: letters sort after digits, so it outranks all that did not."""


def stamp(at: dt.datetime, *, registered: bool = False) -> str:
    """Return a time as text; texts sort as their times do, those of registrations behind all others."""
    return (REGISTERED if registered else "") + at.astimezone(dt.UTC).isoformat(timespec="microseconds")


def time_of(text: str) -> dt.datetime:
    """Return the time of a stamp."""
    return dt.datetime.fromisoformat(text.removeprefix(REGISTERED))


def latest(
    stated: Mapping[str, Any], given: Mapping[str, Any], at: dt.datetime, *, registered: bool = False
) -> list[str]:
    """Return which of the given fields a statement of this time sets: those of which nothing later was said."""
    text = stamp(at, registered=registered)
    return [key for key in given if str(stated.get(key, "")) <= text]
