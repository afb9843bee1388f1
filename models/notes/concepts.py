"""Finding the lexicon's concepts in a note: the longest name wins, plurals and hyphens do not matter.

Names are matched on whole words, Chinese names ideograph by ideograph. A name written ``=AF`` in the lexicon counts
only in that case: such abbreviations are words or other abbreviations in lower case.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from models.facts import Quantity
from models.notes.codes import Concept, concepts
from models.notes.phrases import PhraseTrie
from models.notes.resources import read_rows
from models.notes.tokens import Tokens, tokenize

SHIELDS = "lexicon/shields.txt"  # phrases that hold a name but mean something else


@dataclass(frozen=True, slots=True)
class Mention:
    """A concept at tokens ``first`` to ``last`` (exclusive), with the number that belongs to it."""

    first: int
    last: int
    concept: Concept
    quantity: Quantity | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """What a phrase may mean: by its exact spelling, or in any spelling; a shield means nothing."""

    exact: dict[str, Concept]
    folded: Concept | None


def index(found: Iterable[Concept], shields: Iterable[str] = ()) -> PhraseTrie[Entry]:
    """Give the trie of the names of ``found``; a shield wins over a shorter name and means nothing."""
    entries: dict[tuple[str, ...], Entry] = {}
    for concept in found:
        for name in concept.names:
            exact = name.startswith("=")
            spelled = name.removeprefix("=")
            key = tokenize(spelled).stems
            entry = entries.get(key, Entry({}, None))
            if exact:
                entries[key] = Entry({**entry.exact, spelled: concept}, entry.folded)
            else:
                entries[key] = Entry(entry.exact, entry.folded or concept)
    return PhraseTrie([*((tokenize(shield).stems, Entry({}, None)) for shield in shields), *entries.items()])


@cache
def _names() -> PhraseTrie[Entry]:
    return index(concepts(), (cells[0] for _, cells in read_rows(SHIELDS, 1)))


def find_mentions(text: str, tokens: Tokens) -> tuple[Mention, ...]:
    """Find every concept of the lexicon, leftmost longest, without overlap."""
    return tuple(scan(_names(), text, tokens))


def scan(names: PhraseTrie[Entry], text: str, tokens: Tokens) -> Iterator[Mention]:
    """Yield what ``names`` knows, leftmost longest, without overlap."""
    for first, last, entry in names.scan(tokens.stems):
        surface = text[tokens.starts[first] : tokens.ends[last - 1]]
        concept = entry.exact.get(surface, entry.folded)
        if concept is not None:
            yield Mention(first, last, concept)
