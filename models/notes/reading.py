"""Reading a note sentence by sentence: its concepts, and the numbers and times that belong to them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from models.facts import Assertion, Quantity
from models.notes import measurements, times
from models.notes.amounts import Amount, find_pack_years, find_sizes
from models.notes.assertion import assert_concepts
from models.notes.attributes import SMOKING, find_attributes, in_context
from models.notes.binding import Placed, bind_pack_years, bind_sizes, bind_times, is_sizable
from models.notes.codes import Concept
from models.notes.concepts import Mention, find_mentions
from models.notes.measurements import PACK_YEARS, SIZE, Measured
from models.notes.numbers import fold
from models.notes.sections import Section
from models.notes.sentences import MAX_TOKENS, Sentence, split_sentences
from models.notes.tokens import Tokens, token_span
from models.notes.windows import Windows, find_windows

_COLONS = frozenset({":", "："})
_FULL_STOPS = frozenset({".", "。", "!", "?", "！", "？", ";", "；"})
_BULLETS = frozenset({"-", "*", "\u2022", "\u00b7", "\u25cf"})
_NUMBER_ENDS = frozenset({".", ")", "、", "）"})
_SHORT_HEADINGS = frozenset({"pe"})
_COMPARING = frozenset({"since", "from", "than", "vs", "versus", "较", "比", "与", "自"})
_Thing = TypeVar("_Thing", Mention, Placed)


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence with its section and what was found in it.

    Parameters
    ----------
    times
        Time of each concept that has one, by its place in ``mentions``.
    former
        Places of sizes that are of before.
    default
        How its concepts stand unless its own words say otherwise: by the section, and by what opens a list.
    """

    sentence: Sentence
    section: Section
    mentions: tuple[Mention, ...]
    times: dict[int, str]
    former: frozenset[int]
    default: Assertion


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Sizes, pack-years and times of one sentence."""

    sizes: list[Placed]
    packs: list[Placed]
    moments: list[Placed]


def read_lines(text: str, tokens: Tokens, sections: Sequence[Section]) -> list[Line]:
    """Read the sentences one after the other."""
    folded = fold(text)
    windows = find_windows(tokens)
    named = [mention for mention in find_mentions(text, tokens) if not _is_heading(tokens, sections, mention)]
    found = _merged(tokens, named, _measured(folded, tokens, windows))
    words = find_attributes(text, tokens)
    sentences = list(_sentences(text, tokens, sections, found, words))
    lasts = [sentence.last for sentence, _ in sentences]
    grouped = list(zip((s for s, _ in sentences), _cut(lasts, found), _cut(lasts, words), strict=True))
    amounts = (
        find_sizes(folded, windows.size),
        find_pack_years(folded, windows.packs),
        times.find_moments(folded, windows.time),
    )
    numbers = zip(*(_cut(lasts, _placed(tokens, things)) for things in amounts), strict=True)
    lines: list[Line] = []
    read = zip(sentences, in_context(tokens, grouped), numbers, strict=True)
    for (sentence, section), (mentions, kept), (sizes, packs, moments) in read:
        near = _Numbers(sizes, packs, moments)
        lines.append(_line(tokens, sentence, section, _joined(mentions, kept), near, lines))
    return lines


def _is_heading(tokens: Tokens, sections: Sequence[Section], mention: Mention) -> bool:
    """Whether what looks like a concept is the abbreviated heading of a section: "PE:" is the physical examination."""
    if tokens.norms[mention.first] not in _SHORT_HEADINGS:
        return False
    start = tokens.starts[mention.first]
    at = bisect_right([section.start for section in sections], start) - 1
    return at >= 0 and sections[at].start == start < sections[at].body


def _line(
    tokens: Tokens, sentence: Sentence, section: Section, mentions: list[Mention], numbers: _Numbers, lines: list[Line]
) -> Line:
    """Bind the numbers of one sentence; a concept of the last of ``lines`` may get one too."""
    default = _default(tokens, sentence, section, lines)
    if not (mentions or numbers.sizes or numbers.packs):
        return Line(sentence, section, (), {}, frozenset(), default)
    smokers, packs = bind_pack_years(mentions, numbers.packs)
    if packs and lines and _smoker_in(smokers) is None and (owner := _smoker(lines[-1])) is not None:
        lines[-1] = _resized(lines[-1], owner, _quantity(packs.pop(0)))
    free = [place for place in numbers.sizes if not _taken(place, smokers)]
    earlier = _unsized(lines[-1]) if lines and free else None
    bound, given, sizes = bind_sizes(tokens.norms, smokers, free, earlier is not None)
    if given is not None and earlier is not None:
        lines[-1] = _resized(lines[-1], earlier, given)
    every = _joined(bound, [*_loose(packs, PACK_YEARS), *_loose(sizes, SIZE)])
    moments = [place for place in numbers.moments if not (_taken(place, every) or _within(place, numbers.packs))]
    if any(is_sizable(mention) and mention.quantity is not None for mention in every):
        moments = [place for place in moments if not _is_compared(tokens.norms, place)]
    when = bind_times(tokens.norms, sentence.first, every, moments) if moments else {}
    former = {place.first for place in sizes if isinstance(place.thing, Amount) and place.thing.former}
    marks = frozenset(at for at, mention in enumerate(every) if mention.first in former)
    return Line(sentence, section, tuple(every), when, marks, default)


def _default(tokens: Tokens, sentence: Sentence, section: Section, lines: Sequence[Line]) -> Assertion:
    """Give how a sentence stands by its section, or by what opens the list that it is an item of.

    "Past history is significant for: 1. stroke 2. seizures" tells of the past in each item. A colon hands on all that
    is said, other sentences without a full stop only whom and what time they are about.
    """
    if not lines or lines[-1].section is not section or not _is_item(tokens.norms, sentence):
        return section.default
    before = lines[-1]
    if _is_item(tokens.norms, before.sentence):
        return before.default
    end = tokens.norms[before.sentence.last - 1]
    if end in _FULL_STOPS:
        return section.default
    spans = [(mention.first, mention.last) for mention in before.mentions]
    opened = assert_concepts(tokens, before.sentence, [*spans, (before.sentence.last,) * 2], before.default)[-1]
    if end in _COLONS:
        return opened
    return replace(section.default, historical=opened.historical, experiencer=opened.experiencer)


def _is_item(norms: Sequence[str], sentence: Sentence) -> bool:
    """Whether a sentence begins with a list number or a bullet."""
    first, second = norms[sentence.first], norms[sentence.first + 1] if sentence.last - sentence.first > 1 else ""
    return first in _BULLETS or (first.isdecimal() and len(first) <= 2 and second in _NUMBER_ENDS)


def _measured(folded: str, tokens: Tokens, windows: Windows) -> list[Measured]:
    found = [*measurements.find_measurements(folded, tokens), *measurements.find_ages(folded, windows.age)]
    return sorted(found, key=lambda measured: measured.start)


def _merged(tokens: Tokens, mentions: Sequence[Mention], measured: Sequence[Measured]) -> list[Mention]:
    """Put measurements among the concepts; a measurement wins over the concept in its name ("MMSE 24")."""
    numbers: list[Mention] = []
    for item in measured:
        first, last = token_span(tokens, item.start, item.end)
        if last > first and (not numbers or first >= numbers[-1].last):
            numbers.append(Mention(first, last, item.concept, item.quantity))
    return _joined(numbers, mentions)


def _joined(winners: Sequence[Mention], others: Sequence[Mention]) -> list[Mention]:
    """Merge two ordered lists without overlap within each; of two that overlap the first list's counts."""
    if not others:
        return list(winners)
    starts = [mention.first for mention in winners]
    kept = []
    for mention in others:
        at = bisect_right(starts, mention.first)
        if (at and winners[at - 1].last > mention.first) or (at < len(winners) and winners[at].first < mention.last):
            continue
        kept.append(mention)
    return sorted([*winners, *kept], key=lambda mention: mention.first)


