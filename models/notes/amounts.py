"""Amounts that belong to a concept: sizes in millimetres, and pack-years of smoking.

A size of several dimensions counts by its largest. One pack-year is twenty cigarettes a day for a year.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from models.facts import Quantity
from models.notes.numbers import CHINESE_NUMBER, COMPARATOR, NUMBER, WORD_NUMBER, sign, whole
from models.notes.windows import Ranges

PACK_YEARS = "{pack}.a"  # UCUM
CIGARETTES_PER_PACK = 20
MAX_PACK_YEARS = 400.0  # more is a misreading
MAX_SIZE_MM = 500.0  # more is a misreading
_LENGTH = r"mm|millimet(?:er|re)s?|cm|centimet(?:er|re)s?|毫米|厘米|公分"
_HALF = {"half": 0.5, "半": 0.5, "1/2": 0.5, "1-1/2": 1.5, "one and a half": 1.5}


@dataclass(frozen=True, slots=True)
class Amount:
    """A quantity at ``start:end`` of the text; ``former`` where the text says that it was so before."""

    start: int
    end: int
    quantity: Quantity
    former: bool = False


@cache
def _formerly() -> re.Pattern[str]:
    return re.compile(
        r"(?:previously|formerly|from|prior|originally|原为?|由|从|此前|之前)[\s:：]?(?:about |约)?\Z", re.IGNORECASE
    )


@cache
def _subcentimetre() -> re.Pattern[str]:
    return re.compile(r"\bsub-?centimet(?:er|re)\b|亚厘米", re.IGNORECASE)


def find_sizes(text: str, ranges: Ranges) -> list[Amount]:
    """Find lengths in millimetres and centimetres in folded text, ascending; slice thicknesses are no sizes."""
    found: list[Amount] = []
    for low, high in ranges:
        sizes = (_read_size(text, match) for match in _numbered_size().finditer(text, low, high))
        found.extend(size for size in sizes if size is not None)
        small = _subcentimetre().finditer(text, low, high)
        found.extend(Amount(match.start(), match.end(), Quantity(10.0, "mm", None, "<")) for match in small)
    return sorted(found, key=lambda amount: amount.start)


@cache
def _numbered_size() -> re.Pattern[str]:
    dimension = rf"(?:\s?(?:{_LENGTH})?\s?(?:[x×*]|by)\s?{NUMBER})"
    return re.compile(
        rf"(?<![A-Za-z0-9_./])(?<!\d,)(?P<first>{NUMBER})(?:\s?(?:-|–|~|to|至|到)\s?(?P<upper>{NUMBER}))?(?P<more>{dimension}{{0,2}})"
        rf"[\s-]?(?P<unit>{_LENGTH})(?![A-Za-z0-9/³²^]|\s?Hg|\s?H2O)(?!\s?(?:thick\s(?:slice|section|cut)|slice|section|increment|collimation))",
        re.IGNORECASE,
    )


@cache
def _before() -> re.Pattern[str]:
    return re.compile(rf"(?:{COMPARATOR})\s?\Z", re.IGNORECASE)


@cache
def _number() -> re.Pattern[str]:
    return re.compile(NUMBER)


def _read_size(text: str, match: re.Match[str]) -> Amount | None:
    lead = text[max(0, match.start() - 16) : match.start()]
    if lead.rstrip().endswith(("层厚", "thickness of", "thickness", "间隔")):
        return None
    factor = 10.0 if match["unit"].lower().startswith(("c", "厘", "公")) else 1.0
    values = [float(match["first"]), *(float(number) for number in _number().findall(match["more"]))]
    value = max(values) * factor
    upper = None if match["upper"] is None or match["more"] else float(match["upper"]) * factor
    if not 0 < value <= MAX_SIZE_MM or (upper is not None and upper <= value):
        return None
    former = _formerly().search(lead) is not None
    if former and upper is not None:
        value, upper, former = upper, None, False  # "from 6 to 9 mm" is 9 mm
    comparator = _before().search(lead)
    start = match.start() - (len(comparator.group()) if comparator else 0)
    quantity = Quantity(
        round(value, 2), "mm", None if upper is None else round(upper, 2), sign(comparator and comparator.group())
    )
    return Amount(start, match.end(), quantity, former)


@cache
def _smoking() -> tuple[re.Pattern[str], ...]:
    """Give the ways of writing pack-years: as such, or packs (``p``) or cigarettes (``c``) a day and years (``y``)."""
    count = r"\d{1,3}(?:\.\d{1,2})?"
    packs = rf"(?P<p>{count}|1/2|1-1/2|half|one and a half|one|two|three)"
    per_day = r"(?:\s?/\s?|\s(?:per|a|each|every)\s)d(?:ay)?"
    daily = rf"(?:\s?ppd|(?:\s?a)?\s?packs?(?:\s?of\s?cigarettes)?{per_day}|\s?packs?\sdaily)"
    smoked = rf"(?P<c>{count})\s?cigarettes?(?:\s?/\s?|\s(?:per|a|each)\s)day"
    rate = rf"(?:(?:about|approximately|averaging|an average of)\s)?(?:{packs}{daily}|{smoked})"
    years = (
        rf"(?:about |over |approximately |the past |the last )?(?P<y>\d{{1,2}}|{WORD_NUMBER})\+?[\s-]?(?:years?|yrs?)"
    )
    zh_years = rf"(?P<y>\d{{1,2}}|{CHINESE_NUMBER})\s?[余多]?年"
    zh_amount = rf"约?(?:(?P<p>{count}|半|一|两)\s?包|(?P<c>{count})\s?[支根])"
    zh_rates = (rf"(?:平均|约)?(?:每日|每天|日均)(?:吸烟|吸|抽)?{zh_amount}", rf"{zh_amount}\s?(?:/\s?|每)[日天]")
    gap = r"[\s,，、;；]{0,2}"
    return tuple(
        re.compile(pattern, re.IGNORECASE)
        for pattern in (
            rf"(?<![\w.])(?P<total>{count})\+?[\s-]?(?:pack[\s-]?years?|pk[\s-]?yrs?|py\b|包[\s·/]?年)",
            rf"(?<![\w./]){rate}{gap}(?:x|×|for|\*)\s?{years}",
            rf"(?<!\w){years}{gap}(?:of|at|,)?\s?{rate}",
            *(rf"{zh_years}{gap}{zh_rate}" for zh_rate in zh_rates),
            *(rf"{zh_rate}{gap}(?:已|共)?(?:吸烟|吸|抽烟)?{zh_years}" for zh_rate in zh_rates),
        )
    )


def find_pack_years(text: str, ranges: Ranges) -> list[Amount]:
    """Find pack-years in folded text, ascending and without overlap, given or as a rate times years."""
    found = [Amount(m.start(), m.end(), quantity) for low, high in ranges for m, quantity in _smoked(text, low, high)]
    found.sort(key=lambda amount: (amount.start, -amount.end))
    kept: list[Amount] = []
    for amount in found:
        if not kept or amount.start >= kept[-1].end:
            kept.append(amount)
    return kept


def _smoked(text: str, low: int, high: int) -> Iterator[tuple[re.Match[str], Quantity]]:
    for pattern in _smoking():
        for match in pattern.finditer(text, low, high):
            value = _pack_years(match.groupdict())
            if 0 < value <= MAX_PACK_YEARS:
                yield match, Quantity(round(float(value), 1), PACK_YEARS)


def _pack_years(groups: dict[str, str | None]) -> float:
    if total := groups.get("total"):
        return float(total)
    years = whole(groups.get("y") or "")
    if cigarettes := groups.get("c"):
        return float(cigarettes) / CIGARETTES_PER_PACK * years
    packs = (groups.get("p") or "").lower()
    if packs in _HALF:
        return _HALF[packs] * years
    return (float(packs) if packs[0].isdigit() else whole(packs)) * years
