"""One piece of evidence of a stored assessment: what it says, its source, where it leads; and reading loose JSON. Pure.

Nothing here raises for what is stored: a value of another type than expected reads as none.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

SOURCES: Mapping[str, str] = {
    "image": "image",
    "note": "note",
    "lab": "laboratory",
    "demographics": "person",
    "prior": "earlier study",
    "order": "order",
}
MAX_ITEMS = 200
"""Most entries of one list that are shown; an assessment is bounded by itself well below."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where evidence leads: an address within the site, its language where that is not the page's, and details."""

    href: str = ""
    lang: str = ""
    detail: str = ""


Finder = Callable[["Reference"], Place]
"""Says where a piece of evidence stands on the page."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What an assessment gives to find a piece of evidence by."""

    source: str
    text: str
    reference: str
    code: str
    scheme: str
    at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """One piece of evidence: its source in words and as a CSS class, what it says, where it leads."""

    source: str
    style: str
    text: str
    code: str
    at: dt.datetime | None
    place: Place


def evidence(item: Any, find: Finder) -> EvidenceRow:
    """Return a stored piece of evidence as it is shown."""
    given = reference_of(mapping(item))
    style = given.source if given.source in SOURCES else "other"
    code = " ".join(part for part in (given.scheme, given.code) if part)
    return EvidenceRow(SOURCES.get(given.source, given.source), style, given.text, code, given.at, find(given))


def reference_of(item: Mapping[str, Any]) -> Reference:
    """Return what a stored piece of evidence is found by."""
    code = mapping(item.get("code"))
    return Reference(
        source=str(item.get("source") or ""),
        text=str(item.get("text") or ""),
        reference=str(item.get("reference") or ""),
        code=str(code.get("value") or ""),
        scheme=str(code.get("scheme") or ""),
        at=_time(item.get("at")),
    )


def _time(value: Any) -> dt.datetime | None:
    """Return a time that a browser and the clock can show: aware, with a year that every calendar here has."""
    try:
        at = dt.datetime.fromisoformat(value) if isinstance(value, str) else None
        return None if at is None or not 1800 <= at.year <= 9000 else at.astimezone(dt.UTC)
    except (ValueError, OverflowError, OSError):
        return None


def number(value: Any) -> float | None:
    """Return a finite number, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        shown = float(value)
    except OverflowError:  # JSON has whole numbers of any length
        return None
    return shown if math.isfinite(shown) else None


def mapping(value: Any) -> Mapping[str, Any]:
    """Return an object, an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def items(value: Any) -> list[Any]:
    """Return the first :data:`MAX_ITEMS` of a list, none for anything else."""
    return list(value[:MAX_ITEMS]) if isinstance(value, list | tuple) else []


def maps(value: Any) -> list[Mapping[str, Any]]:
    """Return the objects of a list."""
    return [item for item in items(value) if isinstance(item, Mapping)]


def texts(value: Any) -> list[str]:
    """Return the texts of a list that say something."""
    return [str(item) for item in items(value) if isinstance(item, str) and item.strip()]
