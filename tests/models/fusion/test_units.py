"""Units: spellings to UCUM, and conversions against published equivalents."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.fusion.units import _SPELLINGS, _UNITS, LOINC, MOLAR_MASS, convert, ucum

LINEAR = sorted(_UNITS)


@pytest.mark.parametrize(
    ("spelling", "code"),
    [
        ("MG/DL", "mg/dL"),
        ("mmol/l", "mmol/L"),
        ("\u00b5mol/L", "umol/L"),
        ("\u03bcmol/L", "umol/L"),
        ("mcmol/L", "umol/L"),
        (" mm Hg ", "mm[Hg]"),
        ("mmHg", "mm[Hg]"),
        ("breaths/min", "/min"),
        ("次/分", "/min"),
        ("℃", "Cel"),
        ("pack-years", "{pack}.a"),
        ("包年", "{pack}.a"),
        ("ｍｇ／ｄＬ", "mg/dL"),
        ("mm^3", "mm3"),
    ],
)
def test_a_usual_spelling_is_understood(spelling: str, code: str) -> None:
    assert ucum(spelling) == code


@pytest.mark.parametrize("spelling", ["", "furlong", "mg", "mmol", "x" * 1000])
def test_an_unknown_unit_is_none(spelling: str) -> None:
    assert ucum(spelling) is None


@pytest.mark.parametrize(
    ("value", "unit", "to", "substance", "expected"),
    [
        (1.0, "mg/dL", "umol/L", "creatinine", 88.4),  # the factor that laboratories print
        (1.0, "mg/dL", "mmol/L", "urea nitrogen", 0.357),
        (19.6, "mg/dL", "mmol/L", "3094-0", 7.0),  # the threshold of CURB-65 in both units
        (6.0, "mg/dL", "mmol/L", "urea", 0.999),
        (18.0, "mg/dL", "mmol/L", "glucose", 0.999),
        (100.0, "mg/dL", "mmol/L", "cholesterol", 2.59),
        (1.0, "mg/dL", "umol/L", "bilirubin", 17.1),
        (98.6, "[degF]", "Cel", "", 37.0),
        (37.0, "℃", "°F", "", 98.6),
        (16.0, "kPa", "mmHg", "", 120.0),
        (1.2, "cm", "mm", "", 12.0),
        (2.0, "mL", "mm3", "", 2000.0),
        (250.0, "mm3", "mL", "", 0.25),
    ],
)
def test_a_conversion_agrees_with_its_published_equivalent(
    value: float, unit: str, to: str, substance: str, expected: float
) -> None:
    assert convert(value, unit, to, substance) == pytest.approx(expected, rel=2e-3)


def test_mass_does_not_become_amount_without_a_molar_mass() -> None:
    assert convert(1, "mg/dL", "mmol/L") is None
    assert convert(1, "mg/dL", "mmol/L", "unobtainium") is None


def test_different_things_do_not_convert() -> None:
    assert convert(1, "mm", "mL") is None
    assert convert(1, "Cel", "mm") is None
    assert convert(1, "mm", "Cel") is None
    assert convert(1, "", "mm") is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_does_not_convert(value: float) -> None:
    assert convert(value, "mm", "cm") is None


def test_every_spelling_leads_to_a_unit_that_converts_to_itself() -> None:
    for spelling, code in _SPELLINGS.items():
        assert ucum(spelling) == code
        assert convert(1.5, spelling, code) == 1.5


def test_every_loinc_code_is_of_something_with_a_molar_mass_or_a_vital_sign() -> None:
    vital = {"INR", "respiratory rate", "systolic pressure", "diastolic pressure", "heart rate", "temperature"}
    assert set(LOINC.values()) <= set(MOLAR_MASS) | vital


@given(
    st.floats(1e-6, 1e6), st.sampled_from(LINEAR), st.sampled_from(LINEAR), st.sampled_from([*sorted(MOLAR_MASS), ""])
)
def test_there_and_back_is_the_same(value: float, unit: str, to: str, substance: str) -> None:
    there = convert(value, unit, to, substance)
    if there is not None:
        assert convert(there, to, unit, substance) == pytest.approx(value, rel=1e-9)


@given(st.text(max_size=60), st.text(max_size=60), st.floats())
def test_no_text_breaks_it(unit: str, to: str, value: float) -> None:
    found = convert(value, unit, to)
    assert found is None or isinstance(found, float)
