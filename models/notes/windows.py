"""Where numbers of each sort can stand, told by the words beside them, so that patterns need not search a whole note.

A pattern is tried only within some tokens of such a word: a unit of time or a year for times, "mm" for sizes, "pack"
for smoking, "years" or 岁 for ages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from models.notes.tokens import Tokens

Ranges = tuple[tuple[int, int], ...]  # character ranges, ascending and disjoint


class Sort(StrEnum):
    """What a number is of."""

    TIME = "time"
    SIZE = "size"
    PACKS = "packs"
    AGE = "age"


_REACH: Mapping[Sort, tuple[int, int]] = {  # tokens before and behind the word that a pattern may take
    Sort.TIME: (12, 7),
    Sort.SIZE: (14, 4),
    Sort.PACKS: (14, 14),
    Sort.AGE: (4, 5),
}
_UNITS_OF_TIME = (
    "day",
    "days",
    "week",
    "weeks",
    "wk",
    "wks",
    "month",
    "months",
    "mo",
    "mos",
    "year",
    "years",
    "yr",
    "yrs",
)
_WORDS: Mapping[Sort, tuple[str, ...]] = {
    Sort.TIME: (*_UNITS_OF_TIME, "yesterday", "年", "月", "周", "天", "日", "昨", "期"),
    Sort.SIZE: (
        *("mm", "cm", "millimeter", "millimetre", "millimeters", "millimetres", "centimeter", "centimetre"),
        *("centimeters", "centimetres", "subcentimeter", "subcentimetre", "米", "分"),
    ),
    Sort.PACKS: ("pack", "packs", "ppd", "pk", "py", "cigarette", "cigarettes", "包", "支", "根"),
    Sort.AGE: ("year", "years", "yr", "yrs", "y", "yo", "age", "aged", "ages", "岁", "龄"),
}


@dataclass(frozen=True, slots=True)
class Windows:
    """Character ranges in which each sort of number can stand."""

    time: Ranges
    size: Ranges
    packs: Ranges
    age: Ranges


@cache
def _sorts() -> Mapping[str, tuple[Sort, ...]]:
    sorts: dict[str, tuple[Sort, ...]] = {}
    for sort, words in _WORDS.items():
        for word in words:
            sorts[word] = (*sorts.get(word, ()), sort)
    return sorts


def find_windows(tokens: Tokens) -> Windows:
    """Find them in one pass over the tokens."""
    known = _sorts()
    every = tuple(Sort)
    places: dict[Sort, list[int]] = {sort: [] for sort in every}
    for at, norm in enumerate(tokens.norms):
        sorts = known.get(norm)
        if sorts is None:
            if not norm[0].isdecimal():
                continue
            if not norm.isdecimal():
                sorts = every  # a unit written to its number: "9mm", "3days"
            elif len(norm) == 4 and norm[:2] in ("19", "20"):
                sorts = (Sort.TIME,)
            else:
                continue
        for sort in sorts:
            places[sort].append(at)
    found = {sort: _ranges(tokens, places[sort], *_REACH[sort]) for sort in every}
    return Windows(found[Sort.TIME], found[Sort.SIZE], found[Sort.PACKS], found[Sort.AGE])


def _ranges(tokens: Tokens, places: Sequence[int], before: int, behind: int) -> Ranges:
    ranges: list[tuple[int, int]] = []
    last = len(tokens) - 1
    for at in places:
        low, high = tokens.starts[max(0, at - before)], tokens.ends[min(last, at + behind)]
        if ranges and low <= ranges[-1][1]:
            ranges[-1] = ranges[-1][0], high
        else:
            ranges.append((low, high))
    return tuple(ranges)
