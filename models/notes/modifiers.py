"""The words that change how a concept is stated: reading ``modifiers_en.tsv`` and ``modifiers_zh.tsv``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Flag, StrEnum, auto
from functools import cache, reduce
from operator import or_

from models.notes.phrases import PhraseTrie
from models.notes.resources import LexiconError, expand, read_rows
from models.notes.tokens import tokenize

LEXICON = ("modifiers_en.tsv", "modifiers_zh.tsv")
END_MARK = "$"  # in a phrase: the end of the sentence
YEAR_MARK = "yyyy"  # in a phrase: any year from 1900 to 2099
_COLUMNS = 4
_UNBOUNDED = 1 << 30


class Effect(Flag):
    """What a modifier says of the concepts in its scope; several may hold."""

    NONE = 0
    NEGATED = auto()
    UNCERTAIN = auto()
    HISTORICAL = auto()
    HYPOTHETICAL = auto()
    FAMILY = auto()
    OTHER = auto()
    ALL = NEGATED | UNCERTAIN | HISTORICAL | HYPOTHETICAL | FAMILY | OTHER


class Direction(StrEnum):
    """Where the scope lies; ``PSEUDO`` has none and only keeps its words from being read otherwise."""

    FORWARD = "forward"
    BACKWARD = "backward"
    BOTH = "both"
    END = "end"
    PSEUDO = "pseudo"


class Commas(StrEnum):
    """What a comma does to a scope: nothing, end it, or end it unless a bare list item follows."""

    IGNORE = "ignore"
    CLAUSE = "clause"
    LIST = "list"


@dataclass(frozen=True, slots=True)
class Modifier:
    """A row of the modifier files.

    Parameters
    ----------
    bits
        The value of the :class:`Effect` that it says, or for ``Direction.END`` of those that it ends; a plain integer,
        because combining flags is on the hot path.
    direction
        Where its scope lies.
    reach
        Highest number of tokens between it and the concept.
    commas
        What a comma does to the scope: Chinese enumerates with commas and separates clauses by them too.
    """

    bits: int
    direction: Direction
    reach: int = _UNBOUNDED
    commas: Commas = Commas.IGNORE


def _parse(cells: list[str]) -> Modifier:
    _, effects, direction, reach = cells
    bits = reduce(or_, (Effect[word.strip().upper()].value for word in effects.split(",")))
    if reach in ("list", "clause"):
        return Modifier(bits, Direction(direction), commas=Commas(reach))
    return Modifier(bits, Direction(direction), int(reach) if reach else _UNBOUNDED)


def _read(name: str) -> Iterator[tuple[tuple[str, ...], Modifier]]:
    macros: dict[str, str] = {}
    for number, cells in read_rows(name, _COLUMNS):
        if cells[0].startswith("@"):
            macros[cells[0]] = cells[1]
            continue
        try:
            modifier = _parse(cells)
        except (KeyError, ValueError) as error:
            raise LexiconError(f"{name}:{number}: {error}") from error
        for phrase in expand(cells[0], macros):
            yield tokenize(phrase).norms, modifier


@cache
def modifiers() -> PhraseTrie[Modifier]:
    """Give the trie of all modifiers of both languages; the first row of a repeated phrase counts."""
    return PhraseTrie(pair for name in LEXICON for pair in _read(name))