def _placed(tokens: Tokens, things: Sequence[Amount | times.Moment]) -> list[Placed]:
    placed: list[Placed] = []
    for thing in things:
        first, last = token_span(tokens, thing.start, thing.end)
        if last > first and (not placed or first >= placed[-1].last):
            placed.append(Placed(first, last, thing))
    return placed


def _is_compared(norms: Sequence[str], place: Placed) -> bool:
    """Whether a time is what a size is compared with, and not when it was: "unchanged since 2023", "较2024年增大"."""
    before = norms[max(0, place.first - 3) : place.first]
    return bool(before) and (before[-1] in _COMPARING or "compared" in before or norms[place.first] in _COMPARING)


def _taken(place: Placed, mentions: Sequence[Mention]) -> bool:
    """Whether a number is already part of a concept."""
    return any(mention.first < place.last and place.first < mention.last for mention in mentions)


def _within(place: Placed, others: Sequence[Placed]) -> bool:
    """Whether a time is part of pack-years."""
    return any(other.first < place.last and place.first < other.last for other in others)


def _loose(left: Sequence[Placed], concept: Concept) -> list[Mention]:
    """Make measurements of amounts that belong to no concept."""
    return [
        Mention(item.first, item.last, concept, item.thing.quantity) for item in left if isinstance(item.thing, Amount)
    ]


