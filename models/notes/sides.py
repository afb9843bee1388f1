"""On which side a concept is: left, right or both, from the words around it.

A side counts that is part of the concept's name, stands before it without a comma, an "and" or another concept between
("left hippocampal sclerosis"), or behind it after a preposition of place ("nodule in the right upper lobe",
"结节位于右肺上叶"). "He left the ward", "right away", "left ventricular" and "左右" are no sides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import MappingProxyType

LEFT, RIGHT, BOTH = "left", "right", "both"
_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "left": LEFT,
        "lt": LEFT,
        "lul": LEFT,
        "lll": LEFT,
        "左": LEFT,
        "right": RIGHT,
        "rt": RIGHT,
        "rul": RIGHT,
        "rml": RIGHT,
        "rll": RIGHT,
        "右": RIGHT,
        "bilateral": BOTH,
        "bilaterally": BOTH,
        "bilat": BOTH,
        "both": BOTH,
        "双": BOTH,
        "两": BOTH,
    }
)
_PARTS = frozenset(
    {"ventricular", "ventricle", "atrial", "atrium", "bundle", "heart", "main", "anterior", "circumflex", "coronary"}
    | {"handed", "hand", "室", "房", "心", "利", "冠", "束"}
)
_AFTER_VERB = frozenset(
    {"the", "a", "an", "her", "his", "against", "ama", "home", "work", "for", "without", "us", "before"}
)
_AFTER_ADVERB = frozenset({"now", "away", "after", "before", "here", "there", "then"})
_PAIRED = frozenset(
    {
        "sides",
        "lungs",
        "lower",
        "upper",
        "legs",
        "arms",
        "hemispheres",
        "kidneys",
        "eyes",
        "hippocampi",
        "侧",
        "肺",
        "下",
        "上",
        "眼",
        "耳",
        "肾",
        "膝",
        "手",
        "足",
        "胸",
        "颞",
        "额",
        "顶",
        "枕",
        "海",
        "髋",
        "肩",
        "腿",
        "臂",
    }
)
_JOINS = frozenset({"and", "&", "及", "和", "、", "/", "or"})
_STOPS = frozenset(
    {",", "，", ";", "；", "。", ":", "：", "、", "and", "but", "with", "or", "及", "和", "伴", "但", "?", "？"}
)
_PLACES = frozenset({"in", "on", "of", "at", "within", "along", "involving", "over", "affecting", "位", "于", "在"})
_REACH_BEFORE = 12  # tokens between a side and the concept behind it
_REACH_BEHIND = 9  # tokens between a concept and a side behind it


def side_of(norms: Sequence[str], start: int, stop: int, first: int, last: int, busy: Callable[[int], bool]) -> str:
    """Say on which side the concept at tokens ``first`` to ``last`` of the sentence ``start`` to ``stop`` is.

    Parameters
    ----------
    busy
        Whether a token belongs to another concept, behind which no side is looked for.
    """
    for at in range(first, last):
        if side := _side(norms, at, start, stop):
            return side
    for at in range(first - 1, max(start, first - _REACH_BEFORE) - 1, -1):
        if side := _side(norms, at, start, stop):
            return side
        if norms[at] in _STOPS or busy(at):
            break
    placed = False
    for at in range(last, min(stop, last + _REACH_BEHIND)):
        if placed and (side := _side(norms, at, start, stop)):
            return side
        if norms[at] in _STOPS or busy(at):
            break
        placed = placed or norms[at] in _PLACES
    return ""


@cache
def _opposite() -> Mapping[str, str]:
    return {LEFT: RIGHT, RIGHT: LEFT}


def _side(norms: Sequence[str], at: int, start: int, stop: int) -> str:
    """Give the side that token ``at`` names, "" for none."""
    side = _WORDS.get(norms[at], "")
    if not side:
        return ""
    ahead = norms[at + 1] if at + 1 < stop else ""
    if ahead in _PARTS or (norms[at] in ("双", "两", "both") and ahead not in _PAIRED):
        return ""
    if (norms[at] == "左" and ahead == "右") or (norms[at] == "右" and at > start and norms[at - 1] == "左"):
        return ""
    if (norms[at] == "left" and ahead in _AFTER_VERB) or (norms[at] == "right" and ahead in _AFTER_ADVERB):
        return ""
    joined = (at + 2 < stop and ahead in _JOINS and norms[at + 2]) or (
        at - 2 >= start and norms[at - 1] in _JOINS and norms[at - 2]
    )
    return BOTH if joined and _WORDS.get(joined) == _opposite().get(side) else side
