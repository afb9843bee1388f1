"""Which concept a size, a number of pack-years or a time belongs to: the nearest in its sentence that can have it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from models.facts import FactKind, Quantity
from models.notes.amounts import Amount
from models.notes.attributes import SMOKING
from models.notes.concepts import Mention
from models.notes.measurements import AGE
from models.notes.resources import read_rows
from models.notes.times import Moment

_REACH_AHEAD = 9  # tokens between a size and the concept behind it
_REACH_BACK = 25  # tokens between a concept and a size behind it: "..., measuring 9 mm"
_REACH_TIME = 12  # tokens between a concept and its time
_REACH_ONSET = 4  # tokens between a duration without "ago" and the concept behind it
_CLOSERS = frozenset(
    {
        ",",
        "，",
        "、",
        ";",
        "；",
        ".",
        ":",
        "：",
        ")",
        "）",
        "and",
        "with",
        "in",
        "is",
        "was",
        "or",
        "及",
        "和",
        "伴",
        "但",
    }
)
_HARD = frozenset({";", "；", "。", "but", "但", "however", "otherwise"})
_COMMAS = frozenset({",", "，"})
_JOINS = frozenset({"and", "及", "和", "与", "、", "&"})
_SHOWS = frozenset(
    {"showed", "shows", "showing", "shown", "revealed", "reveals", "revealing", "demonstrated", "demonstrates", "found"}
    | {"identified", ":", "：", "示", "见", "显", "提", "现"}
)
_SHOWN = frozenset({FactKind.PROBLEM, FactKind.SYMPTOM})
_TIMELESS = frozenset({FactKind.ATTRIBUTE})


@dataclass(frozen=True, slots=True)
class Placed:
    """An amount or a moment with its tokens ``first`` to ``last`` (exclusive)."""

    first: int
    last: int
    thing: Amount | Moment


@cache
def _sizable() -> tuple[str, ...]:
    return tuple(cells[0] for _, cells in read_rows("sizable.txt", 1))


def is_sizable(mention: Mention) -> bool:
    """Whether the concept can have a size."""
    return mention.concept.kind in (FactKind.PROBLEM, FactKind.SYMPTOM) and mention.concept.code.value.startswith(
        _sizable()
    )


def bind_sizes(
    norms: Sequence[str], mentions: Sequence[Mention], sizes: Sequence[Placed], earlier: bool
) -> tuple[list[Mention], Quantity | None, list[Placed]]:
    """Give every size of a sentence to a concept.

    Parameters
    ----------
    norms
        Tokens of the whole note.
    mentions
        Concepts of the sentence, in order.
    sizes
        Lengths of the sentence, in order.
    earlier
        Whether the sentence before names something without its size: "There is a nodule. It measures 9 mm."

    Returns
    -------
    tuple
        The concepts with their sizes, the size of what the sentence before names, and the sizes left over.
    """
    bound = list(mentions)
    if not sizes:
        return bound, None, []
    places = [at for at, mention in enumerate(bound) if is_sizable(mention)]
    left: list[Placed] = []
    given: Quantity | None = None
    for index, size in enumerate(sizes):
        amount = size.thing
        if not isinstance(amount, Amount) or amount.former:
            left.append(size)
        elif (target := _owner(norms, bound, places, size, sizes, index)) is not None:
            bound[target] = replace(bound[target], quantity=amount.quantity)
        elif earlier and given is None and not places:
            given = amount.quantity
        else:
            left.append(size)
    return bound, given, left


def _owner(
    norms: Sequence[str], bound: list[Mention], places: list[int], size: Placed, sizes: Sequence[Placed], index: int
) -> int | None:
    following = sizes[index + 1].first if index + 1 < len(sizes) else len(norms)
    ahead = next((at for at in places if bound[at].first >= size.last), None)
    if ahead is not None and bound[ahead].quantity is None:
        first = bound[ahead].first
        between = norms[size.last : first]
        if first <= min(following, size.last + _REACH_AHEAD) and not any(word in _CLOSERS for word in between):
            return ahead
    back = next((at for at in reversed(places) if bound[at].last <= size.first), None)
    if back is not None and bound[back].quantity is None and size.first - bound[back].last <= _REACH_BACK:
        return back
    return None


def bind_pack_years(mentions: list[Mention], amounts: Sequence[Placed]) -> tuple[list[Mention], list[Placed]]:
    """Give pack-years to the nearest smoking of the sentence; also give those left over."""
    if not amounts:
        return list(mentions), []
    bound = _one_smoking(mentions, amounts)
    left: list[Placed] = []
    for placed in amounts:
        places = [
            at for at, mention in enumerate(bound) if mention.concept.code.value in SMOKING and mention.quantity is None
        ]
        if not places or not isinstance(placed.thing, Amount):
            left.append(placed)
            continue
        nearest = min(places, key=lambda at: abs(bound[at].first - placed.first))
        bound[nearest] = replace(bound[nearest], quantity=placed.thing.quantity)
    return bound, left


def _one_smoking(mentions: Sequence[Mention], amounts: Sequence[Placed]) -> list[Mention]:
    """Leave out the "cigarettes" of "smokes 10 cigarettes a day", where smoking is named beside them."""
    smoking = {at for at, mention in enumerate(mentions) if mention.concept.code.value in SMOKING}
    inside = {at for at in smoking if any(place.first <= mentions[at].first < place.last for place in amounts)}
    drop = inside if inside < smoking else set()
    return [mention for at, mention in enumerate(mentions) if at not in drop]


def bind_times(
    norms: Sequence[str], start: int, mentions: Sequence[Mention], moments: Sequence[Placed]
) -> dict[int, str]:
    """Give the times of a sentence to its concepts: the place of a concept in ``mentions`` -> its time."""
    times: dict[int, str] = {}
    able = [
        at
        for at, mention in enumerate(mentions)
        if mention.concept.kind not in _TIMELESS and mention.concept is not AGE
    ]
    for index, placed in enumerate(moments):
        moment = placed.thing
        if not isinstance(moment, Moment):
            continue
        low = moments[index - 1].last if index else start
        high = moments[index + 1].first if index + 1 < len(moments) else len(norms)
        for at in _timed(norms, start, mentions, able, placed, moment, low, high):
            times.setdefault(at, moment.when)
    return _shown(norms, mentions, times)


def _shown(norms: Sequence[str], mentions: Sequence[Mention], times: dict[int, str]) -> dict[int, str]:
    """Give what a dated examination shows the date of the examination: "Chest CT in 2024 showed no nodule"."""
    found = dict(times)
    for at, when in times.items():
        if mentions[at].concept.kind is not FactKind.PROCEDURE:
            continue
        for other in _results(norms, mentions, at):
            found.setdefault(other, when)
    return found


def _results(norms: Sequence[str], mentions: Sequence[Mention], at: int) -> list[int]:
    """Give what a sentence says that an examination shows: behind "showed", and just before "on CT"."""
    results = []
    shown = False
    for other in range(at + 1, len(mentions)):
        between = norms[mentions[other - 1].last : mentions[other].first]
        shown = shown or any(word in _SHOWS for word in between)
        if mentions[other].concept.kind is FactKind.PROCEDURE or any(word in _HARD for word in between):
            break
        if shown and mentions[other].concept.kind in _SHOWN:
            results.append(other)
    if at and mentions[at - 1].concept.kind in _SHOWN:
        between = norms[mentions[at - 1].last : mentions[at].first]
        if 0 < len(between) <= _REACH_ONSET and between[0] in ("on", "by"):
            results.append(at - 1)
    return results


def _timed(
    norms: Sequence[str],
    start: int,
    mentions: Sequence[Mention],
    able: Sequence[int],
    placed: Placed,
    moment: Moment,
    low: int,
    high: int,
) -> list[int]:
    """Give the concepts that a moment belongs to; ``low`` and ``high`` are the neighbouring moments."""
    behind = next((at for at in reversed(able) if mentions[at].last <= placed.first), None)
    ahead = next((at for at in able if mentions[at].first >= placed.last), None)
    before = norms[mentions[behind].last : placed.first] if behind is not None else ()
    after = norms[placed.last : mentions[ahead].first] if ahead is not None else ()
    if behind is not None and (
        mentions[behind].last < low or len(before) > _REACH_TIME or any(word in _HARD for word in before)
    ):
        behind = None
    if ahead is not None and (
        mentions[ahead].first >= high or len(after) > _REACH_TIME or any(word in _HARD for word in after)
    ):
        ahead = None
    if behind is not None and ahead is not None:
        if _prefers_ahead(norms, start, placed, moment, before, after):
            behind = None
        else:
            ahead = None
    if behind is not None:
        return _joined(norms, mentions, able, behind, -1)
    if moment.before and len(after) > _REACH_ONSET:
        return []
    return _joined(norms, mentions, able, ahead, 1) if ahead is not None else []


def _prefers_ahead(
    norms: Sequence[str], start: int, placed: Placed, moment: Moment, before: Sequence[str], after: Sequence[str]
) -> bool:
    """Whether a moment with a concept on either side belongs to the one behind it."""
    if moment.ahead:
        return True
    comma_before = any(word in _COMMAS for word in before)
    comma_after = any(word in _COMMAS for word in after) or (bool(after) and after[0] in (")", "）", "、"))
    if comma_before != comma_after:
        return comma_before and not (moment.before and not moment.chinese and len(before) <= 2)
    return moment.chinese and not moment.before


def _joined(
    norms: Sequence[str], mentions: Sequence[Mention], able: Sequence[int], chosen: int, step: int
) -> list[int]:
    """Add what is joined to the chosen concept by "and"."""
    found = [chosen]
    position = able.index(chosen) + step
    while 0 <= position < len(able):
        left, right = sorted((found[-1], able[position]))
        between = norms[mentions[left].last : mentions[right].first]
        if not between or len(between) > 2 or not all(word in _JOINS for word in between):
            break
        found.append(able[position])
        position += step
    return found
