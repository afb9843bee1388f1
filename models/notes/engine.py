"""The engine interface, and the default engine that puts the steps together."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Protocol

from models.facts import Assertion, NoteAnalysis
from models.notes.document import Document
from models.notes.language import detect
from models.notes.tokens import token_span

VERSION = "2.1"
_DOCUMENTS = 8  # notes kept as they were read, so that asking for many spans of one reads it once
_LONG = 50_000  # characters; of longer notes only the last is kept, which bounds memory


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
        document = _read(text)
        bounds = tuple((section.name, section.start, section.end) for section in document.sections)
        return NoteAnalysis(detect(text), document.facts, bounds, self.name, self.version)

    def assert_span(self, text: str, start: int, end: int) -> Assertion:
        """Say how the note states ``text[start:end]``; modifiers inside the span are part of the concept."""
        if not 0 <= start < end <= len(text):
            raise ValueError(f"span {start}:{end} is not within a text of {len(text)} characters")
        document = _read(text)
        return document.assert_tokens(token_span(document.tokens, start, end))


def _read(text: str) -> Document:
    return _read_short(text) if len(text) <= _LONG else _read_long(text)


@lru_cache(maxsize=_DOCUMENTS)
def _read_short(text: str) -> Document:
    return Document(text)


@lru_cache(maxsize=1)
def _read_long(text: str) -> Document:
    return Document(text)


@cache
def default_engine() -> NoteEngine:
    """Give the engine that :func:`models.notes.analyze` uses."""
    return RuleEngine()
