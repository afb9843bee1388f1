"""The laboratory values and vital signs that models of the record read: codes, units, plausible ranges.

LOINC has several codes for what is one variable here (serum or blood, by mass or by amount, one method or another).
Ranges are wide: what lies outside is a slip of the pen or another unit, not a very sick patient. Codes and names are
those of LOINC; that each stands for its variable was compared with published mappings of intensive care data, or is
from memory, and was not checked against a release of LOINC.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from models.contracts import Code, RecordValue
from models.fusion import units


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable.

    Parameters
    ----------
    key
        Stable name; also its place in files of weights.
    codes
        LOINC, the usual one first.
    name
        For people.
    unit
        UCUM; of ``low`` and ``high``, and of every value after :func:`read_value`.
    low, high
        Values outside are not read.
    logarithm
        Whether models read the logarithm of one plus the value, for values that spread over powers of ten.
    substance
        Key of :data:`models.fusion.units.MOLAR_MASS`, for conversions between mass and amount.
    """

    key: str
    codes: tuple[str, ...]
    name: str
    unit: str
    low: float
    high: float
    logarithm: bool = False
    substance: str = ""

    @property
    def code(self) -> Code:
        """The usual LOINC code."""
        return Code(self.codes[0], "LN", self.name)


VARIABLES: tuple[Variable, ...] = (
    Variable("heart_rate", ("8867-4",), "Heart rate", "/min", 10, 300),
    Variable("systolic", ("8480-6", "76215-3", "76534-7"), "Systolic blood pressure", "mm[Hg]", 20, 300),
    Variable("diastolic", ("8462-4", "76213-8", "76535-4"), "Diastolic blood pressure", "mm[Hg]", 10, 200),
    Variable("mean_pressure", ("8478-0", "76214-6", "76536-2"), "Mean blood pressure", "mm[Hg]", 15, 250),
    Variable("temperature", ("8310-5", "8329-5", "8331-1", "8332-9"), "Body temperature", "Cel", 25, 43),
    Variable("respiratory_rate", ("9279-1",), "Respiratory rate", "/min", 2, 80),
    Variable("coma_scale", ("9269-2",), "Glasgow coma score total", "1", 3, 15),
    Variable("urine", ("9187-6",), "Urine output", "mL", 0, 5000, True),
    Variable("inhaled_oxygen", ("3150-0", "19994-3"), "Inhaled oxygen concentration", "%", 20, 100),
    Variable("saturation", ("2708-6", "2713-6"), "Oxygen saturation in Arterial blood", "%", 20, 100),
    Variable("ph", ("2744-1", "11558-4"), "pH of Arterial blood", "1", 6.5, 8.0),
    Variable("carbon_dioxide", ("2019-8", "11557-6"), "Carbon dioxide in Arterial blood", "mm[Hg]", 5, 200),
    Variable("oxygen", ("2703-7", "11556-8"), "Oxygen in Arterial blood", "mm[Hg]", 15, 700, True),
    Variable("bicarbonate", ("1963-8", "1959-6", "1960-4", "2028-9"), "Bicarbonate", "mmol/L", 2, 60),
    Variable("lactate", ("2524-7", "32693-4", "2518-9"), "Lactate", "mmol/L", 0.1, 40, True, "lactate"),
    Variable("sodium", ("2951-2", "2947-0"), "Sodium", "mmol/L", 90, 190),
    Variable("potassium", ("2823-3", "6298-4"), "Potassium", "mmol/L", 1, 12),
    Variable("magnesium", ("19123-9", "2601-3"), "Magnesium", "mg/dL", 0.3, 15, True, "magnesium"),
    Variable("glucose", ("2345-7", "2339-0", "14749-6", "15074-8"), "Glucose", "mg/dL", 10, 2000, True, "glucose"),
    Variable("creatinine", ("2160-0", "38483-4", "14682-9"), "Creatinine", "mg/dL", 0.1, 30, True, "creatinine"),
    Variable(
        "urea_nitrogen",
        ("3094-0", "6299-2", "14937-7", "3091-6", "22664-7"),
        "Urea nitrogen",
        "mg/dL",
        0.5,
        300,
        True,
        "urea nitrogen",
    ),
    Variable("bilirubin", ("1975-2", "14631-6"), "Bilirubin total", "mg/dL", 0.05, 80, True, "bilirubin"),
    Variable("ast", ("1920-8",), "Aspartate aminotransferase", "U/L", 1, 40000, True),
    Variable("alt", ("1742-6",), "Alanine aminotransferase", "U/L", 1, 30000, True),
    Variable("alkaline_phosphatase", ("6768-6",), "Alkaline phosphatase", "U/L", 1, 5000, True),
    Variable("albumin", ("1751-7",), "Albumin", "g/dL", 0.5, 7),
    Variable("troponin_t", ("6598-7",), "Troponin T, not of high sensitivity", "ug/L", 0, 100, True),
    Variable("haematocrit", ("4544-3", "20570-8", "4545-0"), "Hematocrit", "%", 5, 75),
    Variable("platelets", ("777-3", "26515-7"), "Platelets", "10*3/uL", 1, 3000, True),
    Variable("leukocytes", ("6690-2", "26464-8"), "Leukocytes", "10*3/uL", 0, 600, True),
)

