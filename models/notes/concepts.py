"""Finding the lexicon's concepts in a note: the longest name wins, plurals and hyphens do not matter.

Names are matched on whole words, Chinese names ideograph by ideograph. A name written ``=AF`` in the lexicon counts
only in that case: such abbreviations are words or other abbreviations in lower case.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from models.notes.codes import Concept, concepts
from models.notes.phrases import PhraseTrie
from models.notes.resources import read_rows
from models.notes.tokens import Tokens, tokenize

SHIELDS = "lexicon/shields.txt"  # phrases that hold a name but mean something else


@dataclass(frozen=True, slots=True)
class Mention:
    """A concept at tokens ``first`` to ``last`` (exclusive)."""

    first: int
    last: int
    concept: Concept


@dataclass(frozen=True, slots=True)
class _Entry:
    """What a phrase may mean: by its exact spelling, or in any spelling; a shield means nothing."""

    exact: dict[str, Concept]
    folded: Concept | None


@cache
def _names() -> PhraseTrie[_Entry]:
    entries: dict[tuple[str, ...], _Entry] = {}
    for concept in concepts():
        for name in concept.names:
            exact = name.startswith("=")
            spelled = name.removeprefix("=")
            key = tokenize(spelled).stems
            entry = entries.get(key, _Entry({}, None))
            if exact:
                entries[key] = _Entry({**entry.exact, spelled: concept}, entry.folded)
            else:
                entries[key] = _Entry(entry.exact, entry.folded or concept)
    shields = ((tokenize(cells[0]).stems, _Entry({}, None)) for _, cells in read_rows(SHIELDS, 1))
    return PhraseTrie([*shields, *entries.items()])


def find_mentions(text: str, tokens: Tokens) -> tuple[Mention, ...]:
    """Find every concept, leftmost longest, without overlap."""
    mentions = []
    for first, last, entry in _names().scan(tokens.stems):
        surface = text[tokens.starts[first] : tokens.ends[last - 1]]
        concept = entry.exact.get(surface, entry.folded)
        if concept is not None:
            mentions.append(Mention(first, last, concept))
    return tuple(mentions)
