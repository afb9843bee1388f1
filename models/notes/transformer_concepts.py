"""Concepts by token classification: labels ``B-problem``, ``I-problem``... to exact spans of the note.

A word has the label of its first token (Devlin et al., NAACL 2019, 4171-4186, section 5.3). Where windows overlap, the
one in which the word lies farther from the edges is believed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Encoding

from models.notes.transformer_folder import Meaning, known_labels
from models.notes.transformer_model import Logits, Part

_BEGIN, _INSIDE = frozenset("BSU"), frozenset("IEL")  # of BIO, BIOES and BILOU


@dataclass(frozen=True, slots=True)
class Found:
    """A concept at ``text[start:end]``."""

    start: int
    end: int
    meaning: Meaning


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the text and the label of its first token."""

    start: int
    end: int
    label: int


def split_label(label: str) -> tuple[str, str]:
    """Give ``("B", "problem")`` of ``B-problem``; a label without prefix is inside."""
    prefix, dash, rest = label.partition("-")
    if dash and prefix in _BEGIN | _INSIDE:
        return ("B" if prefix in _BEGIN else "I"), rest
    return "I", label


class ConceptModel:
    """Finds concepts; labels that ``meanings`` does not name count as outside."""

    def __init__(self, part: Part, meanings: Mapping[str, Meaning]) -> None:
        known_labels([split_label(label)[1] for label in part.labels], meanings, "concepts")
        self._part = part
        self._labels = [split_label(label) for label in part.labels]
        self._meanings = meanings
        self.kinds = frozenset(meaning.kind for meaning in meanings.values())

    def find(self, text: str) -> list[Found]:
        """Find the concepts of ``text``, in order, without overlap."""
        windows = self._part.windows(text)
        return self.decode(text, words_of(windows, self._part.logits(windows)))

    def decode(self, text: str, words: Sequence[Word]) -> list[Found]:
        """Join labelled words to concepts: a B begins one, an I of the same name goes on with it."""
        found: list[Found] = []
        last = ""
        for word in words:
            prefix, name = self._labels[word.label]
            meaning = self._meanings.get(name)
            span = _trimmed(text, word.start, word.end)
            if meaning is None or span is None:
                last = ""
                continue
            if prefix == "I" and name == last:
                found[-1] = Found(found[-1].start, span[1], meaning)
            else:
                found.append(Found(*span, meaning))
            last = name
        return found


def words_of(windows: Sequence[Encoding], logits: Sequence[Logits]) -> list[Word]:
    """Give the words of all windows in text order, each with the label of the window that sees it best."""
    best: dict[int, tuple[int, int]] = {}  # by start of the word: how far from the edges, label
    ends: dict[int, int] = {}
    for window, scores in zip(windows, logits, strict=True):
        labels = np.argmax(scores, axis=-1)
        word_before = None
        start = 0
        for at, (word, (begin, end)) in enumerate(zip(window.word_ids, window.offsets, strict=True)):
            if word is None or end <= begin:
                word_before = None
                continue
            if word != word_before:
                start, word_before = begin, word
                seen = (min(at, len(labels) - at), int(labels[at]))
                best[start] = max(best.get(start, (-1, 0)), seen, key=lambda item: item[0])
            ends[start] = max(ends.get(start, 0), end)
    return _disjoint([Word(start, ends[start], best[start][1]) for start in sorted(best)])


def _disjoint(words: Sequence[Word]) -> list[Word]:
    """Drop a word that begins within the one before it: a window began in its middle."""
    kept: list[Word] = []
    for word in words:
        if not kept or word.start >= kept[-1].end:
            kept.append(word)
    return kept


def _trimmed(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Leave out white space at both ends, which byte-level tokenizers count to the word; None if nothing is left."""
    surface = text[start:end]
    lead = len(surface) - len(surface.lstrip())
    length = len(surface.strip())
    return (start + lead, start + lead + length) if length else None
