"""The course of laboratory values as a small drawing: points, the reference range as a band, an axis of time. Pure.

Coordinates are those of the drawing's view box: x to the right, y downwards, :data:`WIDTH` by :data:`HEIGHT`.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from node.records.schema import Observation
from node.web import findings

WIDTH, HEIGHT = 320.0, 96.0
LEFT, RIGHT, TOP, BOTTOM = 8.0, 8.0, 8.0, 8.0
MARGIN = 0.08
"""Share of the values' span that is left free above and below."""
MAX_POINTS = 100
MAX_COURSES = 12
_RANGE = re.compile(r"\s*(-?\d{1,9}(?:\.\d{1,6})?)\s*(?:-|–|to|~)\s*(-?\d{1,9}(?:\.\d{1,6})?)")
_BOUND = re.compile(r"\s*([<>]=?|≤|≥)\s*(-?\d{1,9}(?:\.\d{1,6})?)")


@dataclass(frozen=True, slots=True)
class Point:
    """One value; ``outside`` if it lies outside of the range or is flagged."""

    x: float
    y: float
    text: str
    outside: bool


@dataclass(frozen=True, slots=True)
class Band:
    """The reference range as far as it is within the drawing."""

    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Course:
    """One kind of value over time; ``first`` and ``last`` are days."""

    name: str
    code: str
    unit: str
    points: Sequence[Point]
    band: Band | None
    range: str
    lowest: str
    highest: str
    first: str
    last: str

    @property
    def line(self) -> str:
        """The points as SVG's ``polyline`` takes them."""
        return " ".join(f"{point.x:.1f},{point.y:.1f}" for point in self.points)

    @property
    def words(self) -> str:
        """The same in words, for those who do not see it."""
        return f"{self.name}: " + "; ".join(point.text for point in self.points)


def courses(values: Iterable[Observation]) -> list[Course]:
    """Return the course of each kind of value that has two values in one unit, by name.

    Values of another unit than the newest are left out: a line through both would lie.
    """
    kinds: dict[tuple[str, str], list[Observation]] = {}
    for value in values:
        if value.number is not None and value.observed_at is not None:
            kinds.setdefault((value.scheme, value.code), []).append(value)
    drawn = [_course(group) for group in kinds.values()]
    return sorted((one for one in drawn if one is not None), key=lambda one: one.name.lower())[:MAX_COURSES]


def limits(text: str) -> tuple[float | None, float | None] | None:
    """Read a reference range (OBX-7, section 7.4.2.7: ``3.5 - 4.5``, ``< 10``, ``> 60``); None for what is none."""
    if match := _RANGE.match(text):
        low, high = float(match[1]), float(match[2])
        return (low, high) if low <= high else None
    if match := _BOUND.match(text):
        bound = float(match[2])
        return (None, bound) if match[1][0] in "<≤" else (bound, None)
    return None


def _course(group: list[Observation]) -> Course | None:
    newest = max(group, key=_at)
    same = sorted((one for one in group if one.unit == newest.unit), key=_at)[-MAX_POINTS:]
    if len(same) < 2:
        return None
    said = next((one.reference_range for one in reversed(same) if limits(one.reference_range)), "")
    within = limits(said) or (None, None)
    numbers = [one.number or 0.0 for one in same]
    low, high = _scale(numbers, within)
    return Course(
        name=newest.name or newest.code,
        code=newest.code,
        unit=newest.unit,
        points=[_point(one, _at(same[0]), _at(same[-1]), low, high, within) for one in same],
        band=_band(within, low, high) if said else None,
        range=said,
        lowest=findings.number(min(numbers)),
        highest=findings.number(max(numbers)),
        first=f"{_at(same[0]).astimezone():%Y-%m-%d}",
        last=f"{_at(same[-1]).astimezone():%Y-%m-%d}",
    )


def _scale(numbers: Sequence[float], within: tuple[float | None, float | None]) -> tuple[float, float]:
    ends = [*numbers, *(bound for bound in within if bound is not None)]
    low, high = min(ends), max(ends)
    free = (high - low) * MARGIN or abs(high) * MARGIN or 1.0
    return low - free, high + free


def _point(
    value: Observation, first: dt.datetime, last: dt.datetime, low: float, high: float,
    within: tuple[float | None, float | None],
) -> Point:  # fmt: skip
    number, at = value.number or 0.0, _at(value)
    span = (last - first).total_seconds()
    share = (at - first).total_seconds() / span if span > 0 else 0.5
    below, above = within
    outside = (below is not None and number < below) or (above is not None and number > above)
    text = f"{value.value} {value.unit} on {at.astimezone():%Y-%m-%d %H:%M}"
    return Point(LEFT + share * (WIDTH - LEFT - RIGHT), _y(number, low, high), text, outside)


def _band(within: tuple[float | None, float | None], low: float, high: float) -> Band:
    below, above = within
    top = _y(high if above is None else above, low, high)
    bottom = _y(low if below is None else below, low, high)
    return Band(top, max(0.0, bottom - top))


def _y(number: float, low: float, high: float) -> float:
    return TOP + (high - number) / (high - low) * (HEIGHT - TOP - BOTTOM)


def _at(value: Observation) -> dt.datetime:
    assert value.observed_at is not None  # noqa: S101  courses() leaves out those without a time
    return value.observed_at
