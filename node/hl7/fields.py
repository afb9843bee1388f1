"""HL7 data types as the records keep them: names, identifiers, dates, codes, priorities. Pure."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from node.errors import Hl7InputError
from node.hl7.message import Hl7Message, Segment, part

_TIME = re.compile(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:\.(\d{1,6})\d*)?)?)?)?)?)?\s*([+-]\d{4})?\Z"
)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?\Z")
_SEX: Mapping[str, str] = {"M": "M", "F": "F", "O": "O", "A": "O", "N": "O"}  # table 0001 to DICOM (0010,0040)
_PRIORITY: Mapping[str, str] = {
    "S": "STAT",
    "STAT": "STAT",
    "A": "ASAP",
    "ASAP": "ASAP",
    "R": "ROUTINE",
    "ROUTINE": "ROUTINE",
}
_IDENTIFIER_RANK: Mapping[str, int] = {"MR": 0, "PI": 0, "": 1, "PT": 2, "AN": 4, "VN": 4}  # table 0203
_OTHER_RANK = 3
"""Rank of a number that means a person, but to the state or an insurer: SS, DL, PPN..."""
_DIGITS = re.compile(r"\s*\d{12}")
"""A time stamp that tells messages of one day apart."""
AHEAD_MAX = dt.timedelta(days=1)
"""How far a sender's clock may be ahead for its time to be believed: a wrong zone is at most some 14 hours."""
IDENTIFIER_MAX = 250
"""Longest identifier that is taken (HL7 v2.7 sets 199 with namespace and universal id apart)."""


@dataclass(frozen=True, slots=True)
class Code:
    """A coded element (CE, CWE)."""

    value: str
    text: str
    scheme: str


def person_id(pid: Segment) -> tuple[str, str]:
    """Return identifier and assigning authority (CX.4.1, or the universal id CX.4.2) of PID-3.

    Of several repetitions the first medical record number counts (CX.5 MR or PI, table 0203), else the first that is
    not typed, and only then numbers that others gave; so the order in which a sender lists them does not matter.

    Raises
    ------
    Hl7InputError
        PID-3 is empty.
    """
    found = _identifiers(pid, 3)
    if not found:
        raise Hl7InputError("PID-3 (patient identifier list) is missing", error_code="101", location="PID^1^3")
    return _cx(found[0][1], "PID^1^3")


def prior_ids(mrg: Segment) -> list[tuple[str, str]]:
    """Return identifiers and authorities of MRG-1: its medical record numbers, or what it has instead of one.

    Raises
    ------
    Hl7InputError
        MRG-1 is empty.
    """
    found = _identifiers(mrg, 1)
    if not found:
        raise Hl7InputError("MRG-1 (prior patient identifier list) is missing", error_code="101", location="MRG^1^1")
    medical = [text for rank, text in found if rank < _OTHER_RANK] or [found[0][1]]
    return list(dict.fromkeys(_cx(text, "MRG^1^1") for text in medical))


def _identifiers(segment: Segment, field: int) -> list[tuple[int, str]]:
    """Return the repetitions of a CX field that have an identifier, with their rank, the one that counts first."""
    ranked = [
        (_IDENTIFIER_RANK.get(part(text, 5).upper(), _OTHER_RANK), text)
        for text in segment.repetitions(field)
        if part(text, 1)
    ]
    return sorted(ranked, key=lambda item: item[0])


def _cx(text: str, location: str) -> tuple[str, str]:
    return fits(part(text, 1), location), fits(part(text, 4) or part(text, 4, 2), location)


def fits(identifier: str, location: str) -> str:
    """Return an identifier that can be kept whole; cut off, it could become another one's.

    Raises
    ------
    Hl7InputError
        Code 104, value too long.
    """
    if len(identifier) > IDENTIFIER_MAX:
        raise Hl7InputError("an identifier is too long", error_code="104", location=location)
    return identifier


