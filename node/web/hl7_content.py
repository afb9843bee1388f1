"""An HL7 message field by field, with the names that the standard has for them. Pure; patient data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from node.errors import Hl7InputError
from node.hl7 import charset
from node.hl7.message import Segment, parse, peek
from node.settings import Hl7Section

NAMES_VERSION = "2.5.1"
"""Version of HL7 whose names of fields are shown; later ones only add fields and withdraw others."""
MAX_SEGMENTS = 500
MAX_FIELDS = 120
MAX_CHARACTERS = 4000
"""Of one field: a document in Base64 is not read by eye."""
_LINES = re.compile(r"[\r\n]+")
_CAPITALS = frozenset({"id", "hl7", "ssn", "nm", "cpt", "icd", "dna"})


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One field: ``PID-5``, its name where it is known, its repetitions as sent, in standard delimiters."""

    number: str
    name: str
    values: Sequence[str]
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """One segment."""

    name: str
    fields: Sequence[FieldRow]


@dataclass(frozen=True, slots=True)
class Content:
    """A whole message; ``problem`` says why it is shown line by line, ``lines``, where it cannot be read."""

    segments: Sequence[SegmentRow] = ()
    lines: Sequence[str] = ()
    problem: str = ""
    left_out: int = 0


def content(raw: bytes, settings: Hl7Section) -> Content:
    """Read a message for people; never raises for what a message may hold."""
    try:
        message = parse(raw, settings.charset, settings.charsets)
    except Hl7InputError as exc:
        lines = [line for line in _LINES.split(charset.lenient(raw, peek(raw).charset)) if line]
        shown = ["".join(c if c.isprintable() else "\ufffd" for c in line[:MAX_CHARACTERS]) for line in lines]
        return Content(lines=shown[:MAX_SEGMENTS], problem=str(exc), left_out=max(0, len(lines) - MAX_SEGMENTS))
    rows = [_segment(segment) for segment in message.segments[:MAX_SEGMENTS]]
    return Content(rows, left_out=max(0, len(message.segments) - MAX_SEGMENTS))


def _segment(segment: Segment) -> SegmentRow:
    names = field_names(segment.name)
    filled = [number for number in range(1, len(segment.fields)) if segment.raw(number)][:MAX_FIELDS]
    return SegmentRow(segment.name, [_field(segment, number, names) for number in filled])


def _field(segment: Segment, number: int, names: Mapping[int, str]) -> FieldRow:
    sent = segment.raw(number)
    shown, left = sent[:MAX_CHARACTERS], max(0, len(sent) - MAX_CHARACTERS)
    whole = segment.name == "MSH" and number <= 2  # the delimiters themselves
    values = [shown] if whole else shown.split("~")
    return FieldRow(f"{segment.name}-{number}", names.get(number, ""), values, left)


@lru_cache(maxsize=256)
def field_names(segment: str) -> Mapping[int, str]:
    """Return the names of a segment's fields by number; empty for a segment that the standard does not have."""
    from hl7apy import load_library  # its tables take a moment to load, and few ask for them
    from hl7apy.exceptions import ChildNotFound

    if not re.fullmatch(r"[A-Y][A-Z0-9]{2}", segment):
        return MappingProxyType({})
    try:
        _, fields, *_ = load_library(NAMES_VERSION).get(segment, "Segment")
    except (ChildNotFound, KeyError, TypeError, ValueError):
        return MappingProxyType({})
    return MappingProxyType(dict(_named(segment, fields)))


def _named(segment: str, fields: Iterable[Sequence[object]]) -> Iterable[tuple[int, str]]:
    for name, reference, *_ in fields:
        number = str(name).rpartition("_")[2]
        if number.isdecimal() and isinstance(reference, tuple | list) and len(reference) > 3:
            yield int(number), _words(str(reference[3]).removesuffix(f"_{segment}"))


def _words(name: str) -> str:
    """``PATIENT_IDENTIFIER_LIST`` as ``Patient identifier list``."""
    words = [word.upper() if word in _CAPITALS else word for word in name.lower().split("_") if word]
    text = " ".join(words)
    return text[:1].upper() + text[1:]
