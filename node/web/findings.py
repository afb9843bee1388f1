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
    """One finding of the table."""

    title: str
    code: str
    side: str
    text: str
    confidence: str
    segment: int | None
    measures: tuple[Measure, ...]


def rows(findings: Iterable[Any]) -> list[FindingRow]:
    """Return the table rows of a job's findings."""
    return [_row(finding) for finding in findings if isinstance(finding, Mapping)]


def _row(finding: Mapping[str, Any]) -> FindingRow:
    code = _mapping(finding.get("code"))
    measures = finding.get("measurements") or []
    confidence, segment = finding.get("confidence"), finding.get("segment")
    return FindingRow(
        title=str(code.get("meaning") or finding.get("label") or "finding"),
        code=" ".join(str(code[key]) for key in ("scheme", "value") if code.get(key)),
        side=str(finding.get("side") or ""),
        text=str(finding.get("text") or ""),
        confidence=f"{confidence:.0%}" if isinstance(confidence, int | float) else "",
        segment=segment if isinstance(segment, int) else None,
        measures=tuple(_measure(measure) for measure in measures if isinstance(measure, Mapping)),
    )


def _measure(measure: Mapping[str, Any]) -> Measure:
    lower, upper, level = (measure.get(key) for key in ("lower", "upper", "confidence"))
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


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def unit(code: Mapping[str, Any]) -> str:
    """Return a UCUM unit as people write it; both cases of the litre are UCUM, ``mL`` cannot be misread."""
    value = str(code.get("value") or "")
    return {"ml": "mL", "l": "L", "mm3": "mm³", "mm2": "mm²", "cm3": "cm³", "cm2": "cm²", "1": ""}.get(value, value)


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
        words = [side if side and side not in name else "", name, _first_measure(finding)]
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
    for measure in finding.get("measurements") or []:
        if isinstance(measure, Mapping) and isinstance(measure.get("value"), int | float):
            return f"{number(measure['value'], digits=2)} {unit(_mapping(measure.get('unit')))}".strip()
    return ""
