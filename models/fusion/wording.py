"""Findings, values and statements in words for people, short and bounded. Pure."""

from __future__ import annotations

import datetime as dt
import math

from models.contracts import Finding
from models.facts import Assertion, Experiencer
from models.fusion.contracts import Observed
from models.fusion.knowledge_values import converted

#: Characters of one piece of text, such as a quotation.
MAX_TEXT = 80


def size_mm(finding: Finding) -> float | None:
    """Largest length among a finding's measurements in mm, None where there is none."""
    lengths = [converted(item.value, item.unit.value, "mm") for item in finding.measurements[:20]]
    return max((length for length in lengths if length is not None and length > 0), default=None)


def describe(finding: Finding) -> str:
    """Name a finding for people: "Lung nodule, left, 9 mm"."""
    size = size_mm(finding)
    parts = [shorten(finding.code.meaning or finding.label), str(finding.side or ""), f"{size:.3g} mm" if size else ""]
    return ", ".join(part for part in parts if part)


def describe_observed(item: Observed) -> str:
    """Name a value for people: "INR 3.1, 2024-03-01"."""
    shown = f"{item.value:g}" if item.value is not None and math.isfinite(item.value) else shorten(item.text)
    unit = f" {item.unit[:20]}" if item.unit else ""
    flag = f" ({item.flag[:10]})" if item.flag else ""
    return f"{shorten(item.code.meaning or item.code.value)} {shown}{unit}{flag}, {day(item.observed_at)}"


def how(said: Assertion) -> str:
    """Say in words how something is stated."""
    words = [word for word in ("negated", "uncertain", "historical", "hypothetical") if getattr(said, word)]
    who = [] if said.experiencer is Experiencer.PATIENT else [str(said.experiencer)]
    return ", ".join([*words, *who]) or "present"


def shorten(text: str) -> str:
    """Fold white space and cut to :data:`MAX_TEXT` characters."""
    folded = " ".join(text[: 4 * MAX_TEXT].split())
    return folded if len(folded) <= MAX_TEXT else folded[: MAX_TEXT - 1] + "…"


def day(when: dt.datetime | None) -> str:
    """Date of a time, or that it is not known."""
    return when.date().isoformat() if when else "unknown date"
