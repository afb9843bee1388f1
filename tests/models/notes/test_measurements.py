"""Vital signs, scores, laboratory values and ages: LOINC codes, UCUM units, what is believed."""

from __future__ import annotations

import pytest

from models.facts import Experiencer, FactKind, Quantity
from models.notes import analyze
from models.notes.measurements import rows


def measured(text: str) -> list[tuple[str, Quantity | None]]:
    return [(item.code.value, item.quantity) for item in analyze(text).facts if item.kind is FactKind.MEASUREMENT]


@pytest.mark.parametrize(
    ("text", "code", "quantity"),
    [
        ("HR 88", "8867-4", Quantity(88.0, "/min")),
        ("heart rate of 112 bpm", "8867-4", Quantity(112.0, "/min")),
        ("RR: 18", "9279-1", Quantity(18.0, "/min")),
        ("Temp 101.3 F", "8310-5", Quantity(101.3, "[degF]")),
        ("temperature 101.3", "8310-5", Quantity(101.3, "[degF]")),
        ("T 38.2", "8310-5", Quantity(38.2, "Cel")),
        ("SpO2 95% on room air", "59408-5", Quantity(95.0, "%")),
        ("weight 70 kg", "29463-7", Quantity(70.0, "kg")),
        ("weight: 154 lbs", "29463-7", Quantity(154.0, "[lb_av]")),
        ("MMSE 24/30", "72106-8", Quantity(24.0, "{score}")),
        ("MoCA score of 21", "72172-0", Quantity(21.0, "{score}")),
        ("creatinine 1.8 mg/dL", "2160-0", Quantity(1.8, "mg/dL")),
        ("creatinine was 1.8", "2160-0", Quantity(1.8, "mg/dL")),
        ("creatinine 180 µmol/L", "14682-9", Quantity(180.0, "umol/L")),
        ("creatinine 180", "14682-9", Quantity(180.0, "umol/L")),
        ("INR 2.4", "6301-6", Quantity(2.4, "1")),
        ("INR 2-3", "6301-6", Quantity(2.0, "1", 3.0)),
        ("CRP <5 mg/L", "1988-5", Quantity(5.0, "mg/L", None, "<")),
        ("hemoglobin 13.5 g/dL", "718-7", Quantity(13.5, "g/dL")),
        ("hemoglobin 135 g/L", "718-7", Quantity(135.0, "g/L")),
        ("BUN 21 mg/dL", "3094-0", Quantity(21.0, "mg/dL")),
        ("BUN 7.5 mmol/L", "14937-7", Quantity(7.5, "mmol/L")),
        ("心率88次/分", "8867-4", Quantity(88.0, "/min")),
        ("P80次/分", "8867-4", Quantity(80.0, "/min")),
        ("体温38.2℃", "8310-5", Quantity(38.2, "Cel")),
        ("MMSE24分", "72106-8", Quantity(24.0, "{score}")),
        ("肌酐 180 μmol/L", "14682-9", Quantity(180.0, "umol/L")),
        ("INR2.4", "6301-6", Quantity(2.4, "1")),
        ("白细胞12.3×10^9/L", "6690-2", Quantity(12.3, "10*9/L")),
        ("Ｃ反应蛋白４５ｍｇ／Ｌ", "1988-5", Quantity(45.0, "mg/L")),
        ("A 78-year-old man", "30525-0", Quantity(78.0, "a")),
        ("65 y/o woman", "30525-0", Quantity(65.0, "a")),
        ("患者，男，78岁", "30525-0", Quantity(78.0, "a")),
        ("年龄：78", "30525-0", Quantity(78.0, "a")),
    ],
)
def test_a_named_number_is_measured(text: str, code: str, quantity: Quantity) -> None:
    assert measured(text) == [(code, quantity)]


@pytest.mark.parametrize(
    "text",
    [
        "creatinine 2020",  # a year
        "creatinine pending",
        "creatinine 1.8 kg",  # another unit
        "MMSE 31/30",
        "HR 5000",
        "pulse on 3/4/2024",
        "BP 60/150",  # the wrong way round
        "BP 120",
        "glucose 90",  # without a unit either of two
        "stroke at age 60",
        "60岁时患脑梗死",
        "temperature chart",
        "potassium 10 mEq twice a day",
        "albumin 3 g",
        "INR 3 times a week",
    ],
)
def test_what_is_not_believed_is_not_read(text: str) -> None:
    assert measured(text) == []


@pytest.mark.parametrize(
    "text", ["BP 150/90 mmHg", "BP: 150/90", "血压150/90mmHg", "BP150/90mmHg", "blood pressure was 150 / 90"]
)
def test_a_blood_pressure_is_two_values(text: str) -> None:
    assert measured(text) == [("8480-6", Quantity(150.0, "mm[Hg]")), ("8462-4", Quantity(90.0, "mm[Hg]"))]


@pytest.mark.parametrize("text", ["goal INR of 2-3", "target INR 2-3", "目标INR 2-3"])
def test_a_goal_is_no_value_of_now(text: str) -> None:
    (goal,) = analyze(text).facts

    assert goal.assertion.hypothetical


def test_a_test_without_a_value_stays_a_procedure() -> None:
    assert [item.kind for item in analyze("MMSE was done.").facts] == [FactKind.PROCEDURE]


def test_an_age_is_of_now_and_of_whom_it_is_said() -> None:
    patient, _, family = analyze("A 60-year-old man with history of stroke. His father is 88 years old.").facts

    assert patient.assertion.present
    assert family.assertion.experiencer is Experiencer.FAMILY


def test_every_row_of_the_table_is_found_by_each_of_its_names() -> None:
    for concept, row in rows():
        for name in concept.names:
            value = f"{(row.lowest + row.highest) / 2:.1f}"
            unit = {"1": "", "{score}": "/30", "/min": "bpm", "Cel": "°C", "[degF]": "°F", "[lb_av]": "lbs"}.get(
                row.units[0], row.units[0].replace("{1.73_m2}", "1.73m2").replace("*9", "^9").replace("m[IU]", "mIU")
            )
            found = measured(f"{name.removeprefix('=')} {value} {unit}".strip())
            assert found, f"{name} {value} {unit}"
            assert found[0][0] == concept.code.value, name


def test_every_measurement_of_the_table_has_a_loinc_code_or_says_that_it_has_none() -> None:
    for concept, _ in rows():
        number, _, check = concept.code.value.partition("-")
        if concept.code.scheme == "LN":
            assert mod10(number) == int(check), concept.code
        else:
            assert concept.code.scheme == "99OVERREAD"


def mod10(number: str) -> int:
    """Check digit of a LOINC number (LOINC Users' Guide, appendix on the mod 10 check digit): Luhn's."""
    total = 0
    for place, digit in enumerate(reversed(number)):
        double = int(digit) * 2 if place % 2 == 0 else int(digit)
        total += double - 9 if double > 9 else double
    return -total % 10
