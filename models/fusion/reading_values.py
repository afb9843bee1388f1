"""Reading laboratory values and vital signs from a :class:`Case`, in one unit and near the study.

A number without a usable unit, or beyond what is plausible, is not used. How long around the study a value counts is
this project's choice (:data:`ANALYTES`).
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from models.fusion.contracts import Case, Evidence, Observed, Source
from models.fusion.reading import Reading, between, instant, note_evidence, time_of
from models.fusion.units import LOINC, convert


@dataclass(frozen=True, slots=True)
class Analyte:
    """Something measured, as the scores want it.

    Parameters
    ----------
    names
        Entries of :data:`models.fusion.units.LOINC` that give it, and its usual names where a sender has codes of his
        own (compared in lower case with the whole name).
    unit
        UCUM, of the values given here.
    default_unit
        Unit of a value that comes without one, where no other is in use; else "".
    plausible
        Lowest and highest value that is believed, in ``unit``.
    before, after
        How long before and after the study it counts.
    """

    names: tuple[str, ...]
    unit: str
    default_unit: str
    plausible: tuple[float, float]
    before: dt.timedelta
    after: dt.timedelta


_DAY = dt.timedelta(days=1)

ANALYTES: Mapping[str, Analyte] = MappingProxyType(
    {
        "urea": Analyte(
            ("urea", "urea nitrogen", "blood urea nitrogen", "bun"), "mmol/L", "", (0.2, 150), 2 * _DAY, _DAY
        ),
        "INR": Analyte(("inr", "international normalized ratio"), "1", "1", (0.4, 30), 3 * _DAY, _DAY),
        "respiratory rate": Analyte(("respiratory rate", "respirations"), "/min", "/min", (3, 90), _DAY, _DAY),
        "systolic pressure": Analyte(
            ("systolic pressure", "systolic blood pressure"), "mm[Hg]", "mm[Hg]", (30, 320), _DAY, _DAY
        ),
        "diastolic pressure": Analyte(
            ("diastolic pressure", "diastolic blood pressure"), "mm[Hg]", "mm[Hg]", (10, 220), _DAY, _DAY
        ),
    }
)


def measured(case: Case, analyte: str) -> Reading | None:
    """Give the newest usable value of an analyte near the study: of the laboratory, else of a note.

    Parameters
    ----------
    analyte
        A key of :data:`ANALYTES`.

    Returns
    -------
    Reading or None
        In the analyte's unit. Where the study's time is not known every time counts.
    """
    wanted = ANALYTES[analyte]
    found = [*_of_laboratory(case, wanted), *_of_notes(case, wanted)]
    usable = [(at, rank, reading) for at, rank, reading in found if _near(case, at, wanted)]
    if not usable:
        return None
    laboratory = [item for item in usable if item[1] == 0]
    newest = max(laboratory or usable, key=lambda item: (instant(item[0]), item[2].evidence.reference))
    return newest[2]


def _near(case: Case, at: dt.datetime | None, wanted: Analyte) -> bool:
    if case.studied_at is None:
        return True
    if at is None:
        return False
    apart = between(case.studied_at, at)
    return -wanted.before <= apart <= wanted.after


def _of_laboratory(case: Case, wanted: Analyte) -> Iterator[tuple[dt.datetime | None, int, Reading]]:
    for item in case.observations:
        name = LOINC.get(item.code.value, "") if item.code.scheme == "LN" else item.code.meaning[:80]
        value = _value(item.value, item.unit, wanted, name)
        if value is not None:
            yield item.observed_at, 0, Reading(value, wanted.unit, _lab_evidence(item))


def _of_notes(case: Case, wanted: Analyte) -> Iterator[tuple[dt.datetime | None, int, Reading]]:
    """Numbers that notes give under a LOINC code; the time of an undated one is the note's."""
    for item in case.facts:
        fact = item.fact
        if fact.quantity is None or fact.quantity.comparator or fact.code.scheme != "LN":
            continue
        if fact.assertion.present:
            value = _value(fact.quantity.value, fact.quantity.unit, wanted, LOINC.get(fact.code.value, ""))
            if value is not None:
                yield time_of(item), 1, Reading(value, wanted.unit, note_evidence(item))


def _value(value: float | None, unit: str, wanted: Analyte, name: str) -> float | None:
    """Value in the analyte's unit, None where it is of something else, has no usable unit or is not plausible."""
    name = name.strip().casefold()
    if value is None or not math.isfinite(value) or name not in {known.casefold() for known in wanted.names}:
        return None
    substance = "urea nitrogen" if name in {"bun", "blood urea nitrogen"} else name
    found = convert(value, unit.strip() or wanted.default_unit, wanted.unit, substance)
    return found if found is not None and wanted.plausible[0] <= found <= wanted.plausible[1] else None


def _lab_evidence(item: Observed) -> Evidence:
    value = item.text[:40] or f"{item.value:g}"
    when = f", {item.observed_at:%Y-%m-%d}" if item.observed_at else ""
    text = f"{item.code.meaning[:60] or item.code.value} {value} {item.unit[:20]}".rstrip() + when
    return Evidence(Source.LAB, text, item.reference[:64], item.code, item.observed_at)
