"""Conditions of the knowledge graph's edges ("> 100 mg/L", "flag H") and the values that they are compared with."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from models.fusion import units

_CONDITION = re.compile(r"(>=|<=|>|<) ?(-?\d{1,9}(?:\.\d{1,6})?) ?(\S{1,20})?")
_RANGE = re.compile(r"(-?\d{1,9}(?:\.\d{1,6})?) ?(?:-|--|to|~) ?(-?\d{1,9}(?:\.\d{1,6})?)")
_BOUND = re.compile(r"(>=|<=|>|<) ?(-?\d{1,9}(?:\.\d{1,6})?)")

#: HL7 table 0078: what counts as high, low and abnormal.
FLAGS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "H": frozenset({"H", "HH", ">", "HU"}),
        "L": frozenset({"L", "LL", "<", "LU"}),
        "A": frozenset({"A", "AA", "H", "HH", "L", "LL", ">", "<", "HU", "LU"}),
    }
)

#: Units of conditions that :mod:`models.fusion.units` does not convert: folded spelling to (dimension, factor).
_MORE: Mapping[str, tuple[str, float]] = MappingProxyType(
    {
        "pg/ml": ("mass", 1.0),
        "ng/l": ("mass", 1.0),
        "ng/ml": ("mass", 1e3),
        "ug/l": ("mass", 1e3),
        "ug/ml": ("mass", 1e6),
        "mg/l": ("mass", 1e6),
        "miu/l": ("activity", 1.0),
        "mu/l": ("activity", 1.0),
        "uiu/ml": ("activity", 1.0),
        "uu/ml": ("activity", 1.0),
        "a": ("time", 1.0),
        "{score}": ("score", 1.0),
        "1": ("score", 1.0),
        "": ("score", 1.0),
    }
)


@dataclass(frozen=True, slots=True)
class Condition:
    """When an edge holds.

    Parameters
    ----------
    comparator
        ``>``, ``>=``, ``<``, ``<=``, or ``flag``.
    value, unit
        What the number is compared with, UCUM; unused for a flag.
    flag
        ``H``, ``L`` or ``A`` (any abnormal): HL7 table 0078.
    """

    comparator: str
    value: float = 0.0
    unit: str = ""
    flag: str = ""

    def __str__(self) -> str:
        if self.comparator == "flag":
            return f"flag {self.flag}"
        return f"{self.comparator} {self.value:g}{f' {self.unit}' if self.unit else ''}"


@dataclass(frozen=True, slots=True)
class Value:
    """A number with what its sender says of it."""

    number: float | None = None
    unit: str = ""
    flag: str = ""
    reference_range: str = ""
    comparator: str = ""
    """Of the number itself: a result of ``<5`` is not above 3."""


def parse_condition(text: str) -> Condition | None:
    """Read a condition; None where the cell is empty.

    Raises
    ------
    ValueError
        With what a condition looks like.
    """
    said = " ".join(text.split())
    if not said:
        return None
    if said.startswith("flag ") and said[5:] in FLAGS:
        return Condition("flag", flag=said[5:])
    found = _CONDITION.fullmatch(said)
    if found is None:
        raise ValueError(f'the condition must look like "> 100 mg/L" or "flag H", not "{said[:40]}"')
    unit = found[3] or ""
    if _folded(unit) not in _MORE and units.ucum(unit) is None:
        raise ValueError(f'the unit "{unit}" is not known; write it in UCUM, such as mg/L, 10*9/L, mm or a')
    return Condition(found[1], float(found[2]), unit)


def holds(condition: Condition | None, value: Value) -> bool:
    """Whether a value meets a condition. What cannot be compared (no number, another dimension) does not meet it."""
    if condition is None:
        return True
    if condition.comparator == "flag":
        return bool(_flags(value) & FLAGS[condition.flag])
    number = converted(value.number, value.unit, condition.unit)
    if number is None or _unsure(condition.comparator, value.comparator):
        return False
    return compare(number, condition.comparator, condition.value)


def compare(number: float, comparator: str, bound: float) -> bool:
    """Compare two finite numbers by ``>``, ``>=``, ``<`` or ``<=``."""
    return {
        ">": number > bound,
        ">=": number >= bound,
        "<": number < bound,
        "<=": number <= bound,
    }[comparator]


def converted(number: float | None, unit: str, wanted: str) -> float | None:
    """Convert between units of one dimension; None where it cannot be done or the number is none."""
    if number is None or not math.isfinite(number):
        return None
    given, asked = _MORE.get(_folded(unit)), _MORE.get(_folded(wanted))
    if given is not None and asked is not None and given[0] == asked[0]:
        return number * given[1] / asked[1]
    return units.convert(number, _plain(unit), wanted or "1")


def _folded(unit: str) -> str:
    folded = _plain(unit).lower().replace(" ", "").replace("μ", "u").replace("µ", "u")
    return folded.replace("mcg/", "ug/")


def _plain(unit: str) -> str:
    """Drop what a D-dimer is counted in (fibrinogen equivalents): it is no unit; DDU, which differ by two, stay."""
    said = unit.strip()[:40]
    return re.sub(r" ?\{?FEU\}?$", "", said, flags=re.IGNORECASE).replace("[IU]", "IU").replace("[iU]", "IU")


def _flags(value: Value) -> frozenset[str]:
    given = frozenset(part.strip().upper() for part in re.split(r"[~,^ ]", value.flag[:40]) if part.strip())
    return given or _by_range(value)


def _by_range(value: Value) -> frozenset[str]:
    """Flag by the reference range where the sender gives no flag of its own."""
    if value.number is None or not math.isfinite(value.number):
        return frozenset()
    said = value.reference_range.strip()[:60]
    if found := _RANGE.fullmatch(said):
        low, high = float(found[1]), float(found[2])
        return frozenset({"L"} if value.number < low else {"H"} if value.number > high else set())
    if found := _BOUND.fullmatch(said):
        inside = compare(value.number, found[1], float(found[2]))
        return frozenset() if inside else frozenset({"H" if found[1].startswith("<") else "L"})
    return frozenset()


def _unsure(wanted: str, given: str) -> bool:
    """Whether the number is itself a bound that points the other way: ``<5`` says nothing of being above 3."""
    return (given.startswith("<") and wanted.startswith(">")) or (given.startswith(">") and wanted.startswith("<"))
