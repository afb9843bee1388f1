"""Units of laboratory values and sizes: usual spellings to UCUM, and from one unit to another.

A mass concentration becomes a molar one only for a substance whose molar mass is known here. What is not known gives
None, never a guess: a number without a unit, or with one that could be read in two ways, cannot be used.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

#: Longest spelling that is looked at; UCUM codes of clinical units are shorter.
LONGEST = 32

#: UCUM unit to its dimension and its factor to the dimension's base unit: mm, mL, g/L, mol/L, /min, mm[Hg], kg.
_UNITS: Mapping[str, tuple[str, float]] = MappingProxyType(
    {
        "um": ("length", 1e-3),
        "mm": ("length", 1.0),
        "cm": ("length", 10.0),
        "m": ("length", 1000.0),
        "[in_i]": ("length", 25.4),
        "mm3": ("volume", 1e-3),
        "cm3": ("volume", 1.0),
        "uL": ("volume", 1e-3),
        "mL": ("volume", 1.0),
        "dL": ("volume", 100.0),
        "L": ("volume", 1000.0),
        "pg/mL": ("mass concentration", 1e-9),
        "ng/L": ("mass concentration", 1e-9),
        "ng/mL": ("mass concentration", 1e-6),
        "ug/mL": ("mass concentration", 1e-3),
        "ng/dL": ("mass concentration", 1e-8),
        "ug/dL": ("mass concentration", 1e-5),
        "mg/dL": ("mass concentration", 0.01),
        "g/dL": ("mass concentration", 10.0),
        "ug/L": ("mass concentration", 1e-6),
        "mg/L": ("mass concentration", 1e-3),
        "g/L": ("mass concentration", 1.0),
        "nmol/L": ("molar concentration", 1e-9),
        "umol/L": ("molar concentration", 1e-6),
        "mmol/L": ("molar concentration", 1e-3),
        "mol/L": ("molar concentration", 1.0),
        "mmol/dL": ("molar concentration", 0.01),
        "/min": ("rate", 1.0),
        "mm[Hg]": ("pressure", 1.0),
        "kPa": ("pressure", 7.500616827),  # 1 mm[Hg] is 133.322 387 415 Pa
        "kg": ("mass", 1.0),
        "g": ("mass", 1e-3),
        "[lb_av]": ("mass", 0.45359237),
        "1": ("ratio", 1.0),
        "%": ("ratio", 0.01),
        "{pack}.a": ("pack-years", 1.0),
        "10*9/L": ("count", 1.0),
        "10*3/uL": ("count", 1.0),
    }
)

#: Spellings, folded by :func:`_folded`, that are not the UCUM code itself in another case.
_SPELLINGS: Mapping[str, str] = MappingProxyType(
    {
        "millimeter": "mm",
        "millimeters": "mm",
        "millimetre": "mm",
        "毫米": "mm",
        "厘米": "cm",
        "公分": "cm",
        "in": "[in_i]",
        "inch": "[in_i]",
        "mm^3": "mm3",
        "cumm": "mm3",
        "cc": "mL",
        "cm^3": "cm3",
        "ccm": "cm3",
        "毫升": "mL",
        "mcg/ml": "ug/mL",
        "mcg/dl": "ug/dL",
        "mcg/l": "ug/L",
        "mg%": "mg/dL",
        "gm/dl": "g/dL",
        "g%": "g/dL",
        "gm/l": "g/L",
        "mcmol/l": "umol/L",
        "micromol/l": "umol/L",
        "micromole/l": "umol/L",
        "毫摩尔/升": "mmol/L",
        "微摩尔/升": "umol/L",
        "bpm": "/min",
        "breaths/min": "/min",
        "breath/min": "/min",
        "beats/min": "/min",
        "{breaths}/min": "/min",
        "{beats}/min": "/min",
        "insp/min": "/min",
        "1/min": "/min",
        "perminute": "/min",
        "次/分": "/min",
        "次/分钟": "/min",
        "mmhg": "mm[Hg]",
        "毫米汞柱": "mm[Hg]",
        "kgs": "kg",
        "公斤": "kg",
        "千克": "kg",
        "lb": "[lb_av]",
        "lbs": "[lb_av]",
        "pound": "[lb_av]",
        "pounds": "[lb_av]",
        "{inr}": "1",
        "inr": "1",
        "ratio": "1",
        "{ratio}": "1",
        "{score}": "1",
        "percent": "%",
        "pack-year": "{pack}.a",
        "pack-years": "{pack}.a",
        "packyear": "{pack}.a",
        "packyears": "{pack}.a",
        "{pack}.a": "{pack}.a",
        "{pack-years}": "{pack}.a",
        "包年": "{pack}.a",
        "c": "Cel",
        "cel": "Cel",
        "degc": "Cel",
        "°c": "Cel",
        "℃": "Cel",
        "celsius": "Cel",
        "摄氏度": "Cel",
        "f": "[degF]",
        "degf": "[degF]",
        "[degf]": "[degF]",
        "°f": "[degF]",
        "fahrenheit": "[degF]",
        "x10e9/l": "10*9/L",
        "10^9/l": "10*9/L",
        "x10^9/l": "10*9/L",
        "k/ul": "10*3/uL",
        "10^3/ul": "10*3/uL",
        "x10e3/ul": "10*3/uL",
    }
)

#: Grams per mole, from the elements' standard atomic weights. Urea nitrogen is the mass of the nitrogen in one mole of
#: urea, so that 1 mg/dL of it is 0.357 mmol/L of urea.
MOLAR_MASS: Mapping[str, float] = MappingProxyType(
    {
        "creatinine": 113.12,
        "urea": 60.06,
        "urea nitrogen": 28.014,
        "glucose": 180.16,
        "bilirubin": 584.66,
        "cholesterol": 386.65,
        "calcium": 40.078,
        "magnesium": 24.305,
        "phosphate": 30.974,  # as phosphorus, which is how mg/dL is reported
        "uric acid": 168.11,
        "lactate": 90.08,
    }
)

#: LOINC code to substance or vital sign; both the mass and the molar variant, of serum, plasma or blood.
LOINC: Mapping[str, str] = MappingProxyType(
    {
        "2160-0": "creatinine",
        "38483-4": "creatinine",
        "14682-9": "creatinine",
        "3094-0": "urea nitrogen",
        "6299-2": "urea nitrogen",
        "14937-7": "urea nitrogen",
        "3091-6": "urea",
        "22664-7": "urea",
        "2345-7": "glucose",
        "2339-0": "glucose",
        "14749-6": "glucose",
        "1975-2": "bilirubin",
        "14631-6": "bilirubin",
        "6301-6": "INR",
        "34714-6": "INR",
        "38875-1": "INR",
        "46418-0": "INR",
        "9279-1": "respiratory rate",
        "8480-6": "systolic pressure",
        "8462-4": "diastolic pressure",
        "8867-4": "heart rate",
        "8310-5": "temperature",
    }
)


def _folded(spelling: str) -> str:
    """Fold case, width, the two micro signs and spaces."""
    text = unicodedata.normalize("NFKC", spelling[:LONGEST]).replace("\u03bc", "u")
    return "".join(text.split()).casefold()


@cache
def _by_fold() -> Mapping[str, str]:
    known = {_folded(code): code for code in _UNITS}
    return known | {_folded(spelling): code for spelling, code in _SPELLINGS.items()}


def ucum(spelling: str) -> str | None:
    """Return the UCUM code of a unit as senders spell it, or None where it is not known here.

    Case does not matter: laboratories write ``MG/DL`` and ``mmol/l``, and no unit here differs from another by case
    alone.
    """
    if len(spelling) > LONGEST:
        return None
    return _by_fold().get(_folded(spelling))


def convert(value: float, unit: str, to: str, substance: str = "") -> float | None:
    """Convert a value between units.

    Parameters
    ----------
    value
        In ``unit``.
    unit, to
        UCUM, or a usual spelling of it.
    substance
        A key of :data:`MOLAR_MASS`, or a LOINC code of :data:`LOINC`; needed between mass and molar concentrations.

    Returns
    -------
    float or None
        In ``to``; None where a unit is not known, the two measure different things, or the value is no number.
    """
    source, target = ucum(unit), ucum(to)
    if source is None or target is None or not math.isfinite(value):
        return None
    if source == target:
        return value
    temperature = _temperature(value, source, target)
    if temperature is not None or {source, target} & {"Cel", "[degF]"}:
        return temperature
    return _scaled(value, _UNITS[source], _UNITS[target], MOLAR_MASS.get(LOINC.get(substance, substance)))


def _temperature(value: float, source: str, target: str) -> float | None:
    if (source, target) == ("[degF]", "Cel"):
        return (value - 32.0) / 1.8
    if (source, target) == ("Cel", "[degF]"):
        return value * 1.8 + 32.0
    return None


def _scaled(
    value: float, source: tuple[str, float], target: tuple[str, float], molar_mass: float | None
) -> float | None:
    """Scale by the factors of the two units, through the molar mass where one is of mass and one of amount."""
    base = value * source[1]
    if source[0] == target[0]:
        return base / target[1]
    if molar_mass is None:
        return None
    if (source[0], target[0]) == ("mass concentration", "molar concentration"):
        return base / molar_mass / target[1]
    if (source[0], target[0]) == ("molar concentration", "mass concentration"):
        return base * molar_mass / target[1]
    return None
