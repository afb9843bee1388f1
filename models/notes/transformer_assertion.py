"""How a concept is stated, by a sequence classifier that sees its sentence with the concept marked.

The model is multi-label: each property has a probability of its own (sigmoid). What it has no label for stays as the
rules said, and what the section says of all its statements (a family history) holds beside what the sentence says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log

from tokenizers import Encoding

from models.facts import Assertion, Experiencer
from models.notes.engines_sentences import Sentences
from models.notes.transformer_folder import Marking
from models.notes.transformer_model import Logits, Part

REACH = 240  # characters of the sentence on either side of the concept: some sixty tokens
_LONGEST_CONCEPT = 200  # characters that are shown of one


@dataclass(frozen=True, slots=True)
class Query:
    """A concept in its text, and what the rules say of it."""

    sentences: Sentences
    start: int
    end: int
    rules: Assertion


def marked(sentences: Sentences, start: int, end: int, marking: Marking) -> tuple[str, int]:
    """Give the sentence of a concept as the model reads it, and where in it the mark begins."""
    sentence = sentences.around(start, end)
    left = sentences.text[max(sentence.start, start - REACH) : start]
    right = sentences.text[end : min(sentence.end, end + REACH)]
    concept = sentences.text[start : min(end, start + _LONGEST_CONCEPT)]
    shown = marking.mask or f"{marking.opening} {concept} {marking.closing}"
    return f"{left} {shown} {right}", len(left) + 1


class AssertionModel:
    """Asserts concepts in batches."""

    def __init__(self, part: Part, properties: Mapping[str, str], marking: Marking, threshold: float) -> None:
        self._part = part
        self._columns = [(part.labels.index(label), said) for label, said in properties.items()]
        self._marking = marking
        self._limit = log(threshold / (1 - threshold))

    def assert_all(self, queries: Sequence[Query]) -> list[Assertion]:
        """Say how each concept is stated, in order."""
        windows = [self._window(query) for query in queries]
        return [self._said(query, row) for query, row in zip(queries, self._part.logits(windows), strict=True)]

    def _window(self, query: Query) -> Encoding:
        """Choose, of a sentence longer than the model reads, the window in whose middle the concept lies."""
        text, at = marked(query.sentences, query.start, query.end, self._marking)
        return max(self._part.windows(text), key=lambda window: _room(window, at))

    def _said(self, query: Query, row: Logits) -> Assertion:
        default = query.sentences.around(query.start, query.end).default
        said = {name: bool(row[column] > self._limit) for column, name in self._columns}

        def holds(name: str) -> bool:
            return bool(getattr(default, name)) or said.get(name, bool(getattr(query.rules, name)))

        return Assertion(
            negated=holds("negated"),
            uncertain=holds("uncertain"),
            historical=holds("historical"),
            hypothetical=holds("hypothetical"),
            experiencer=_experiencer(said, default, query.rules),
        )


def _experiencer(said: Mapping[str, bool], default: Assertion, rules: Assertion) -> Experiencer:
    """Take the model's word for whom it knows of: family before others, then the section's, then the rules'."""
    for name in (Experiencer.FAMILY, Experiencer.OTHER):
        if said.get(name, rules.experiencer is name):
            return name
    return default.experiencer


def _room(window: Encoding, at: int) -> int:
    """Give the characters between ``at`` and the nearer end of a window, negative outside of it."""
    spans = [span for span, special in zip(window.offsets, window.special_tokens_mask, strict=True) if not special]
    return min(at - spans[0][0], spans[-1][1] - at) if spans else -1
