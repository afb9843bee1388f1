"""Which language a note is in: English or Chinese.

The rule is a count, since the two scripts do not overlap: a note is Chinese when at least :data:`CHINESE_SHARE` of its
letters are CJK ideographs. Chinese notes are full of Latin abbreviations (MRI, EEG), English ones hold at most a name
in ideographs, so the share lies well below one half. It labels the note only: the matcher knows the terms of both
languages at once, because one note may use both. Other languages are taken for one of the two by their script.
"""

from __future__ import annotations

import re
from functools import cache

CHINESE_SHARE = 0.2  # share of ideographs among letters from which a note counts as Chinese
UNDETERMINED = "und"  # BCP 47: no letters to judge by


@cache
def _ideograph() -> re.Pattern[str]:
    return re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")


@cache
def _letter() -> re.Pattern[str]:
    return re.compile(r"[^\W\d_]+")


def detect(text: str) -> str:
    """Give ``"zh"``, ``"en"``, or ``"und"`` for a text without letters."""
    letters = sum(match.end() - match.start() for match in _letter().finditer(text))
    if not letters:
        return UNDETERMINED
    ideographs = sum(match.end() - match.start() for match in _ideograph().finditer(text))
    return "zh" if ideographs >= CHINESE_SHARE * letters else "en"
