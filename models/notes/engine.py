"""The engine interface, and the default engine that puts the steps together."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from functools import cache
from typing import Protocol

from models.facts import Assertion, NoteAnalysis, NoteFact
from models.notes.assertion import assert_concepts
from models.notes.concepts import Mention, find_mentions
from models.notes.language import detect
from models.notes.sections import Section, find_sections
from models.notes.sentences import split_sentences
from models.notes.tokens import Tokens, tokenize

VERSION = "1.0"


class NoteEngine(Protocol):
    """What reads notes. An engine is deterministic and raises nothing on any Unicode text."""

    @property
    def name(self) -> str:
        """Stable name, recorded with every analysis."""
        ...

    @property
    def version(self) -> str:
        """Version of rules and lexicon, recorded with every analysis."""
        ...

    def analyze(self, text: str) -> NoteAnalysis:
        """Find all facts of a note."""
        ...

    def assert_span(self, text: str, start: int, end: int) -> Assertion:
        """Say how the note states ``text[start:end]``."""
        ...


class RuleEngine:
    """Lexicons and ConText rules (Harkema et al., J Biomed Inform 2009;42:839), readable and without training."""

    name = "overread-rules"
    version = VERSION

    def analyze(self, text: str) -> NoteAnalysis:
        """Find all facts of a note, in text order."""
        tokens = tokenize(text)
        sections = find_sections(text, tokens)
        mentions = find_mentions(text, tokens)
        facts = _facts(text, tokens, sections, mentions)
        bounds = tuple((section.name, section.start, section.end) for section in sections)
        return NoteAnalysis(detect(text), facts, bounds, self.name, self.version)

    def assert_span(self, text: str, start: int, end: int) -> Assertion:
        """Say how the note states ``text[start:end]``; modifiers inside the span are part of the concept."""
        if not 0 <= start < end <= len(text):
            raise ValueError(f"span {start}:{end} is not within a text of {len(text)} characters")
        tokens = tokenize(text)
        sections = find_sections(text, tokens)
        target = _token_range(tokens, start, end)
        others = [
            (mention.first, mention.last)
            for mention in find_mentions(text, tokens)
            if mention.last <= target[0] or mention.first >= target[1]
        ]
        spans = sorted([*others, target])
        assertions = _assert_all(text, tokens, sections, spans)
        return assertions[spans.index(target)]


def _token_range(tokens: Tokens, start: int, end: int) -> tuple[int, int]:
    """Give the half-open range of tokens that overlap ``start:end``; empty when the span holds none."""
    first = bisect_right(tokens.ends, start)
    return first, max(first, bisect_left(tokens.starts, end))


def _facts(
    text: str, tokens: Tokens, sections: tuple[Section, ...], mentions: tuple[Mention, ...]
) -> tuple[NoteFact, ...]:
    spans = [(mention.first, mention.last) for mention in mentions]
    assertions = _assert_all(text, tokens, sections, spans)
    starts = [section.start for section in sections]
    facts = []
    for mention, assertion in zip(mentions, assertions, strict=True):
        start, end = tokens.starts[mention.first], tokens.ends[mention.last - 1]
        section = sections[bisect_right(starts, start) - 1]
        concept = mention.concept
        facts.append(NoteFact(concept.kind, concept.code, text[start:end], start, end, section.name, assertion))
    return tuple(facts)


def _assert_all(
    text: str, tokens: Tokens, sections: tuple[Section, ...], spans: list[tuple[int, int]]
) -> list[Assertion]:
    """Assert sorted, disjoint token spans, section by section and sentence by sentence."""
    result: list[Assertion] = []
    at = 0
    for section in sections:
        for sentence in split_sentences(text, tokens, section.body, section.end):
            inside = []
            while at < len(spans) and spans[at][0] < sentence.last:
                inside.append(spans[at])
                at += 1
            if inside:
                result.extend(assert_concepts(tokens, sentence, inside, section.default))
    result.extend(Assertion() for _ in spans[at:])
    return result


@cache
def default_engine() -> NoteEngine:
    """Give the engine that :func:`models.notes.analyze` uses."""
    return RuleEngine()