def person_name(segment: Segment, field: int) -> str:
    """Turn XPN repetitions into a DICOM PN, groups ``alphabetic=ideographic=phonetic``.

    A group is ``family^given^middle^prefix^suffix`` (PS3.5 section 6.2.1.1); XPN has suffix and prefix the other
    way round. XPN.8 (table 4000: A, I, P) says which group a repetition is.
    """
    groups = {"A": "", "I": "", "P": ""}
    for text in segment.repetitions(field):
        group = part(text, 8) if part(text, 8) in groups else "A"
        components = [part(text, n).replace("=", " ").replace("^", " ") for n in (1, 2, 3, 5, 4)]
        groups[group] = groups[group] or "^".join(components).rstrip("^")
    return "=".join(groups.values()).rstrip("=")


def date(text: str) -> str:
    """Return ``YYYYMMDD`` of a date or time stamp, "" unless it is a whole date that exists."""
    digits = text.strip()[:8]
    try:
        return (
            dt.date(int(digits[:4]), int(digits[4:6]), int(digits[6:8])).strftime("%Y%m%d") if len(digits) == 8 else ""
        )
    except ValueError:
        return ""


def time(text: str, zone_from: str = "") -> dt.datetime | None:
    """Return a time stamp (TS, DTM) as aware datetime, None if it is missing or no time.

    Without an offset of its own it is in that of ``zone_from`` (MSH-7; section 2.15.9.7), else in the node's zone.
    """
    match = _TIME.match(text.strip())
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    try:
        naive = dt.datetime(
            int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0),
            int((fraction or "0").ljust(6, "0")),
        )  # fmt: skip
        if offset is None and (stated := _TIME.match(zone_from.strip())):
            offset = stated.group(8)
        if offset is None:
            return naive.astimezone(dt.UTC)
        shift = dt.timedelta(hours=int(offset[1:3]), minutes=int(offset[3:5]))
        return naive.replace(tzinfo=dt.timezone(-shift if offset[0] == "-" else shift)).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None


def stated_at(message: Hl7Message, received_at: dt.datetime) -> dt.datetime:
    """Return when a message was stated: EVN-2 of an ADT (section 3.4.1.2), else MSH-7, else when it came.

    Either counts only where it tells the minute: a bare date would make a message older than its predecessor. And it
    counts only if it is not more than :data:`AHEAD_MAX` later than the arrival: one message from a clock that is years
    ahead would outrank everything that is stated in those years, a cancellation too.
    """
    sent = message.segments[0].get(7)
    event = message.first("EVN") if message.header.code == "ADT" else None
    for text in (event.get(2) if event is not None else "", sent):
        if _DIGITS.match(text) and (at := time(text, sent)) is not None and at <= received_at + AHEAD_MAX:
            return at
    return received_at


def sex(text: str) -> str:
    """Return M, F, O or ""."""
    return _SEX.get(text.strip().upper(), "")


def entity(text: str) -> str:
    """Return an entity identifier (EI) as ``id^namespace`` (or ``id^universal id``), ``id`` alone, or ""."""
    identifier = part(text, 1).replace("^", " ")
    namespace = (part(text, 2) or part(text, 3)).replace("^", " ")
    return f"{identifier}^{namespace}" if identifier and namespace else identifier


def code(segment: Segment, field: int) -> Code:
    """Return a coded element; its alternate (components 4 to 6) where the first is empty."""
    first = Code(segment.get(field, 1), segment.get(field, 2), segment.get(field, 3))
    return (
        first
        if first.value
        else Code(segment.get(field, 4), segment.get(field, 5) or first.text, segment.get(field, 6))
    )


def priority(candidates: Iterable[str]) -> str:
    """Return the first of ``candidates`` that is said, as STAT, ASAP or ROUTINE; "" where none is."""
    said = [text.strip().upper() for text in candidates if text.strip()]
    return _PRIORITY.get(said[0], "ROUTINE") if said else ""


def number(text: str) -> float | None:
    """Return a NM as float, None if it is none."""
    value = float(text) if _NUMBER.match(text.strip()) else math.inf
    return value if math.isfinite(value) else None


def person(text: str) -> str:
    """Return an XCN as ``family, given``, or its identifier where no name is given."""
    return ", ".join(filter(None, (part(text, 2), part(text, 3)))) or part(text, 1)
