"""Where the sentences of a note lie, by character, with what their section says of them: for engines that learn."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from models.facts import Assertion
from models.notes.sections import find_sections
from models.notes.sentences import split_sentences
from models.notes.tokens import tokenize


@dataclass(frozen=True, slots=True)
class SentenceSpan:
    """``text[start:end]`` and the assertion that its section gives to every statement."""

    start: int
    end: int
    default: Assertion


class Sentences:
    """The sentences of one text, cut by the rules of :mod:`models.notes.sentences`."""

    def __init__(self, text: str) -> None:
        self.text = text
        tokens = tokenize(text)
        self._spans = [
            SentenceSpan(tokens.starts[sentence.first], tokens.ends[sentence.last - 1], section.default)
            for section in find_sections(text, tokens)
            for sentence in split_sentences(text, tokens, section.body, section.end)
            if sentence.last > sentence.first
        ]
        self._starts = [span.start for span in self._spans]

    def around(self, start: int, end: int) -> SentenceSpan:
        """Give the sentence that holds ``start``, widened where the span runs over its ends."""
        at = bisect_right(self._starts, start) - 1
        if at < 0 or self._spans[at].end <= start:
            return SentenceSpan(start, end, Assertion())
        span = self._spans[at]
        return SentenceSpan(min(span.start, start), max(span.end, end), span.default)
