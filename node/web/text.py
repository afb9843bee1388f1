"""Pure text work of the pages: names, ages, notes with their facts, HL7 segments. Nothing here is markup."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

ASSERTIONS = ("present", "negated", "family", "historical", "uncertain", "hypothetical", "other")
"""How a fact can be asserted, as the pages name it; also the CSS classes."""


def person_name(value: str) -> str:
    """Return a PN (PS3.5 section 6.2.1) as people write it: ``"Doe, Jane (Dr)"``.

    The component groups (alphabetic, ideographic, phonetic; PS3.5 section 6.2.1.2) are joined by a middle dot. Only the
    alphabetic group takes a comma: ideographic and phonetic names put the family name first without one.
    """
    groups = [_name_group(group, comma=index == 0) for index, group in enumerate(value.split("=")[:3])]
    return " · ".join(group for group in groups if group)


def _name_group(group: str, *, comma: bool) -> str:
    parts = [" ".join(part.split()) for part in group.split("^")]
    family, given, middle, prefix, suffix = (parts + [""] * 5)[:5]
    name = (", " if comma else " ").join(part for part in (family, f"{given} {middle}".strip()) if part)
    title = ", ".join(part for part in (prefix, suffix) if part)
    return f"{name} ({title})".strip() if title else name


def parse_date(value: str) -> dt.date | None:
    """Return a DA value (PS3.5 section 6.2, ``YYYYMMDD``) as a date, None where it is not one."""
    try:
        return dt.datetime.strptime(value, "%Y%m%d").replace(tzinfo=dt.UTC).date() if len(value) == 8 else None
    except ValueError:
        return None


def show_date(value: str) -> str:
    """Return a DA value in ISO form; what is no date stays as it is."""
    date = parse_date(value)
    return date.isoformat() if date else value


def age(birth_date: str, on: dt.date) -> str:
    """Return the age on a day as radiology writes it: days, weeks, months for the young, else years; "" if unknown."""
    born = parse_date(birth_date)
    if born is None or born > on:
        return ""
    days = (on - born).days
    months = (on.year - born.year) * 12 + on.month - born.month - (on.day < born.day)
    if days < 28:
        return f"{days} d"
    if months < 3:
        return f"{days // 7} w"
    return f"{months} mo" if months < 24 else f"{months // 12} y"


class FactLike(Protocol):
    """What the marking of a note needs of a fact."""

    start: int
    end: int
    negated: bool
    uncertain: bool
    historical: bool
    hypothetical: bool
    experiencer: str


def assertion(fact: FactLike) -> str:
    """Return the word of :data:`ASSERTIONS` that says how a fact is meant; whose it is comes before how sure."""
    if fact.experiencer != "patient":
        return "family" if fact.experiencer == "family" else "other"
    for word in ("negated", "hypothetical", "uncertain", "historical"):
        if getattr(fact, word):
            return word
    return "present"


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of a note's text and the facts (by their position in the list given) that cover it."""

    text: str
    facts: tuple[int, ...] = ()


def pieces(text: str, spans: Iterable[tuple[int, int]]) -> list[Piece]:
    """Cut ``text`` at the borders of ``spans``; the pieces joined are ``text`` again.

    Spans may overlap or nest; those that do not lie inside the text are left out.
    """
    valid = [(start, end, index) for index, (start, end) in enumerate(spans) if 0 <= start < end <= len(text)]
    coming = sorted(valid, reverse=True)
    borders = sorted({0, len(text), *(start for start, _, _ in valid), *(end for _, end, _ in valid)})
    open_spans: list[tuple[int, int]] = []
    cut = []
    for left, right in pairwise(borders):
        open_spans = [span for span in open_spans if span[0] > left]
        while coming and coming[-1][0] == left:
            _, end, index = coming.pop()
            open_spans.append((end, index))
        cut.append(Piece(text[left:right], tuple(sorted(index for _, index in open_spans))))
    return cut


def brief(triage: Mapping[str, Any], limit: int = 120) -> str:
    """Return the first reason of a triage in few words: its first sentence, without the source in brackets."""
    reasons = triage.get("reasons")
    first = str(reasons[0]) if isinstance(reasons, list) and reasons else ""
    words = first[:1000].partition("[")[0].strip().partition(". ")[0].rstrip(".")
    return words if len(words) <= limit else f"{words[: limit - 1].rstrip()}…"


def duration(seconds: float) -> str:
    """Return a time span in the largest unit that tells it: ``0.04 s``, ``12 s``, ``5 min``, ``3 h``, ``4 d``."""
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"


def hl7_segments(raw: bytes) -> list[str]:
    """Return an HL7 message as readable lines, one a segment (HL7 v2.5.1 chapter 2.5); MLLP framing is taken off."""
    body = raw.strip(b"\x0b\x1c\r\n")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        text = body.decode("latin-1")
    lines = text.replace("\r\n", "\r").replace("\n", "\r").split("\r")
    return ["".join(c if c.isprintable() else "\ufffd" for c in line) for line in lines if line]
