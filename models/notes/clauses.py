"""Where brackets close and where a Chinese enumeration by commas ends, within one sentence.

Everything is found in one pass over the sentence, so that asking costs little however many modifiers ask.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise

from models.notes.modifiers import Commas

_COMMAS = frozenset({"，", ","})
_ITEM_ENDS = frozenset(
    {
        "，",
        ",",
        "、",
        "。",
        "；",
        ";",
        ".",
        "！",
        "？",
        "?",
        "(",
        "（",
        ")",
        "）",
        "/",
        "及",
        "和",
        "或",
        "等",
        "史",
        "病",
        "$",
    }
)
_OPENING = frozenset("([{（【")
_CLOSING = frozenset(")]}）】")
_ITEM_LENGTH = 7  # tokens of the longest thing that counts as a bare item of a Chinese list
_ITEM_LEAD = 2  # tokens between the comma and the concept of a bare item ("及", "或", "左侧")


class Clauses:
    """The structure of one sentence.

    Parameters
    ----------
    words
        Its normalised tokens, the last being the end mark.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self.length = len(words)

    def bracket_end(self, at: int) -> int:
        """Give the bracket that closes around token ``at``, or the sentence's end."""
        return self._brackets[at] if self._brackets else self.length

    def scope_end(self, at: int, commas: Commas) -> int:
        """Give the comma that ends a scope which starts at ``at``, or the sentence's end."""
        if commas is Commas.IGNORE:
            return self.length
        candidates = self._commas if commas is Commas.CLAUSE else self._breaks
        position = bisect_left(candidates, at)
        return candidates[position] if position < len(candidates) else self.length

    def scope_start(self, at: int, commas: Commas) -> int:
        """Give the token behind the last comma before ``at``, where commas end the scope; else 0."""
        position = bisect_left(self._commas, at) - 1
        return 0 if commas is Commas.IGNORE or position < 0 else self._commas[position] + 1

    def lists(self, start: int, first: int, last: int) -> bool:
        """Whether the concept ``first:last`` follows ``start`` without a comma, or as a bare item behind one."""
        position = bisect_left(self._commas, first) - 1
        if position < 0 or self._commas[position] < start:
            return True
        lead = first - self._commas[position] - 1
        return lead <= _ITEM_LEAD and (last >= self.length or self._words[last] in _ITEM_ENDS)

    @cached_property
    def _brackets(self) -> list[int] | None:
        if not any(word in _CLOSING for word in self._words):
            return None
        ends = [self.length] * (self.length + 1)
        closers: list[int] = []
        for at in range(self.length - 1, -1, -1):
            word = self._words[at]
            if word in _CLOSING:
                closers.append(at)
            elif word in _OPENING and closers:
                closers.pop()
            ends[at] = closers[-1] if closers else self.length
        return ends

    @cached_property
    def _commas(self) -> list[int]:
        return [at for at, word in enumerate(self._words) if word in _COMMAS]

    @cached_property
    def _breaks(self) -> list[int]:
        return [
            left
            for left, right in pairwise([*self._commas, self.length])
            if any(word.isdigit() for word in self._words[left:right]) or not self._is_bare(left, right)
        ]

    def _is_bare(self, left: int, right: int) -> bool:
        """Whether the items between two commas are short each."""
        length = 0
        for at in range(left + 1, right):
            length = 0 if self._words[at] in _ITEM_ENDS else length + 1
            if length > _ITEM_LENGTH:
                return False
        return True
