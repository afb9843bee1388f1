"""Times of a record: how far apart they are, and what a note means by "2024-03" or three years ago. Pure."""

from __future__ import annotations

import datetime as dt
import re

_PARTIAL = re.compile(r"(\d{4})(?:-(\d{2}))?(?:-(\d{2}))?")
_AGO = re.compile(r"-P(\d{1,4})([DWMY])")
_DAYS = {"D": 1.0, "W": 7.0, "M": 30.44, "Y": 365.25}


def days_between(one: dt.datetime | None, other: dt.datetime | None) -> float | None:
    """Days between two times, never negative; None where one is not known. A time without a zone is taken as UTC."""
    if one is None or other is None:
        return None
    return abs((_aware(one) - _aware(other)).total_seconds()) / 86400


def _aware(when: dt.datetime) -> dt.datetime:
    """Take a time without a zone as UTC. A time with one is moved by hand: at the ends of the calendar it overflows."""
    if when.tzinfo is None:
        return when.replace(tzinfo=dt.UTC)
    return when


def is_exact(when: str) -> bool:
    """Whether a time that a note gives is good to some days: a whole date, or so many days or weeks ago."""
    if ago := _AGO.fullmatch(when):
        return ago[2] in "DW"
    return (found := _PARTIAL.fullmatch(when)) is not None and found[3] is not None


def happened_at(when: str, written: dt.datetime | None) -> dt.datetime | None:
    """Read the time that a note gives: an ISO date of any precision (its middle), or a duration before the note."""
    if found := _PARTIAL.fullmatch(when):
        year, month, date = int(found[1]), int(found[2] or 7), int(found[3] or (15 if found[2] else 1))
        try:
            return dt.datetime(year, month, date, 12, tzinfo=dt.UTC)
        except ValueError:
            return None
    if (found := _AGO.fullmatch(when)) and written is not None:
        try:
            return written - dt.timedelta(days=int(found[1]) * _DAYS[found[2]])
        except OverflowError:
            return None
    return None
