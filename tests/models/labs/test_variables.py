from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contracts import RecordValue
from models.labs.variables import VARIABLES, by_code, codes, read_value


def read(code: str, number: float, unit: str) -> tuple[str, float] | None:
    found = read_value(RecordValue(code, number, unit, -1.0))
    return None if found is None else (VARIABLES[found[0]].key, found[1])


@pytest.mark.parametrize(
    ("code", "number", "unit", "key", "value"),
    [
        ("2160-0", 1.0, "mg/dL", "creatinine", 1.0),
        ("14682-9", 88.4, "umol/L", "creatinine", 1.0),
        ("3094-0", 14.0, "mg/dL", "urea_nitrogen", 14.0),
        ("22664-7", 5.0, "mmol/L", "urea_nitrogen", 14.0),
        ("3091-6", 30.0, "mg/dL", "urea_nitrogen", 14.0),
        ("14749-6", 5.55, "mmol/L", "glucose", 100.0),
        ("8310-5", 98.6, "[degF]", "temperature", 37.0),
        ("2951-2", 139.0, "meq/L", "sodium", 139.0),
        ("1920-8", 40.0, "IU/L", "ast", 40.0),
        ("2744-1", 7.4, "[pH]", "ph", 7.4),
        ("2744-1", 7.4, "", "ph", 7.4),
        ("2019-8", 5.33, "kPa", "carbon_dioxide", 40.0),
        ("4544-3", 0.3, "L/L", "haematocrit", 30.0),
        ("3150-0", 0.4, "1", "inhaled_oxygen", 40.0),
        ("9269-2", 15.0, "{score}", "coma_scale", 15.0),
        ("777-3", 200.0, "10*9/L", "platelets", 200.0),
        ("14631-6", 17.1, "umol/L", "bilirubin", 1.0),
        ("1751-7", 40.0, "g/L", "albumin", 4.0),
        ("32693-4", 18.02, "mg/dL", "lactate", 2.0),
    ],
)
def test_a_value_is_read_in_the_unit_that_it_came_in(
    code: str, number: float, unit: str, key: str, value: float
) -> None:
    found = read(code, number, unit)

    assert found is not None
    assert found[0] == key
    assert found[1] == pytest.approx(value, rel=0.01)


@pytest.mark.parametrize(
    ("code", "number", "unit"),
    [
        ("2160-0", 88.4, "mg/dL"),  # micromoles under the name of milligrams
        ("8310-5", 98.6, "Cel"),
        ("2744-1", 733.0, "[pH]"),
        ("2160-0", 1.0, "furlong"),
        ("2160-0", 1.0, ""),
        ("1920-8", 40.0, "mg/dL"),
        ("2951-2", 139.0, "U/L"),
        ("718-7", 12.0, "g/dL"),
        ("8867-4", 0.0, "/min"),
        ("8867-4", float("nan"), "/min"),
        ("2160-0", float("inf"), "mg/dL"),
    ],
)
def test_what_is_impossible_or_of_an_unknown_unit_is_not_read(code: str, number: float, unit: str) -> None:
    assert read(code, number, unit) is None


@given(
    st.sampled_from([*codes(), "718-7", "", "x" * 99]),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from(["mg/dL", "mmol/L", "umol/L", "%", "1", "", "mm[Hg]", "U/L", "Cel", "nonsense", "x" * 500])
    | st.text(),
)
def test_whatever_is_read_is_plausible(code: str, number: float, unit: str) -> None:
    found = read_value(RecordValue(code, number, unit, 0.0))

    if found is not None:
        variable = VARIABLES[found[0]]
        assert code in variable.codes
        assert variable.low <= found[1] <= variable.high


def test_no_code_is_of_two_variables() -> None:
    assert len(by_code()) == len(codes())
    assert len({variable.key for variable in VARIABLES}) == len(VARIABLES)


def check_digit(number: str) -> int:
    """LOINC's check digit (Users' Guide, appendix: mod 10, every second digit from the right doubled)."""
    doubled = [int(digit) * (2 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(number))]
    return -sum(value // 10 + value % 10 for value in doubled) % 10


@pytest.mark.parametrize("code", codes())
def test_every_code_has_its_check_digit(code: str) -> None:
    number, _, digit = code.partition("-")

    assert int(digit) == check_digit(number)
