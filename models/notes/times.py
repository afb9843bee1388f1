"""When something was: dates in the usual English and Chinese forms, and durations before the note was written.

Dates become ISO 8601 of the precision that the note gives, durations ISO 8601 with a minus sign (``-P3Y``). "For two
years" and "2年" behind a symptom give its onset, hence the same as "two years ago". What lies ahead ("in three
months", "3个月后") and what repeats ("every 3 months") is no time of a fact.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from models.notes.numbers import CHINESE_NUMBER, WORD_NUMBER, whole
from models.notes.windows import Ranges

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
FIRST_YEAR, LAST_YEAR = 1900, 2099
MAX_AGO = {"D": 3660, "W": 520, "M": 1200, "Y": 110}  # more is a misreading
_LONG_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?)\.?"
)
_YEAR = r"(?:19|20)\d\d"
_UNITS = {"day": "D", "week": "W", "wk": "W", "month": "M", "mo": "M", "year": "Y", "yr": "Y"}
_ZH_UNITS = {"天": "D", "日": "D", "周": "W", "星期": "W", "个月": "M", "月": "M", "年": "Y"}
_AND_A_HALF = "年半"
_LAST = {
    "yesterday": "-P1D",
    "昨日": "-P1D",
    "昨天": "-P1D",
    "last week": "-P1W",
    "上周": "-P1W",
    "last month": "-P1M",
    "上个月": "-P1M",
    "上月": "-P1M",
    "last year": "-P1Y",
    "去年": "-P1Y",
    "前年": "-P2Y",
    "半年前": "-P6M",
    "半年": "-P6M",
    "half a year ago": "-P6M",
}


@dataclass(frozen=True, slots=True)
class Moment:
    """A time at ``start:end`` of the text.

    Parameters
    ----------
    when
        As in :class:`~models.facts.NoteFact`.
    before
        Whether it is a duration without "ago": such a time belongs to what it follows.
    ahead
        Whether it belongs to what follows it: "a 3-year history of".
    chinese
        Whether it is written in Chinese, where times stand before what they tell of.
    """

    start: int
    end: int
    when: str
    before: bool = False
    ahead: bool = False
    chinese: bool = False


_Reader = Callable[[re.Match[str]], str]


@cache
def _forms() -> tuple[tuple[re.Pattern[str], _Reader, bool], ...]:
    """Give the patterns, the most exact first, with their readers; the flag is :attr:`Moment.before`."""
    day = r"(?P<d>\d{1,2})(?:st|nd|rd|th)?"
    n = rf"(?P<n>\d{{1,3}}|{WORD_NUMBER})\+?"
    unit = r"(?P<u>days?|weeks?|wks?|months?|mos?|years?|yrs?)"
    zn = rf"(?P<n>\d{{1,3}}|{CHINESE_NUMBER})"
    zu = r"(?P<u>个月|星期|年半|[年周天日])"
    dates = (
        rf"(?<![\d.])(?P<y>{_YEAR})([-/.])(?P<m>\d{{1,2}})\2(?P<d>\d{{1,2}})(?![\d])",
        rf"(?P<y>{_YEAR})\s?年\s?(?:(?P<m>\d{{1,2}})\s?月(?:\s?(?P<d>\d{{1,2}})\s?[日号])?|初|底|末)?",
        rf"(?<![\d/.])(?P<m>\d{{1,2}})/(?P<d>\d{{1,2}})/(?P<y>{_YEAR})(?!\d)",
        rf"\b(?P<month>{_LONG_MONTH})\s{day},?\s(?P<y>{_YEAR})\b",
        rf"\b{day}\s(?:of\s)?(?P<month>{_LONG_MONTH}),?\s(?P<y>{_YEAR})\b",
        rf"\b(?P<month>{_LONG_MONTH}),?\s?(?:of\s)?(?P<y>{_YEAR})\b",
        rf"(?<![\d/.-])(?P<m>\d{{1,2}})/(?P<y>{_YEAR})(?![\d/])",
        rf"(?<![\d/.-])(?P<y>{_YEAR})-(?P<m>0\d|1[0-2])(?![\d-])",
        rf"(?<![\w/.,:#-])(?P<y>{_YEAR})(?![\w%]|[/.:-]\d|\s?(?:m?g|mcg|ml|cc|mm|cm|kg|units?|k?cal(?:ories)?|cells|steps)\b)",
    )
    last = "|".join(sorted(_LAST, key=len, reverse=True))
    return (
        *((re.compile(form, re.IGNORECASE), _date, False) for form in dates),
        (
            re.compile(rf"(?<![\w.]){n}[\s-]?{unit}\s(?:ago|prior|earlier|previously|back)\b", re.IGNORECASE),
            _ago,
            False,
        ),
        (
            re.compile(rf"{zn}\s?[余多几]?\s?(?P<u>个月|星期|年半|[年周天日月])[余多]?(?:以前|之前|前)", re.IGNORECASE),
            _ago,
            False,
        ),
        (re.compile(rf"(?<![a-z])(?:{last})(?![a-z后])", re.IGNORECASE), _last, False),
        (
            re.compile(
                r"\b(?:for|over|during|in|within)\s(?:about |approximately |more than |at least |over )?"
                r"(?:the |this |his |her )?(?:past|last|previous|preceding)\s"
                rf"(?:(?P<n>\d{{1,3}}|{WORD_NUMBER})\s)?{unit}\b",
                re.IGNORECASE,
            ),
            _ago,
            True,
        ),
        (
            re.compile(
                r"\b(?:for|over|x|×)\s?(?:about |approximately |almost |nearly |more than |over |at least )?"
                rf"{n}[\s-]?{unit}\b",
                re.IGNORECASE,
            ),
            _ago,
            True,
        ),
        (re.compile(rf"(?<![\w.]){n}[\s-]{unit}['’]?s?\s(?:history|hx)\b", re.IGNORECASE), _ago, False),
        (re.compile(rf"(?<![\d每.第后]){zn}\s?[余多]?\s?{zu}[余多]?(?![后龄\d]|以后|之后)", re.IGNORECASE), _ago, True),
    )


def _date(match: re.Match[str]) -> str:
    groups = match.groupdict()
    year = int(groups["y"])
    month = int(groups["m"]) if groups.get("m") else _month(groups.get("month"))
    day = int(groups["d"]) if groups.get("d") else 0
    if month > 12 >= day > 0 and "/" in match.group():
        month, day = day, month  # day first
    if not FIRST_YEAR <= year <= LAST_YEAR or month > 12 or day > 31:
        return ""
    if not month:
        return f"{year}"
    return f"{year}-{month:02d}-{day:02d}" if day else f"{year}-{month:02d}"


def _month(name: str | None) -> int:
    return MONTHS.index(name[:3].lower()) + 1 if name else 0


def _ago(match: re.Match[str]) -> str:
    number = whole(match["n"]) if match["n"] else 1
    spelled = match["u"].lower()
    if spelled == _AND_A_HALF:
        return f"-P{12 * number + 6}M" if 0 < number <= MAX_AGO["Y"] else ""
    unit = _ZH_UNITS.get(spelled) or _UNITS[spelled.rstrip("s")]
    return f"-P{number}{unit}" if 0 < number <= MAX_AGO[unit] else ""


def _last(match: re.Match[str]) -> str:
    return _LAST[match.group().lower()]


def _moment(match: re.Match[str], when: str, before: bool) -> Moment:
    words = match.group()
    ahead = words.lower().endswith(("history", "hx"))
    chinese = not (words + match.string[match.end() : match.end() + 1]).isascii()
    return Moment(match.start(), match.end(), when, before, ahead, chinese)


def find_moments(text: str, ranges: Ranges) -> list[Moment]:
    """Find the times that folded text gives, ascending and without overlap; of two the one that starts first counts."""
    found = [
        _moment(match, when, before)
        for pattern, read, before in _forms()
        for low, high in ranges
        for match in pattern.finditer(text, low, high)
        if (when := read(match))
    ]
    found.sort(key=lambda moment: (moment.start, -moment.end))
    kept: list[Moment] = []
    for moment in found:
        if not kept or moment.start >= kept[-1].end:
            kept.append(moment)
    return kept
