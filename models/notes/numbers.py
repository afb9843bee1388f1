"""Numbers as notes write them: folding of width, the grammar of one number, units, Chinese numerals.

Every pattern here is bounded, so that a text of digits costs no more than another.
"""

from __future__ import annotations

import re
from functools import cache

from models.notes.resources import read_rows
from models.notes.tokens import simplified

NUMBER = r"\d{1,6}(?:\.\d{1,4})?"
COMPARATOR = (
    r"[<>≤≥]=?|(?:less|smaller|lower|fewer|more|greater|larger|higher) than|at least|at most|up to|under|over|below|"
    r"above|小于|低于|不足|大于|超过|高于|不超过|至少|至多"
)
_SIGNS = {
    **dict.fromkeys(("<", "less than", "smaller than", "lower than", "fewer than", "under", "below"), "<"),
    **dict.fromkeys(("小于", "低于", "不足"), "<"),
    **dict.fromkeys((">", "more than", "greater than", "larger than", "higher than", "over", "above"), ">"),
    **dict.fromkeys(("大于", "超过", "高于"), ">"),
    **dict.fromkeys(("<=", "≤", "≤=", "up to", "at most", "不超过", "至多"), "<="),
    **dict.fromkeys((">=", "≥", "≥=", "at least", "至少"), ">="),
}
_DIGITS = {"零": 0, "一": 1, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9}
_WORDS = {
    "a": 1,
    "an": 1,
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "eleven": 11,
    "twelve": 12,
    "fifteen": 15,
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "thirteen": 13,
    "fourteen": 14,
    "sixteen": 16,
    "seventeen": 17,
    "eighteen": 18,
    "nineteen": 19,
}
WORD_NUMBER = "|".join(sorted(_WORDS, key=len, reverse=True))
CHINESE_NUMBER = "[一二两三四五六七八九]?十[一二三四五六七八九]?|[一二两三四五六七八九]"


@cache
def _width() -> dict[int, int]:
    """Full-width ASCII to its half-width twin, traditional characters to simplified ones, one for one."""
    return {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20} | dict(simplified())


def fold(text: str) -> str:
    """Fold full-width digits, letters and signs to ASCII, traditional characters to simplified; offsets stay."""
    return text if text.isascii() else text.translate(_width())


def whole(word: str) -> int:
    """Read a whole number in digits, in English words up to fifty or in Chinese numerals up to 99.

    Raises
    ------
    ValueError
        If ``word`` is none of these.
    """
    word = word.lower()
    if word in _WORDS:
        return _WORDS[word]
    if "十" in word:
        tens, _, ones = word.partition("十")
        return (_DIGITS[tens] if tens else 1) * 10 + (_DIGITS[ones] if ones else 0)
    return _DIGITS[word] if word in _DIGITS else int(word)


def sign(comparator: str | None) -> str:
    """Give the comparator of :class:`~models.facts.Quantity` for how a note writes it."""
    return _SIGNS.get(" ".join((comparator or "").lower().split()), "")


@cache
def _units() -> tuple[re.Pattern[str], dict[str, str]]:
    """Give the pattern of all spellings and the UCUM unit of each."""
    spelled: dict[str, str] = {}
    exact: dict[str, str] = {}
    for _, (ucum, spellings) in read_rows("units.tsv", 2):
        for spelling in filter(None, spellings.split("|")):
            (exact if spelling.startswith("=") else spelled)[fold(spelling.removeprefix("="))] = ucum
    parts = [re.escape(name).replace(r"\ ", r"\s?") for name in sorted(spelled, key=len, reverse=True)]
    ends = r"(?![A-Za-z0-9^*])"
    pattern = f"(?:(?i:{'|'.join(parts)})|{'|'.join(exact)}){ends}"
    return re.compile(pattern), {_squeeze(name): ucum for name, ucum in spelled.items()} | exact


def _squeeze(name: str) -> str:
    return "".join(name.casefold().split())


def read_unit(text: str, at: int) -> tuple[str, int] | None:
    """Read the unit that starts at ``at`` of folded text, spaces before it allowed: UCUM and where it ends."""
    pattern, names = _units()
    while at < len(text) and text[at] in " \t":
        at += 1
    match = pattern.match(text, at)
    if match is None:
        return None
    found = match.group()
    return names.get(found) or names[_squeeze(found)], match.end()
