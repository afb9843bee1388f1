"""Findings, values and statements in words for people, short and bounded. Pure."""

from __future__ import annotations

import datetime as dt
import math
import re

from models.contracts import Finding
from models.facts import Assertion, Experiencer, NoteFact
from models.fusion.contracts import Case, Observed, Seen
from models.fusion.knowledge_values import converted

#: Characters of one piece of text, such as a quotation.
MAX_TEXT = 80

#: Units as people write them; an annotation in braces ("{INR}") is none (UCUM, section 12).
_UNITS = {"{pack}.a": "pack-years", "1": "", "a": "years"}

_LABEL_BREAKS = re.compile(r"[\s_-]+")
_STATED = {"negated": "denied", "uncertain": "suspected", "historical": "past", "hypothetical": "only if"}


def shows(case: Case, *, now: bool = False) -> str:
    """Say who shows a finding: "the images show", "the waveform now shows"."""
    verb = "show" if case.seen in (Seen.IMAGES, Seen.VALUES) else "shows"
    return f"the {case.seen} now {verb}" if now else f"the {case.seen} {verb}"


def size_mm(finding: Finding) -> float | None:
    """Largest length among a finding's measurements in mm, None where there is none."""
    lengths = [converted(item.value, item.unit.value, "mm") for item in finding.measurements[:20]]
    return max((length for length in lengths if length is not None and length > 0), default=None)


def describe(finding: Finding) -> str:
    """Name a finding for people: "Lung nodule, left, 9 mm"."""
    size = size_mm(finding)
    extent = f"{size:.3g} mm" if size else _volume(finding)
    parts = [shorten(_name(finding)), str(finding.side or ""), extent]
    return ", ".join(part for part in parts if part)


def _name(finding: Finding) -> str:
    """Meaning of the code, with what the label says after it: "Hippocampus posterior" of ``hippocampus-posterior``."""
    meaning = finding.code.meaning
    known = set(meaning.casefold().split())
    label = _LABEL_BREAKS.split(finding.label[:MAX_TEXT].casefold())
    first = next((at for at, word in enumerate(label) if word in known), len(label))
    beyond = [word for word in label[first:] if word.isalpha() and word not in known]
    named = " ".join([meaning, *beyond]) if known & set(label) else meaning
    return named or finding.label or finding.code.value or "finding"


def _volume(finding: Finding) -> str:
    volumes = [converted(item.value, item.unit.value, "mL") for item in finding.measurements[:20]]
    found = max((volume for volume in volumes if volume is not None and volume > 0), default=None)
    return f"{found:.3g} mL" if found else ""


def confidence(finding: Finding) -> str:
    """Say how sure a model is: "confidence 0.93", "" where it does not say."""
    said = finding.confidence
    if said is None:
        return ""
    if said < 0.005:
        return "confidence below 0.01"
    return f"confidence {said:.2f}" if math.isfinite(said) else "confidence not known"


def describe_fact(fact: NoteFact, where: str) -> str:
    """Name what a note states: "nodule, left, 9 mm (past, 2024; note of 2026-03-10)"."""
    given = fact.quantity
    amount = ""
    if given is not None and math.isfinite(given.value) and not any(sign.isdecimal() for sign in fact.surface):
        shown = f"{given.value:g}" if given.upper is None else f"{given.value:g}-{given.upper:g}"
        amount = f"{given.comparator}{shown} {unit_of(given.unit)}".strip()
    side = fact.side if fact.side and fact.side not in fact.surface.casefold() else ""
    said = ", ".join(part for part in (how(fact.assertion), fact.when[:10] if fact.when[:1] != "-" else "") if part)
    return f"{', '.join(part for part in (shorten(fact.surface), side, amount) if part)} ({said}; {where})"


def ordinal(value: float) -> str:
    """Write a place from 1 to 99 as people do: "2nd", "50th"."""
    place = min(99, max(1, round(value)))
    ending = "th" if 10 < place < 20 else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{ending}"


def unit_of(unit: str) -> str:
    """Write a unit as people do."""
    return _UNITS.get(unit, "" if unit.startswith("{") else unit[:20])


def describe_observed(item: Observed) -> str:
    """Name a value for people: "INR 3.1, 2024-03-01"."""
    shown = f"{item.value:g}" if item.value is not None and math.isfinite(item.value) else shorten(item.text)
    unit = f" {unit_of(item.unit)}" if unit_of(item.unit) else ""
    flag = f" ({item.flag[:10]})" if item.flag else ""
    return f"{shorten(item.code.meaning or item.code.value)} {shown}{unit}{flag}, {day(item.observed_at)}"


def how(said: Assertion) -> str:
    """Say in words how something is stated."""
    words = [word for name, word in _STATED.items() if getattr(said, name)]
    who = [] if said.experiencer is Experiencer.PATIENT else [str(said.experiencer)]
    return ", ".join([*words, *who]) or "present"


def shorten(text: str) -> str:
    """Fold white space and cut to :data:`MAX_TEXT` characters."""
    folded = " ".join(text[: 4 * MAX_TEXT].split())
    return folded if len(folded) <= MAX_TEXT else folded[: MAX_TEXT - 1] + "…"


def day(when: dt.datetime | None) -> str:
    """Date of a time, or that it is not known."""
    return when.date().isoformat() if when else "unknown date"