def _smoker_in(mentions: Sequence[Mention]) -> int | None:
    """Give the place of the last smoking, None where there is none."""
    return next((at for at in range(len(mentions) - 1, -1, -1) if mentions[at].concept.code.value in SMOKING), None)


def _smoker(line: Line) -> int | None:
    """Give the place of a sentence's last smoking if it has no number yet: "He smokes. 20 pack-years"."""
    at = _smoker_in(line.mentions)
    return at if at is not None and line.mentions[at].quantity is None else None


def _quantity(place: Placed) -> Quantity | None:
    return place.thing.quantity if isinstance(place.thing, Amount) else None


def _unsized(line: Line) -> int | None:
    """Give the place of a sentence's last concept that could have a size, if it has none yet."""
    mentions = line.mentions
    at = next((at for at in range(len(mentions) - 1, -1, -1) if is_sizable(mentions[at])), None)
    return None if at is None or mentions[at].quantity is not None else at


def _resized(line: Line, at: int, quantity: Quantity | None) -> Line:
    mention = replace(line.mentions[at], quantity=quantity)
    return replace(line, mentions=(*line.mentions[:at], mention, *line.mentions[at + 1 :]))


def _sentences(
    text: str, tokens: Tokens, sections: Sequence[Section], found: Sequence[Mention], words: Sequence[Mention]
) -> Iterator[tuple[Sentence, Section]]:
    """Yield all sentences; the first of a section begins with its heading where a concept stands in that."""
    starts = sorted(mention.first for mention in (*found, *words))
    for section in sections:
        heading = bisect_left(tokens.starts, section.start)
        for sentence in split_sentences(text, tokens, section.body, section.end):
            at = bisect_left(starts, heading)
            if at < len(starts) and starts[at] < sentence.first and sentence.first - heading < MAX_TOKENS:
                yield Sentence(heading, sentence.last), section
            else:
                yield sentence, section
            heading = sentence.last


def _cut(lasts: Sequence[int], things: Sequence[_Thing]) -> list[list[_Thing]]:
    """Give the things of each sentence, of which ``lasts`` are the ends."""
    parts: list[list[_Thing]] = [[] for _ in lasts]
    for thing in things:
        at = bisect_right(lasts, thing.first)
        if at < len(parts):
            parts[at].append(thing)
    return parts
