"""Findings as the pages show them: from a job's stored findings to rows and short texts. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

NEAR = 0.5
"""A probability of at least this share of the operating point is near it: "not found" alone would hide that."""
LEAST = 0.001
"""Least share for people; what is less, and not 0, is said to be less than it."""
_RANGE = re.compile(r"range (?:over|of) (?:[a-z]{1,12} ){1,4}?(?:networks|images)")
_ANNOTATION = re.compile(r"\{[^{}]{0,64}\}")


@dataclass(frozen=True, slots=True)
class Measure:
    """A number as people read it."""

    name: str
    value: str
    unit: str
    interval: str  # "1.52 to 1.88 (95 %)", "0.7 to 0.9 (range over three networks)", "" where there is none
    method: str


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One finding of the table; of one that is not ``present`` ``missed`` says why."""

    title: str
    code: str
    side: str
    text: str
    confidence: str
    segment: int | None
    measures: tuple[Measure, ...]
    present: bool = True
    missed: str = ""  # why it is not reported as present; "" where it is


def rows(findings: Iterable[Any]) -> list[FindingRow]:
    """Return the table rows of a job's findings."""
    return [_row(finding) for finding in findings if isinstance(finding, Mapping)]


def _row(finding: Mapping[str, Any]) -> FindingRow:
    code = _mapping(finding.get("code"))
    segment = finding.get("segment")
    return FindingRow(
        title=title(finding),
        code=" ".join(str(code[key]) for key in ("scheme", "value") if code.get(key)),
        side=str(finding.get("side") or ""),
        text=str(finding.get("text") or ""),
        confidence=_confidence(finding),
        segment=segment if isinstance(segment, int) else None,
        measures=tuple(map(_measure, _measures(finding))),
        present=is_present(finding),
        missed=missed(finding, "looked for, not found"),
    )


def title(finding: Mapping[str, Any]) -> str:
    """Name a finding: its code's meaning, with what its label says after it, such as the part of a structure."""
    label = str(finding.get("label") or "")
    meaning = str(_mapping(finding.get("code")).get("meaning") or label or "finding")
    known, words = set(meaning.casefold().split()), label.casefold().replace("_", "-").split("-")
    first = next((at for at, word in enumerate(words) if word in known), len(words))
    beyond = [word for word in words[first:] if word.isalpha() and word not in known]
    return " ".join([meaning, *beyond]) if known & set(words) else meaning


def is_present(finding: Mapping[str, Any]) -> bool:
    """Whether it was found; findings of older versions do not say, and were."""
    return finding.get("present") is not False


def missed(finding: Mapping[str, Any], nothing: str = "not found") -> str:
    """Say why a finding is not reported as present: below an operating point that it comes near, or ``nothing``."""
    if is_present(finding):
        return ""
    point, value = finding.get("threshold"), probability(finding)
    if isinstance(point, int | float) and value is not None and NEAR * point <= value < point:
        return f"below the operating point of {percent(float(point))}"
    return nothing


def probability(finding: Mapping[str, Any]) -> float | None:
    """Probability among the measurements of a finding; None where there is none."""
    found = next((item.get("value") for item in _measures(finding) if is_probability(item)), None)
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


def is_probability(measure: Mapping[str, Any]) -> bool:
    """Whether a measurement is the probability of its finding (122157, DCM)."""
    name = _mapping(measure.get("name"))
    return (name.get("scheme"), name.get("value")) == ("DCM", "122157")


def percent(value: float) -> str:
    """Return a share as people read it; a small one with a digit more, so that it does not read as none."""
    if 0 < value < LEAST:
        return f"<\N{NO-BREAK SPACE}{100 * LEAST:g}\N{NO-BREAK SPACE}%"
    shown = f"{100 * value:.0f}" if 0.1 <= value <= 0.995 or value in (0.0, 1.0) else f"{100 * value:.1f}"
    return f"{shown}\N{NO-BREAK SPACE}%"


def _confidence(finding: Mapping[str, Any]) -> str:
    """How sure the model is of what it found; nothing where a probability says the same."""
    confidence = finding.get("confidence")
    if not isinstance(confidence, int | float) or not is_present(finding):
        return ""
    return "" if any(map(is_probability, _measures(finding))) else f"{confidence:.0%}"


