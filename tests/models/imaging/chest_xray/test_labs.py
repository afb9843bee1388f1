from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contracts import Record, RecordValue
from models.imaging.chest_xray.labs import LABS, as_logs, in_unit, latest

BY_KEY = {lab.key: lab for lab in LABS}


@pytest.mark.parametrize(
    ("key", "value", "unit", "expected"),
    [
        ("crp", 12.0, "mg/L", 12.0),
        ("crp", 1.2, "mg/dL", 12.0),
        ("ldh", 250.0, "IU/L", 250.0),
        ("d_dimer", 500.0, "ng/mL{FEU}", 0.5),
        ("d_dimer", 0.5, "ug/mL FEU", 0.5),
        ("lymphocytes", 900.0, "/uL", 0.9),
        ("lymphocytes", 0.9, "K/uL", 0.9),
        ("neutrophils", 5.0, "G/L", 5.0),
        ("neutrophils", 60.0, "%", None),
        ("d_dimer", 500.0, "ng/mL{DDU}", None),
        ("crp", 12.0, "", None),
        ("crp", -1.0, "mg/L", None),
        ("crp", math.inf, "mg/L", None),
    ],
)
def test_a_value_is_brought_to_the_unit_of_the_model_or_not_used(
    key: str, value: float, unit: str, expected: float | None
) -> None:
    lab = BY_KEY[key]

    found = in_unit(RecordValue(lab.code.value, value, unit, 0.0), lab)

    assert found == (None if expected is None else pytest.approx(expected))


def test_the_latest_usable_value_counts_by_any_of_its_codes() -> None:
    record = Record(
        (
            RecordValue("1988-5", 90.0, "mg/L", -1.0),
            RecordValue("30522-7", 20.0, "mg/L", -20.0),
            RecordValue("1988-5", 7.0, "furlong", -0.5),
            RecordValue("2160-0", 1.0, "mg/dL", 0.0),
        )
    )

    assert latest(record) == {"crp": 90.0}


def test_a_missing_value_says_nothing() -> None:
    logs = as_logs({"crp": math.e - 1}, [0.0] * len(LABS), [2.0] * len(LABS))

    assert logs == [pytest.approx(0.5), 0, 0, 0, 0]


@given(st.text(max_size=60), st.floats(allow_nan=True, allow_infinity=True))
def test_any_unit_and_number_is_taken_or_left(unit: str, value: float) -> None:
    for lab in LABS:
        found = in_unit(RecordValue(lab.code.value, value, unit, 0.0), lab)
        assert found is None or (math.isfinite(found) and found >= 0)
