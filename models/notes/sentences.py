"""Sentences of a section, as ranges of tokens.

A sentence ends at ``. ! ?`` before white space, at ``。！？；``, at a line break that is not a mere wrap, and before an
inline list number. Abbreviations, decimals, list numbers ("1. ") and a leading question mark ("? stroke") do not end
it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from models.notes.resources import read_rows
from models.notes.tokens import Tokens

MAX_TOKENS = 160  # a longer "sentence" is cut here: no writer means it as one, and it keeps the work linear
WRAP_COLUMNS = 60  # a line this long that ends without punctuation was wrapped, not ended
_OPEN_ENDS = (",", "，", "、", "/", "(", "（")
_OPEN_WORDS = frozenset(
    {"a", "an", "and", "any", "as", "at", "by", "for", "from", "in", "is", "no", "not", "of", "on", "or", "other"}
    | {"than", "that", "the", "to", "was", "were", "with", "without"}
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """Tokens ``first`` to ``last`` (exclusive)."""

    first: int
    last: int


@cache
def _abbreviations() -> frozenset[str]:
    return frozenset(cells[0] for _, cells in read_rows("abbreviations.txt", 1))


@cache
def _candidate() -> re.Pattern[str]:
    return re.compile(r"[.!?]+[\"')\]]*(?=\s|\Z)|[。！？；]|\n|(?<=\s)\d{1,2}[.)](?=\s+[^\W\d_])")


@cache
def _bullet() -> re.Pattern[str]:
    return re.compile(r"[ \t]*(?:[-*•·●+]\s|\(?\d{1,2}[.)、]|[a-zA-Z][.)]\s)")


def split_sentences(text: str, tokens: Tokens, start: int, end: int) -> Iterator[Sentence]:
    """Yield the sentences of ``text[start:end]``, covering its tokens in order."""
    at = bisect_left(tokens.starts, start)
    for cut in [*_cuts(text, start, end), end]:
        last = bisect_left(tokens.starts, cut)
        while at < last:
            step = min(last, at + MAX_TOKENS)
            yield Sentence(at, step)
            at = step


def _cuts(text: str, start: int, end: int) -> Iterator[int]:
    """Yield the offsets at which a sentence ends, ascending."""
    begin = start
    for match in _candidate().finditer(text, start, end):
        cut = _cut(text, match, begin, end)
        if cut is not None:
            yield cut
            begin = cut


def _cut(text: str, match: re.Match[str], begin: int, end: int) -> int | None:
    mark = match.group()
    if mark == "\n":
        return match.end() if _line_ends(text, match.start(), end) else None
    if mark[0].isdigit():
        return match.start()
    if mark[0] == "." and _is_abbreviation(text, match.start(), begin):
        return None
    if mark[0] == "?" and (match.start() == begin or text[match.start() - 1].isspace()):
        return None
    return match.end()


def _is_abbreviation(text: str, dot: int, begin: int) -> bool:
    """Whether the period at ``dot`` belongs to an abbreviation or to a list number at the start of the sentence."""
    words = text[max(begin, dot - 12) : dot].split()
    if not words:
        return False
    if words[-1].isdigit():
        return len(words) == 1 and len(words[0]) <= 2
    return words[-1].casefold().lstrip("(") in _abbreviations()


def _line_ends(text: str, newline: int, end: int) -> bool:
    """Whether the line break at ``newline`` ends a sentence rather than wraps it."""
    line_start = text.rfind("\n", max(0, newline - 4 * WRAP_COLUMNS), newline) + 1
    line = text[max(line_start, newline - 4 * WRAP_COLUMNS) : newline].rstrip()
    following = text[newline + 1 : min(end, newline + 40)]
    ahead = following.lstrip(" \t")
    if not line or not ahead or ahead[0] in "\r\n" or _bullet().match(following):
        return True
    if line.endswith(_OPEN_ENDS) or line.split()[-1].casefold() in _OPEN_WORDS:
        return False
    return not (ahead[0].islower() or len(line) >= WRAP_COLUMNS)
