"""One note that was read: its facts, and how it states any span.

Asserting the facts and asserting an arbitrary span go through the same sentences, so that the two always agree.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

from models.facts import Assertion, FactKind, NoteFact
from models.notes.assertion import assert_concepts
from models.notes.attributes import QUITTER, SMOKER
from models.notes.concepts import Mention
from models.notes.measurements import AGE
from models.notes.reading import Line, read_lines
from models.notes.sections import Section, find_sections
from models.notes.sentences import Sentence
from models.notes.sides import side_of
from models.notes.tokens import Span, Tokens, tokenize

_SIDED = frozenset({FactKind.PROBLEM, FactKind.SYMPTOM, FactKind.PROCEDURE})
_ONCE = frozenset({"was", "were", "been", "previously", "formerly", "while", "initially"})
_SIDED_ATTRIBUTES = ("LOBE-", "LINGULA")


class Document:
    """A note that was read.

    Parameters
    ----------
    text
        The note; every other member speaks of its characters or tokens.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: Tokens = tokenize(text)
        self.sections: tuple[Section, ...] = find_sections(text, self.tokens)
        self.lines: tuple[Line, ...] = tuple(read_lines(text, self.tokens, self.sections))

    @cached_property
    def facts(self) -> tuple[NoteFact, ...]:
        """All facts, in text order."""
        return tuple(fact for line in self.lines if line.mentions for fact in self._facts(line))

    def assert_tokens(self, span: Span) -> Assertion:
        """Say how the note states the tokens ``span``, whether a concept is there or not."""
        line = self._line(span[0])
        if line is None:
            return Assertion()
        own = [(mention.first, mention.last) for mention in line.mentions]
        if span in own:
            return self._assertions(line)[own.index(span)]
        spans = sorted([*(other for other in own if other[1] <= span[0] or other[0] >= span[1]), span])
        sentence = line.sentence
        if span[0] < sentence.first:
            sentence = Sentence(span[0], sentence.last)
        return self._asserted(line, sentence, spans)[spans.index(span)]

    def _line(self, token: int) -> Line | None:
        """Give the sentence that holds a token, or the first one behind the heading that holds it."""
        at = bisect_right(self._lasts, token)
        return self.lines[at] if at < len(self.lines) else None

    @cached_property
    def _lasts(self) -> list[int]:
        return [line.sentence.last for line in self.lines]

    def _asserted(self, line: Line, sentence: Sentence, spans: list[Span]) -> list[Assertion]:
        found = assert_concepts(self.tokens, sentence, spans, line.default)
        if line.section.denies_past:
            return [replace(said, historical=said.historical or said.negated) for said in found]
        return found

    def _assertions(self, line: Line) -> list[Assertion]:
        spans = [(mention.first, mention.last) for mention in line.mentions]
        found = self._asserted(line, line.sentence, spans)
        quit_smoking = any(
            mention.concept.code.value == QUITTER and not (said.negated or said.hypothetical)
            for mention, said in zip(line.mentions, found, strict=True)
        )
        return [
            _settled(mention, said, at in line.former, quit_smoking, self._taken_now(line, at))
            for at, (mention, said) in enumerate(zip(line.mentions, found, strict=True))
        ]

    def _taken_now(self, line: Line, at: int) -> bool:
        """Whether a drug is one that somebody is on, without a time of its own: "h/o fibrillation, on warfarin"."""
        mention, norms = line.mentions[at], self.tokens.norms
        if mention.concept.kind is not FactKind.MEDICATION or at in line.times or line.section.default.historical:
            return False
        first = mention.first
        before = norms[first - 2] if first - 2 >= line.sentence.first else ""
        return first > line.sentence.first and norms[first - 1] == "on" and before not in _ONCE

    def _facts(self, line: Line) -> Iterator[NoteFact]:
        tokens, norms = self.tokens, self.tokens.norms
        busy = {
            token
            for mention in line.mentions
            if mention.concept.kind is not FactKind.ATTRIBUTE
            for token in range(mention.first, mention.last)
        }
        bounds = line.sentence.first, line.sentence.last
        for at, (mention, said) in enumerate(zip(line.mentions, self._assertions(line), strict=True)):
            start, end = tokens.starts[mention.first], tokens.ends[mention.last - 1]
            concept = mention.concept
            side = ""
            if concept.kind in _SIDED or concept.code.value.startswith(_SIDED_ATTRIBUTES):
                side = side_of(norms, *bounds, mention.first, mention.last, busy.__contains__)
            yield NoteFact(
                concept.kind,
                concept.code,
                self.text[start:end],
                start,
                end,
                line.section.name,
                said,
                mention.quantity,
                line.times.get(at, ""),
                side,
            )


def _settled(mention: Mention, said: Assertion, former: bool, quit_smoking: bool, taken: bool) -> Assertion:
    """Correct what words around cannot tell: an age is of now; a size "from 6 mm" and a habit that ended are past."""
    if taken:
        return replace(said, historical=False)
    if mention.concept is AGE:
        return Assertion(experiencer=said.experiencer)
    code = mention.concept.code.value
    if former or (quit_smoking and code == SMOKER) or (code == QUITTER and not said.hypothetical):
        return replace(said, historical=True)
    return said