def _measures(finding: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    given = finding.get("measurements")
    return [measure for measure in given if isinstance(measure, Mapping)] if isinstance(given, list | tuple) else []


def _measure(measure: Mapping[str, Any]) -> Measure:
    lower, upper, level = (measure.get(key) for key in ("lower", "upper", "confidence"))
    if is_probability(measure):
        return _probability(measure)
    interval = f"{number(lower)} to {number(upper)}" if lower is not None and upper is not None else ""
    if interval and isinstance(level, int | float):
        interval += f" ({level:.0%})".replace("%", "\N{NO-BREAK SPACE}%")
    elif interval:
        interval += f" ({range_of(measure)})"
    return Measure(
        name=str(_mapping(measure.get("name")).get("meaning") or ""),
        value=number(measure.get("value")),
        unit=unit(_mapping(measure.get("unit"))),
        interval=interval,
        method=str(measure.get("method") or ""),
    )


def _probability(measure: Mapping[str, Any]) -> Measure:
    value, lower, upper, level = (measure.get(key) for key in ("value", "lower", "upper", "confidence"))
    ends = [percent(float(end)) for end in (lower, upper) if isinstance(end, int | float)]
    interval = " to ".join(ends) if len(ends) == 2 else ""
    if interval and isinstance(level, int | float):
        interval += f" (interval of {percent(float(level))})"
    elif interval:
        interval += f" ({range_of(measure)})"
    shown = percent(float(value)) if isinstance(value, int | float) else "—"
    return Measure("Probability", shown, "", interval, str(measure.get("method") or ""))


def range_of(measure: Mapping[str, Any]) -> str:
    """Say what two limits are to which no share of certainty belongs: "range over three networks"."""
    found = _RANGE.search(str(measure.get("method") or ""))
    return found.group() if found else "range"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def unit(code: Mapping[str, Any]) -> str:
    """Return a UCUM unit as people write it; both cases of the litre are UCUM, ``mL`` cannot be misread.

    What stands in braces is no unit (UCUM, section 12): of ``{H.B.}/min`` ``/min`` is left.
    """
    value = _ANNOTATION.sub("", str(code.get("value") or ""))
    return {"ml": "mL", "l": "L", "mm3": "mm³", "mm2": "mm²", "cm3": "cm³", "cm2": "cm²", "1": "", "a": "years"}.get(
        value, value
    )


def number(value: Any, *, digits: int = 3) -> str:
    """Return a number with about ``digits`` significant digits and no exponent; an em dash for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return "—"
    whole = len(str(int(abs(value)))) if abs(value) >= 1 else 0 if value else 1
    return f"{value:.{max(0, digits - whole)}f}"


def short(findings: Iterable[Any], limit: int = 4) -> list[str]:
    """Return findings in few words, such as ``["anterior 1.7 mL", "posterior 1.5 mL"]``, for the worklist."""
    stored = [finding for finding in findings if isinstance(finding, Mapping)]
    names = _short_names([str(finding.get("label") or "finding") for finding in stored])
    texts = []
    for name, finding in zip(names, stored, strict=True):
        side = str(finding.get("side") or "")
        words = [side if side and side not in name else "", name, missed(finding), _first_measure(finding)]
        texts.append(" ".join(word for word in words if word))
    return [*texts[:limit], f"and {len(texts) - limit} more"] if len(texts) > limit else texts


def _short_names(labels: Sequence[str]) -> list[str]:
    """Labels without the words that all of them begin with, so that the part that differs is read."""
    parts = [label.split("-") for label in labels]
    common = 0
    if len(set(labels)) > 1:
        common = sum(1 for _ in takewhile(lambda words: len(set(words)) == 1, zip(*parts, strict=False)))
    return [" ".join(words[common:]) or label for words, label in zip(parts, labels, strict=True)]


def _first_measure(finding: Mapping[str, Any]) -> str:
    for measure in _measures(finding):
        if isinstance(measure.get("value"), int | float):
            if is_probability(measure):
                return f"({percent(float(measure['value']))})"
            return f"{number(measure['value'], digits=2)} {unit(_mapping(measure.get('unit')))}".strip()
    return ""
