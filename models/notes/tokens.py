"""Words, ideographs and punctuation of a text, with their offsets.

A run of letters and digits is one token; every CJK ideograph is a token of its own, so that a Chinese term is a phrase
of tokens like an English one and the same matcher serves both. Hyphens between word characters vanish ("follow-up" is
"follow up"); any other punctuation mark is a token.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

from models.notes.resources import read_rows

Span = tuple[int, int]  # tokens first to last (exclusive)

_IDEOGRAPHS = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_DASHES = "\\-\u2010-\u2013"
_VOCABULARY_CACHE = 1 << 16  # distinct tokens whose normal form is remembered; bounds memory on hostile input


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """The tokens of one text as parallel tuples.

    Parameters
    ----------
    starts, ends
        Character offsets.
    norms
        Compatibility-folded lower case without the possessive; what modifiers and headers are matched on.
    stems
        ``norms`` with the English plural folded; what concepts are matched on.
    """

    starts: tuple[int, ...]
    ends: tuple[int, ...]
    norms: tuple[str, ...]
    stems: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.starts)


@cache
def _pattern() -> re.Pattern[str]:
    word = f"[^\\W_{_IDEOGRAPHS}]+"
    return re.compile(
        f"[{_IDEOGRAPHS}]|{word}(?:['\u2019]{word})?|(?<!\\w)[{_DASHES}]|[{_DASHES}](?!\\w)|[^\\w\\s{_DASHES}]"
    )


@cache
def simplified() -> Mapping[int, int]:
    """Code points of traditional characters to those of the simplified ones that the lexicon is written in."""
    return {
        ord(traditional): ord(simple) for _, (simple, many) in read_rows("traditional.tsv", 2) for traditional in many
    }


@lru_cache(maxsize=_VOCABULARY_CACHE)
def normalise(surface: str) -> str:
    """Fold width, case and traditional characters, and drop a possessive ``'s``."""
    if not surface.isascii():
        surface = unicodedata.normalize("NFKC", surface).replace("\u2019", "'").translate(simplified())
    folded = surface.casefold()
    return folded[:-2] if folded.endswith("'s") and len(folded) > 2 else folded


@lru_cache(maxsize=_VOCABULARY_CACHE)
def stem(norm: str) -> str:
    """Fold singular and plural of an English word to one key, which need not be a word.

    "biopsies" and "biopsy" give "biopsy", "masses" and "mass" give "mass", "headaches" and "headache" give "headach",
    "metastases" and "metastasis" give "metastase".
    """
    if len(norm) <= 3 or not norm.isascii():
        return norm
    if norm.endswith("ies") and len(norm) > 4:
        return norm[:-3] + "y"
    if norm.endswith(("sses", "xes", "ches", "shes")):
        return norm[:-2]
    if norm.endswith(("xe", "che", "she")):
        return norm[:-1]
    if norm.endswith("sis"):
        return norm[:-2] + "e"
    return norm[:-1] if norm.endswith("s") and not norm.endswith(("ss", "us", "is")) else norm


def is_year(word: str) -> bool:
    """Whether a token is a year from 1900 to 2099."""
    return len(word) == 4 and word.isdecimal() and word.startswith(("19", "20"))


def tokenize(text: str) -> Tokens:
    """Split ``text`` into tokens, in linear time."""
    starts: list[int] = []
    ends: list[int] = []
    norms: list[str] = []
    for match in _pattern().finditer(text):
        starts.append(match.start())
        ends.append(match.end())
        norms.append(normalise(match.group()))
    return Tokens(tuple(starts), tuple(ends), tuple(norms), tuple(stem(norm) for norm in norms))


def token_span(tokens: Tokens, start: int, end: int) -> Span:
    """Give the half-open range of tokens that overlap ``start:end``; empty when the span holds none."""
    first = bisect_right(tokens.ends, start)
    return first, max(first, bisect_left(tokens.starts, end))
