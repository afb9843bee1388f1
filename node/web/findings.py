"""Findings as the pages show them: from a job's stored findings to rows and short texts. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any


@dataclass(frozen=True, slots=True)
class Measure:
    """A number as people read it."""

    name: str
    value: str
    unit: str
    interval: str  # "1.52 to 1.88 (95 %)", "" where there is none
    method: str


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One finding of the table; one that is not ``present`` was looked for and not found."""

    title: str
    code: str
    side: str
    text: str
    confidence: str
    segment: int | None
    measures: tuple[Measure, ...]
    present: bool = True


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
    )


def title(finding: Mapping[str, Any]) -> str:
    """Name a finding."""
    return str(_mapping(finding.get("code")).get("meaning") or finding.get("label") or "finding")


def is_present(finding: Mapping[str, Any]) -> bool:
    """Whether it was found; findings of older versions do not say, and were."""
    return finding.get("present") is not False


def is_probability(measure: Mapping[str, Any]) -> bool:
    """Whether a measurement is the probability of its finding (122157, DCM)."""
    name = _mapping(measure.get("name"))
    return (name.get("scheme"), name.get("value")) == ("DCM", "122157")


def percent(value: float) -> str:
    """Return a share as people read it; a small one with a digit more, so that it does not read as none."""
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
    shown = percent(float(value)) if isinstance(value, int | float) else "—"
    return Measure("Probability", shown, "", interval, str(measure.get("method") or ""))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def unit(code: Mapping[str, Any]) -> str:
    """Return a UCUM unit as people write it; both cases of the litre are UCUM, ``mL`` cannot be misread."""
    value = str(code.get("value") or "")
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
        missed = "" if is_present(finding) else "not found"
        words = [side if side and side not in name else "", name, missed, _first_measure(finding)]
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
