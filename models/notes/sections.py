"""Sections of a note: known headings, and what each says of the statements below it.

A heading is a known title at the start of a line, of a sentence, or behind a run of spaces (notes often arrive with
their line breaks lost), followed by a colon, or at the start of a line by a dash between spaces; or a known title alone
on its line. An unknown heading in capitals with a colon closes the section above it, so that its defaults do not run
on.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from models.facts import Assertion, Experiencer
from models.notes.phrases import PhraseTrie
from models.notes.resources import read_toml
from models.notes.tokens import Tokens, tokenize

PREAMBLE = "note"  # section of whatever stands before the first heading
OTHER = "other"  # section of an unknown heading
_COLONS = (":", "：")
_HISTORIES = ("HISTORY", "HX")
_PAST_WORDS = frozenset({"past", "previous", "prior", "pmh", "pmhx", "psh", "pshx"})
_NOW_WORDS = frozenset(
    {"clinical", "social", "present", "patient", "interval", "drug", "medication", "sexual", "occupational", "family"}
    | {"developmental", "birth", "brief", "indication", "presenting", "travel", "limited", "pertinent", "relevant"}
)
_DASHES = ("-", "\u2013", "\u2014")


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of a note: the heading is ``start:body``, the statements are ``body:end``.

    Parameters
    ----------
    default
        How its statements stand unless their words say otherwise.
    denies_past
        Whether what it denies is denied of the past too.
    """

    name: str
    start: int
    body: int
    end: int
    default: Assertion
    denies_past: bool = False


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    default: Assertion
    denies_past: bool = False


@dataclass(frozen=True, slots=True)
class _Heading:
    start: int
    body: int
    kind: _Kind


def _default(entry: dict[str, Any]) -> Assertion:
    return Assertion(
        uncertain=bool(entry.get("uncertain", False)),
        historical=bool(entry.get("historical", False)),
        hypothetical=bool(entry.get("hypothetical", False)),
        experiencer=Experiencer(entry.get("experiencer", "patient")),
    )


@cache
def _titles() -> PhraseTrie[_Kind]:
    phrases: list[tuple[tuple[str, ...], _Kind]] = []
    for name, entry in read_toml("sections.toml").items():
        kind = _Kind(name, _default(entry), bool(entry.get("denies_past", False)))
        phrases.extend((tokenize(title).norms, kind) for title in entry["titles"])
    return PhraseTrie(phrases)


@cache
def _unknown_heading() -> re.Pattern[str]:
    """Capitals and a colon, at the start of a line or behind at least two spaces; bounded, hence linear."""
    return re.compile(r"(?:(?<=\n)|(?<=\s\s)|\A)[A-Z][A-Z0-9 /&(),'-]{2,48}:")


def find_sections(text: str, tokens: Tokens) -> tuple[Section, ...]:
    """Cut ``text`` into sections that cover it without gaps; always at least one."""
    headings = _merge(list(_known(text, tokens)), list(_unknown(text)))
    if not headings or headings[0].start > 0:
        headings.insert(0, _Heading(0, 0, _Kind(PREAMBLE, Assertion())))
    ends = [heading.start for heading in headings[1:]] + [len(text)]
    return tuple(
        Section(heading.kind.name, heading.start, heading.body, end, heading.kind.default, heading.kind.denies_past)
        for heading, end in zip(headings, ends, strict=True)
    )


def _merge(known: list[_Heading], unknown: list[_Heading]) -> list[_Heading]:
    """Join both lists in text order; an unknown heading that touches a known one is dropped."""
    starts = [heading.start for heading in known]
    kept = []
    for heading in unknown:
        before = bisect_right(starts, heading.body - 1) - 1
        if before < 0 or known[before].body <= heading.start:
            kept.append(heading)
    return sorted([*known, *kept], key=lambda heading: heading.start)


def _unknown(text: str) -> Iterator[_Heading]:
    for match in _unknown_heading().finditer(text):
        yield _Heading(match.start(), match.end(), _Kind(OTHER, _by_words(match.group())))


def _by_words(heading: str) -> Assertion:
    """Say how statements stand below a heading that is no known title: "CARDIAC HISTORY", "PREVIOUS OPERATIONS"."""
    words = frozenset(heading.lower().replace("/", " ").strip(": ").split())
    past = not words.isdisjoint(_PAST_WORDS) or (
        heading.rstrip(": ").endswith(_HISTORIES) and words.isdisjoint(_NOW_WORDS)
    )
    return Assertion(historical=True) if past else Assertion()


def _known(text: str, tokens: Tokens) -> Iterator[_Heading]:
    for first, last, kind in _titles().scan(tokens.norms):
        start, end = tokens.starts[first], tokens.ends[last - 1]
        place = _place(text, start)
        if last < len(tokens) and tokens.norms[last] in _COLONS and text[end : tokens.starts[last]].strip(" \t") == "":
            if place == "line" or (place == "break" and not text[start].islower()):
                yield _Heading(start, tokens.ends[last], kind)
        elif place == "line" and last < len(tokens) and _dashed(text, end, tokens.starts[last]):
            yield _Heading(start, tokens.ends[last], kind)
        elif _closed(text, end) and (place == "line" or _bracketed(text, start)):
            yield _Heading(start, end, kind)


def _dashed(text: str, end: int, dash: int) -> bool:
    """Whether a dash between spaces follows on the line: "Allergies - none"."""
    between = text[end:dash]
    return text[dash] in _DASHES and between.strip(" \t") == "" != between and text[dash + 1 : dash + 2] in (" ", "\t")


def _place(text: str, start: int) -> str:
    """Say what stands before ``start``: ``"line"`` start, sentence ``"break"`` or ``"inside"`` of a sentence."""
    at = start
    while at > 0 and text[at - 1] in " \t*#【[-•":
        at -= 1
    if at == 0 or text[at - 1] == "\n":
        return "line"
    return "break" if text[at - 1] in ".;:。；：！？!?\r" or start - at >= 2 else "inside"


def _bracketed(text: str, start: int) -> bool:
    return start > 0 and text[start - 1] == "【"


def _closed(text: str, end: int) -> bool:
    """Whether nothing but white space follows on the line, or the bracket of a Chinese heading closes."""
    if text[end : end + 1] == "】":
        return True
    rest = text[end : end + 8].split("\n", 1)
    return rest[0].strip() == "" and (len(rest) == 2 or end + 8 >= len(text))
