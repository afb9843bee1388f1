"""HL7 data types as they are written, with standard delimiters. Pure."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from decimal import Decimal

from node.hl7.escape import escape

DIGITS = 6
"""Significant digits of a measured value: more than any model's error, fewer than float noise."""


@dataclass(frozen=True, slots=True)
class Concept:
    """A coded concept; written as CE (``value^meaning^scheme``)."""

    value: str
    scheme: str
    meaning: str


def decimal(value: float) -> str:
    """Write a NM: digits, sign and point, never an exponent (section 2.A.47).

    Raises
    ------
    ValueError
        The number is not finite.
    """
    if not math.isfinite(value):
        raise ValueError("a value that is not finite cannot be reported")
    text = format(Decimal(f"{value:.{DIGITS}g}"), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def timestamp(at: dt.datetime) -> str:
    """Write a TS with its offset (section 2.A.77)."""
    if at.tzinfo is None:
        raise ValueError("times are aware")
    return at.strftime("%Y%m%d%H%M%S%z")[:19]


def ce(concept: Concept) -> str:
    """Write a coded element."""
    return "^".join((st(concept.value), st(concept.meaning), st(concept.scheme)))


def xpn(name: str) -> str:
    """Turn a DICOM PN into XPN repetitions, ideographic and phonetic groups with their XPN.8 (table 4000)."""
    groups = name.split("=")[:3]
    written = []
    for code, group in zip("AIP", groups, strict=False):
        family, given, middle, prefix, suffix = ([*group.split("^"), "", "", "", "", ""])[:5]
        parts = [st(part.strip()) for part in (family, given, middle, suffix, prefix)]
        if any(parts):
            written.append("^".join([*parts, "", "", code if len(groups) > 1 else ""]).rstrip("^"))
    return "~".join(written)


def ei(number: str) -> str:
    """Write an entity identifier that is kept as ``id^namespace``."""
    return "^".join(st(part) for part in number.split("^"))


def st(text: str) -> str:
    """Write a string: escaped, one line."""
    return escape(text.strip(), newline="")
