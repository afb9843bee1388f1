"""Whether two names can be one person's, whatever the habits of those who typed them. Pure.

Names are DICOM PN (PS3.5 section 6.2.1): component groups, alphabetic, ideographic and phonetic, parted by ``=``; in
each family, given and middle name, prefix and suffix, parted by ``^``.
"""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum

_MARKS = re.compile(r"[\W_]+")
_IDEOGRAPH = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U000323af]")
_HAN = "CJK"
"""Script of Chinese characters, as Unicode names it."""
_UMLAUTS = re.compile("(?<=[aou])e")
_LETTERS = str.maketrans({"ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"})
NAMES_MAX = 40
"""Most words of a name that are compared."""


class Likeness(StrEnum):
    """How alike two names are."""

    SAME = "same"  # but for case, accents, hyphens, order, middle names
    SPELLING = "spelling"  # some of it agrees, or they are in scripts that cannot be compared
    OTHER = "other"  # nothing agrees


def compare(one: str, other: str) -> Likeness:
    """Compare two names by what any of their component groups have in common.

    One name may lack what the other has (a middle name, a second family name), give initials, have accents or not (also
    as in ``ue`` for ``ü``), part words by hyphens, blanks or not at all, and have family and given name the other way
    round. Prefix and suffix do not count. Names without letters, and groups of different scripts, are not compared.
    Where both have Chinese characters these alone decide: many names are written alike in Latin letters.
    """
    pairs = [(a, b) for a in _groups(one) for b in _groups(other) if _script(a) == _script(b)]
    if not pairs:
        return Likeness.SPELLING if one.strip("^= ") and other.strip("^= ") else Likeness.SAME
    written = [pair for pair in pairs if _script(pair[0]) == _HAN]
    return min((_likeness(a, b) for a, b in written or pairs), key=list(Likeness).index)


def _likeness(one: list[str], other: list[str]) -> Likeness:
    if "".join(one) == "".join(other) or sorted(one) == sorted(other):
        return Likeness.SAME
    if _script(one) != _HAN and (_within(one, other) or _within(other, one)):
        return Likeness.SAME
    return Likeness.SPELLING if set(one) & set(other) else Likeness.OTHER


def _within(one: list[str], other: list[str]) -> bool:
    """Whether a name of two words or more has nothing that the other lacks, initials aside."""
    common = set(one) & set(other)
    initials = [word for word in set(one) - common if any(_initial(word, longer) for longer in set(other) - common)]
    return len(set(one)) > 1 and bool(common) and len(common) + len(initials) == len(set(one))


def _initial(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return len(short) == 1 and long.startswith(short)


def _groups(name: str) -> list[list[str]]:
    """Return the words of each component group that has some, family name first."""
    found = []
    for group in name.split("=")[:3]:
        words = [word for component in group.split("^")[:3] for word in _words(component)]
        if any(char.isalpha() for word in words for char in word):
            found.append(words[:NAMES_MAX])
    return found


def _words(component: str) -> list[str]:
    folded = unicodedata.normalize("NFKD", component.casefold()).translate(_LETTERS)
    plain = "".join(char for char in folded if not unicodedata.combining(char))
    parted = _IDEOGRAPH.sub(r" \g<0> ", _MARKS.sub(" ", plain))  # 王伟 and 王^伟 are the same characters
    return [_UMLAUTS.sub("", word) for word in parted.split()]


def _script(words: list[str]) -> str:
    """Return the script of the first letter, as Unicode names it."""
    letter = next(char for word in words for char in word if char.isalpha())
    return unicodedata.name(letter, "").split(" ", 1)[0].split("-", 1)[0]
