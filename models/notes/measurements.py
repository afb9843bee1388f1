"""Named numbers: vital signs, scores, laboratory values and the age, with LOINC codes and UCUM units.

A measurement is a name of ``measurements.tsv``, at most a few words such as "of" or "was", and a number that its row
believes, with the unit of the row written or meant. Two numbers with a slash behind the name of the blood pressure are
its systolic and diastolic value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from models.contracts import Code
from models.facts import FactKind, Quantity
from models.notes.codes import Concept
from models.notes.numbers import COMPARATOR, NUMBER, read_unit, sign
from models.notes.phrases import PhraseTrie
from models.notes.resources import LexiconError, read_rows
from models.notes.tokens import Tokens, is_year, normalise, tokenize
from models.notes.windows import Ranges

TABLE = "measurements.tsv"
SCHEMES = frozenset({"LN", "99OVERREAD"})
AGE = Concept(FactKind.MEASUREMENT, Code("30525-0", "LN", "Age"), ())
SIZE = Concept(FactKind.MEASUREMENT, Code("103339001", "SCT", "Long Axis"), ())  # PS3.16 CID 7470
PACK_YEARS = Concept(FactKind.MEASUREMENT, Code("401201003", "SCT", "Cigarette pack-years"), ())
SYSTOLIC = Concept(FactKind.MEASUREMENT, Code("8480-6", "LN", "Systolic blood pressure"), ())
DIASTOLIC = Concept(FactKind.MEASUREMENT, Code("8462-4", "LN", "Diastolic blood pressure"), ())
PRESSURE_NAMES = ("=BP", "blood pressure", "血压", "blood pressures")
MAX_AGE = 120
_PRESSURE_MMHG = (30, 300)
_COLUMNS = 8


@dataclass(frozen=True, slots=True)
class Measured:
    """A measurement at ``start:end`` of the text."""

    start: int
    end: int
    concept: Concept
    quantity: Quantity


@dataclass(frozen=True, slots=True)
class _Row:
    concept: Concept
    units: tuple[str, ...]
    must_be_written: bool
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class _Name:
    """What a name may stand for: rows in the order of the file, by exact spelling or by any; no row: blood pressure.

    ``folded`` is None where only exact spellings count.
    """

    exact: dict[str, tuple[_Row, ...]]
    folded: tuple[_Row, ...] | None


def rows() -> Iterator[tuple[Concept, _Row]]:
    """Read the table of measurements.

    Raises
    ------
    LexiconError
        If a row has an unknown scheme, no unit or name, or bounds that are no numbers.
    """
    for number, (scheme, value, meaning, units, low, high, english, chinese) in read_rows(TABLE, _COLUMNS):
        names = tuple(name.strip() for name in f"{english}|{chinese}".split("|") if name.strip())
        if scheme not in SCHEMES or not (value and meaning and units and names):
            raise LexiconError(f"{TABLE}:{number}: unknown scheme, or an empty cell")
        try:
            bounds = float(low), float(high)
        except ValueError as error:
            raise LexiconError(f"{TABLE}:{number}: lowest and highest must be numbers") from error
        concept = Concept(FactKind.MEASUREMENT, Code(value, scheme, meaning), names)
        yield concept, _Row(concept, tuple(units.lstrip("!").split("|")), units.startswith("!"), *bounds)


@cache
def _names() -> PhraseTrie[_Name]:
    exact: dict[tuple[str, ...], dict[str, tuple[_Row, ...]]] = {}
    folded: dict[tuple[str, ...], tuple[_Row, ...]] = {}
    pairs = [*((name, (row,)) for concept, row in rows() for name in concept.names), *((n, ()) for n in PRESSURE_NAMES)]
    for name, row in pairs:
        spelled = name.removeprefix("=")
        key = tokenize(spelled).stems
        if name.startswith("="):
            spellings = exact.setdefault(key, {})
            spellings[spelled] = spellings.get(spelled, ()) + row
        else:
            folded[key] = folded.get(key, ()) + row
    return PhraseTrie((key, _Name(exact.get(key, {}), folded.get(key))) for key in {**exact, **folded})


@cache
def _link() -> re.Pattern[str]:
    """What may stand between a name and its number."""
    words = (
        r"of|is|was|were|at|level|levels|score|scores|scored|total|count|about|approximately|around|value|measured|today|"
        r"on admission|initially|up to|elevated|raised|low|high|normal"
    )
    gap = r"(?:[^\S\n]{1,16}|\n)?"  # columns of a table are set apart by spaces
    return re.compile(
        rf"(?:{gap}(?:[:：=(|]|\b(?:{words})\b|(?:为|是|约|达|高达|值|水平|评分|得分|总分|最高|检查)))"
        rf"{{0,4}}{gap}",
        re.IGNORECASE,
    )


@cache
def _value() -> re.Pattern[str]:
    return re.compile(
        rf"(?:(?P<sign>{COMPARATOR})\s?)?(?P<number>{NUMBER})(?![\d.]*\d)(?:\s?(?:-|–|~|to|至)\s?(?P<upper>{NUMBER})(?!\d))?",
        re.IGNORECASE,
    )


@cache
def _something_else() -> re.Pattern[str]:
    """What follows a number that is no value: a dose, or the rest of a fraction or date."""
    return re.compile(
        r"\s?(?:/\s?\d|(?:m?eq|m?g|mcg|ml|cc|units?|tab\w{0,5}|cap\w{0,5}|iu|packets?|times)\b(?!/))", re.IGNORECASE
    )


@cache
def _pressure() -> re.Pattern[str]:
    return re.compile(
        r"(?P<systolic>\d{2,3})\s?/\s?(?P<diastolic>\d{2,3})(?!\d|/)(?:\s?(?:mm\s?Hg|毫米汞柱))?", re.IGNORECASE
    )


@cache
def _glued() -> re.Pattern[str]:
    """A Latin name and its number without a space: "MMSE24"."""
    return re.compile(r"([A-Za-z]{1,6})\d{1,4}")


def find_measurements(text: str, tokens: Tokens) -> list[Measured]:
    """Find all measurements of folded text, ascending and without overlap."""
    found: list[Measured] = []
    end = 0
    for start, behind, surface, name in _name_places(text, tokens):
        rows = name.exact.get(surface, name.folded)
        if start < end or rows is None:
            continue
        values = _read(text, start, behind, rows)
        found.extend(values)
        end = values[-1].end if values else end
    return found


def _name_places(text: str, tokens: Tokens) -> Iterator[tuple[int, int, str, _Name]]:
    """Yield start, end, spelling and meaning of every name, ascending."""
    trie = _names()
    places = [
        (tokens.starts[first], tokens.ends[last - 1], text[tokens.starts[first] : tokens.ends[last - 1]], name)
        for first, last, name in trie.scan(tokens.stems)
    ]
    for start, end in zip(tokens.starts, tokens.ends, strict=True):
        if (
            end - start > 1
            and text[end - 1].isdecimal()
            and (match := _glued().fullmatch(text, start, end)) is not None
        ):
            stem = (normalise(match[1]),)
            if (named := trie.longest(stem, 0, 1)) is not None:
                places.append((start, match.end(1), match[1], named[1]))
    places.sort(key=lambda place: place[:2])
    yield from places


def _read(text: str, start: int, behind: int, rows: tuple[_Row, ...]) -> list[Measured]:
    link = _link().match(text, behind)
    at = link.end() if link else behind
    if not rows:
        return _read_pressure(text, start, at)
    match = _value().match(text, at)
    if match is None:
        return []
    unit = read_unit(text, match.end())
    if unit is None and _something_else().match(text, match.end()):
        return []
    for row in rows:
        quantity = _believed(row, match, unit and unit[0])
        if quantity is not None:
            return [Measured(start, unit[1] if unit else match.end(), row.concept, quantity)]
    return []


def _believed(row: _Row, match: re.Match[str], unit: str | None) -> Quantity | None:
    """Give the quantity if the row takes its unit and bounds, else None."""
    if unit is None and (row.must_be_written or is_year(match["number"])):
        return None
    if unit is not None and unit not in row.units:
        return None
    value = float(match["number"])
    upper = None if match["upper"] is None else float(match["upper"])
    if not row.lowest <= value <= row.highest or (upper is not None and not value < upper <= row.highest):
        return None
    return Quantity(value, unit or row.units[0], upper, sign(match["sign"]))


def _read_pressure(text: str, start: int, at: int) -> list[Measured]:
    match = _pressure().match(text, at)
    if match is None:
        return []
    systolic, diastolic = int(match["systolic"]), int(match["diastolic"])
    low, high = _PRESSURE_MMHG
    if not low <= diastolic < systolic <= high:
        return []
    return [
        Measured(start, match.end("systolic"), SYSTOLIC, Quantity(float(systolic), "mm[Hg]")),
        Measured(match.start("diastolic"), match.end(), DIASTOLIC, Quantity(float(diastolic), "mm[Hg]")),
    ]


@cache
def _age() -> re.Pattern[str]:
    return re.compile(
        r"(?<![\w.])(?P<n>\d{1,3})(?:[\s-]?(?:years?|yrs?)[\s-]?old|\s?[- ]?(?:y/o|yo|y\.o\.))(?!\w)"
        r"|(?<![\d.])(?P<zh>\d{1,3})\s?(?:周)?岁(?![时起后前开以])"
        r"|(?:\bage[sd]?:?\s|年龄[:：]?\s?)(?P<aged>\d{1,3})(?![\w.])(?!\s?[-–])",
        re.IGNORECASE,
    )


@cache
def _event() -> re.Pattern[str]:
    return re.compile(r"(?:at|by|from|since)\s\Z", re.IGNORECASE)


def find_ages(text: str, ranges: Ranges) -> list[Measured]:
    """Find the ages of people in folded text, not those at which something happened."""
    found = []
    for match in (match for low, high in ranges for match in _age().finditer(text, low, high)):
        value = int(match["n"] or match["zh"] or match["aged"])
        if 0 < value <= MAX_AGE and not _event().search(text[max(0, match.start() - 8) : match.start()]):
            found.append(Measured(match.start(), match.end(), AGE, Quantity(float(value), "a")))
    return found
