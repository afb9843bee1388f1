"""Laboratory values beside a chest radiograph: which ones, in which unit, and as what a model computes with.

The names are those of LOINC. A value in a unit that is not known here is not used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from models.contracts import Code, Record, RecordValue
from models.fusion import units

MILLIGRAM_PER_LITRE = Code("mg/L", "UCUM", "milligram per liter")
UNIT_PER_LITRE = Code("U/L", "UCUM", "unit per liter")
BILLION_PER_LITRE = Code("10*9/L", "UCUM", "billion per liter")

#: Spellings, in lower case, that :mod:`models.fusion.units` has not, and their factors to the unit of the value.
_FACTORS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "U/L": {"u/l": 1.0, "iu/l": 1.0, "[iu]/l": 1.0},
        "10*9/L": {"g/l": 1.0, "gpt/l": 1.0, "/ul": 1e-3, "{cells}/ul": 1e-3, "10*6/l": 1e-3},
    }
)

#: D-dimers are counted as fibrinogen equivalents; what is counted in D-dimer units is another value, twice as small.
_EQUIVALENTS = ("{FEU}", " FEU", "FEU")


@dataclass(frozen=True, slots=True)
class Lab:
    """One laboratory value.

    Parameters
    ----------
    key
        Its name in cards and reports.
    code
        The usual LOINC code, with its name for people.
    codes
        All LOINC codes that mean it.
    unit
        That the model computes in.
    """

    key: str
    code: Code
    codes: tuple[str, ...]
    unit: Code


LABS: tuple[Lab, ...] = (
    Lab("crp", Code("1988-5", "LN", "C reactive protein"), ("1988-5", "30522-7"), MILLIGRAM_PER_LITRE),
    Lab("ldh", Code("2532-0", "LN", "Lactate dehydrogenase"), ("2532-0", "14804-9", "14805-6"), UNIT_PER_LITRE),
    Lab("d_dimer", Code("48065-7", "LN", "Fibrin D-dimer FEU"), ("48065-7",), MILLIGRAM_PER_LITRE),
    Lab("lymphocytes", Code("731-0", "LN", "Lymphocytes"), ("731-0", "26474-7"), BILLION_PER_LITRE),
    Lab("neutrophils", Code("751-8", "LN", "Neutrophils"), ("751-8", "26499-4", "753-4"), BILLION_PER_LITRE),
)

CODES: tuple[str, ...] = tuple(code for lab in LABS for code in lab.codes)


def latest(record: Record) -> dict[str, float]:
    """Latest usable value of each of :data:`LABS` that the record has, by key, in the model's unit."""
    found: dict[str, float] = {}
    for value in sorted(record.values, key=lambda value: value.hours):
        for lab in LABS:
            if value.code in lab.codes and (number := in_unit(value, lab)) is not None:
                found[lab.key] = number
    return found


def in_unit(value: RecordValue, lab: Lab) -> float | None:
    """Convert to the model's unit; None where the unit is not known or the value cannot be one (negative, infinite)."""
    if not math.isfinite(value.value) or value.value < 0:
        return None
    unit = value.unit
    for ending in _EQUIVALENTS:
        unit = unit.removesuffix(ending)
    factor = _FACTORS.get(lab.unit.value, {}).get(unit.strip().lower())
    return value.value * factor if factor is not None else units.convert(value.value, unit, lab.unit.value)


def as_logs(values: Mapping[str, float], usual: Sequence[float], spread: Sequence[float]) -> list[float]:
    """Logarithms (of one more than the value), less the usual ones, over their spread; 0 where a value is missing.

    So a missing value says nothing: that it was not measured does not speak for or against anything.
    """
    return [
        (math.log1p(values[lab.key]) - middle) / width if lab.key in values else 0.0
        for lab, middle, width in zip(LABS, usual, spread, strict=True)
    ]