#: Spellings of units that :mod:`models.fusion.units` does not know, in lower case, and what they are; milliequivalents
#: are millimoles for the ions here, which carry one charge.
_ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "u/l": "U/L",
        "iu/l": "U/L",
        "[iu]/l": "U/L",
        "units/l": "U/L",
        "meq/l": "mmol/L",
        "[ph]": "1",
        "ph": "1",
        "{ph}": "1",
        "ph units": "1",
        "units": "1",
        "{score}": "1",
        "score": "1",
        "": "1",
        "l/l": "1",
        "fraction": "1",
        "{fraction}": "1",
    }
)
#: Units with one meaning, which need no conversion where the variable has the same.
_PLAIN = frozenset({"U/L"})


@cache
def by_code() -> Mapping[str, int]:
    """Index in :data:`VARIABLES` of each LOINC code."""
    return MappingProxyType({code: i for i, variable in enumerate(VARIABLES) for code in variable.codes})


def codes() -> tuple[str, ...]:
    """All LOINC codes that are read."""
    return tuple(code for variable in VARIABLES for code in variable.codes)


def read_value(item: RecordValue) -> tuple[int, float] | None:
    """Find the variable of a value and convert it.

    Returns
    -------
    tuple or None
        Index in :data:`VARIABLES` and the value in the variable's unit; None where the code, the unit, or a conversion
        between them is not known, or the value is outside the plausible range.
    """
    index = by_code().get(item.code)
    if index is None:
        return None
    variable = VARIABLES[index]
    value = _converted(item, variable)
    return (index, value) if value is not None and variable.low <= value <= variable.high else None


def _converted(item: RecordValue, variable: Variable) -> float | None:
    if not math.isfinite(item.value):
        return None
    urea = units.LOINC.get(item.code) == "urea"
    if item.unit == variable.unit and not urea:
        return item.value
    unit = _ALIASES.get(item.unit[: units.LONGEST].strip().casefold(), item.unit)
    value, unit = _as_nitrogen(item.value, unit) if urea else (item.value, unit)
    if unit == variable.unit or unit in _PLAIN:
        return value if unit == variable.unit else None
    return units.convert(value, unit, variable.unit, variable.substance)


def _as_nitrogen(value: float, unit: str) -> tuple[float, str]:
    """Give urea as the amount of substance: one mole of urea is one of urea nitrogen, their masses differ."""
    moles = units.convert(value, unit, "mmol/L", "urea")
    return (value, "") if moles is None else (moles, "mmol/L")
