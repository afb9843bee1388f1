"""How a sentence states its concepts: ConText with scope by direction, terminators and pseudo-triggers.

Source: Harkema et al., J Biomed Inform 2009;42:839-851, after NegEx (Chapman et al., J Biomed Inform 2001;34:301-310).
A modifier's scope runs from it to the nearest terminator of its effect, at most to the end of the sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.facts import Assertion, Experiencer
from models.notes.clauses import Clauses
from models.notes.modifiers import END_MARK, YEAR_MARK, Commas, Direction, Effect, Modifier, modifiers
from models.notes.sentences import Sentence
from models.notes.tokens import Span, Tokens, is_year

_COMMAS = frozenset({",", "，"})
_DASHES = frozenset({"-", "\u2010", "\u2011", "\u2012", "\u2013", "\u2212"})
_SHORT_HISTORIES = frozenset({("h", "/", "o"), ("s", "/", "p")})
_HISTORY_ENDS = Modifier(Effect.NEGATED.value | Effect.UNCERTAIN.value, Direction.END)

Scope = tuple[int, int, Modifier]  # tokens first to last (exclusive) over which the modifier acts


@dataclass(frozen=True, slots=True)
class _Found:
    """A modifier at tokens ``first`` to ``last`` of the sentence."""

    first: int
    last: int
    modifier: Modifier


def assert_concepts(tokens: Tokens, sentence: Sentence, spans: Sequence[Span], default: Assertion) -> list[Assertion]:
    """Assert the concepts of one sentence.

    Parameters
    ----------
    tokens
        Tokens of the whole note.
    sentence
        The sentence that holds the start of every span.
    spans
        Sorted, disjoint token ranges of concepts; words inside them never act as modifiers.
    default
        What the section says of its statements.
    """
    words = [YEAR_MARK if is_year(word) else word for word in tokens.norms[sentence.first : sentence.last]]
    words.append(END_MARK)
    local = [(first - sentence.first, last - sentence.first) for first, last in spans]
    found = _find(words, local)
    minus = _minuses(tokens, sentence, spans) if "+" in words else frozenset()
    if not (found or minus):
        return [default] * len(local)
    clauses = Clauses(words)
    ends = [item for item in found if item.modifier.direction is Direction.END]
    ends = sorted([*ends, *_new_histories(found, words)], key=lambda item: item.first)
    earlier = [
        item
        for item in found
        if item.modifier.direction is Direction.FORWARD and item.modifier.bits == Effect.HISTORICAL.value
    ]
    scopes = [scope for item in found for scope in _scopes(item, ends, earlier, clauses)]
    return [_combine(_effect(span, scopes, clauses), default, span[0] in minus) for span in local]


def _new_histories(found: Sequence[_Found], words: Sequence[str]) -> list[_Found]:
    """Ends of a negation before an abbreviated history behind a comma: "no chest pain, h/o hypertension"."""
    marks = []
    for item in found:
        first = item.first
        forward = item.modifier.direction is Direction.FORWARD and item.modifier.bits & Effect.HISTORICAL.value
        short = words[first] == "hx" or tuple(words[first : first + 3]) in _SHORT_HISTORIES
        if forward and short and first and words[first - 1] in _COMMAS:
            marks.append(_Found(first, first, _HISTORY_ENDS))
    return marks


def _minuses(tokens: Tokens, sentence: Sentence, spans: Sequence[Span]) -> frozenset[int]:
    """Concepts with a minus before them, in a sentence that has others with a plus: "+cough, -fever".

    Without the plus a dash is a bullet, or a dash.
    """

    def sign(first: int) -> str:
        glued = first > sentence.first and tokens.ends[first - 1] == tokens.starts[first]
        return tokens.norms[first - 1] if glued else ""

    signs = {first - sentence.first: sign(first) for first, _ in spans}
    if "+" not in signs.values():
        return frozenset()
    return frozenset(first for first, said in signs.items() if said in _DASHES)


def _find(words: Sequence[str], spans: Sequence[Span]) -> list[_Found]:
    """Find the modifiers, leftmost longest in the stretches between the concepts."""
    trie = modifiers()
    found: list[_Found] = []
    at = 0
    for first, last in [*spans, (len(words), len(words))]:
        if first > at:
            found.extend(_Found(*match) for match in trie.scan(words, at, min(first, len(words))))
        at = max(at, last)
    return found


def _scopes(item: _Found, ends: Sequence[_Found], earlier: Sequence[_Found], clauses: Clauses) -> list[Scope]:
    """Give the token ranges over which a modifier acts, up to the terminators ``ends`` of the sentence.

    A time behind what it is about ("in 2024") does not reach back over one of ``earlier``: in "9 mm, previously 6 mm in
    2024" only the 6 mm are of then.
    """
    modifier = item.modifier
    if modifier.direction in (Direction.END, Direction.PSEUDO):
        return []
    ends = [end for end in ends if end.modifier.bits & modifier.bits]
    scopes = []
    if modifier.direction in (Direction.FORWARD, Direction.BOTH):
        stop = next((end.first for end in ends if end.first >= item.last), clauses.length)
        stop = min(stop, item.last + modifier.reach + 1, clauses.bracket_end(item.last))
        stop = min(stop, clauses.scope_end(item.last, modifier.commas))
        scopes.append((item.last, stop, modifier))
    if modifier.direction in (Direction.BACKWARD, Direction.BOTH):
        start = next((end.last for end in reversed(ends) if end.last <= item.first), 0)
        if modifier.bits == Effect.HISTORICAL.value:
            start = max([start, *(other.first for other in earlier if other.first < item.first)])
        start = max(start, item.first - modifier.reach - 1, clauses.scope_start(item.first, modifier.commas))
        scopes.append((start, item.first, modifier))
    return scopes


def _effect(span: Span, scopes: Sequence[Scope], clauses: Clauses) -> Effect:
    """Join the effects of the scopes that hold the first token of the span (forward) or its last (backward)."""
    bits = 0
    for start, stop, modifier in scopes:
        inside = start <= span[0] < stop or start < span[1] <= stop
        if inside and (modifier.commas is not Commas.LIST or clauses.lists(start, span[0], span[1])):
            bits |= modifier.bits
    return Effect(bits)


def _combine(effect: Effect, default: Assertion, minus: bool = False) -> Assertion:
    if minus:
        effect |= Effect.NEGATED
    if effect is Effect.NONE:
        return default
    experiencer = default.experiencer
    if Effect.FAMILY in effect:
        experiencer = Experiencer.FAMILY
    elif Effect.OTHER in effect:
        experiencer = Experiencer.OTHER
    return Assertion(
        negated=default.negated or Effect.NEGATED in effect,
        uncertain=default.uncertain or Effect.UNCERTAIN in effect,
        historical=default.historical or Effect.HISTORICAL in effect,
        hypothetical=default.hypothetical or Effect.HYPOTHETICAL in effect,
        experiencer=experiencer,
    )
