"""Longest match of many phrases over tokens, in time linear in the text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class _Node(Generic[T]):
    """A state of the trie: where the next token leads, and what ends here."""

    __slots__ = ("next", "value")

    def __init__(self) -> None:
        self.next: dict[str, _Node[T]] = {}
        self.value: T | None = None


class PhraseTrie(Generic[T]):
    """A trie over token sequences.

    Parameters
    ----------
    phrases
        Pairs of a token sequence and its value. A repeated sequence keeps the first value.
    """

    def __init__(self, phrases: Iterable[tuple[Sequence[str], T]]) -> None:
        self._root: _Node[T] = _Node()
        for tokens, value in phrases:
            node = self._root
            for token in tokens:
                node = node.next.setdefault(token, _Node())
            if tokens and node.value is None:
                node.value = value

    def longest(self, words: Sequence[str], at: int, stop: int) -> tuple[int, T] | None:
        """Give the end (exclusive) and value of the longest phrase that starts at ``words[at]``, or None."""
        node = self._root.next.get(words[at])
        best: tuple[int, T] | None = None
        while node is not None:
            at += 1
            if node.value is not None:
                best = at, node.value
            node = node.next.get(words[at]) if at < stop else None
        return best

    def scan(self, words: Sequence[str], start: int = 0, stop: int | None = None) -> Iterator[tuple[int, int, T]]:
        """Yield ``(first, end, value)`` of leftmost longest matches that do not overlap."""
        stop = len(words) if stop is None else stop
        first_words = self._root.next
        at = start
        while at < stop:
            if words[at] in first_words and (found := self.longest(words, at, stop)) is not None:
                yield at, found[0], found[1]
                at = found[0]
            else:
                at += 1
