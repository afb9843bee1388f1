"""When something was: dates and durations, and the concept they belong to."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.notes import analyze
from models.notes.numbers import whole
from tests.models.notes.facts import fact


@pytest.mark.parametrize(
    ("text", "surface", "when"),
    [
        ("Stroke in 2015.", "Stroke", "2015"),
        ("In 2015 he had a stroke.", "stroke", "2015"),
        ("Stroke on 2024-03-05.", "Stroke", "2024-03-05"),
        ("Stroke on 03/05/2024.", "Stroke", "2024-03-05"),
        ("Stroke on 25/03/2024.", "Stroke", "2024-03-25"),
        ("Stroke on March 5, 2024.", "Stroke", "2024-03-05"),
        ("Stroke on 5 March 2024.", "Stroke", "2024-03-05"),
        ("Epilepsy since March 2020.", "Epilepsy", "2020-03"),
        ("Stroke (2015).", "Stroke", "2015"),
        ("Stroke 3 years ago.", "Stroke", "-P3Y"),
        ("Stroke two weeks ago.", "Stroke", "-P2W"),
        ("Stroke a year ago.", "Stroke", "-P1Y"),
        ("Headache for 3 days.", "Headache", "-P3D"),
        ("Headache x 3 days.", "Headache", "-P3D"),
        ("Headache over the past two months.", "Headache", "-P2M"),
        ("A 5-year history of headache.", "headache", "-P5Y"),
        ("He fell yesterday.", "fell", "-P1D"),
        ("Headache since last week.", "Headache", "-P1W"),
        ("3年前患脑梗死。", "脑梗死", "-P3Y"),
        ("2015年行冠脉搭桥。", "冠脉搭桥", "2015"),
        ("2024年3月5日脑梗死。", "脑梗死", "2024-03-05"),
        ("2020年3月起癫痫。", "癫痫", "2020-03"),
        ("头痛3天。", "头痛", "-P3D"),
        ("半年前脑梗死。", "脑梗死", "-P6M"),
        ("十余年前患肺炎。", "肺炎", "-P10Y"),
        ("两周前跌倒。", "跌倒", "-P2W"),
        ("糖尿病病史20年。", "糖尿病", "-P20Y"),
        ("昨日跌倒。", "跌倒", "-P1D"),
        ("去年肺炎。", "肺炎", "-P1Y"),
    ],
)
def test_a_time_is_read(text: str, surface: str, when: str) -> None:
    assert fact(text, surface).when == when


@pytest.mark.parametrize(
    "text",
    [
        "Headache every 3 months.",
        "Headache in 3 months.",
        "Headache on 45/45/2024.",
        "Headache 400 years ago.",
        "Headache, room 2015A.",
        "头痛，3个月后复查。",
        "头痛，每3个月复查。",
    ],
)
def test_what_lies_ahead_or_repeats_or_cannot_be_is_no_time(text: str) -> None:
    assert analyze(text).facts[0].when == ""


def test_each_concept_gets_the_time_beside_it() -> None:
    facts = analyze("CABG in 2015, stroke 3 years ago, pneumonia last month, hypertension.").facts

    assert [item.when for item in facts] == ["2015", "-P3Y", "-P1M", ""]
    chinese = analyze("2015年行冠脉搭桥，3年前患脑梗死，高血压20年，糖尿病。").facts
    assert [item.when for item in chinese] == ["2015", "-P3Y", "-P20Y", ""]


def test_a_time_goes_to_all_that_and_joins() -> None:
    assert [item.when for item in analyze("Fever and cough for 3 days.").facts] == ["-P3D", "-P3D"]
    assert [item.when for item in analyze("发热、咳嗽3天。").facts] == ["-P3D", "-P3D"]


def test_an_age_and_a_lobe_have_no_time() -> None:
    facts = analyze("A 60-year-old man, lung nodule in the right upper lobe in 2020.").facts

    assert {item.surface: item.when for item in facts} == {
        "60-year-old": "",
        "lung nodule": "2020",
        "right upper lobe": "",
    }


@given(st.integers(1, 99))
def test_chinese_numerals_are_read_as_digits_are(number: int) -> None:
    digits = "零一二三四五六七八九"
    tens, ones = divmod(number, 10)
    written = digits[number] if not tens else (digits[tens] if tens > 1 else "") + "十" + (digits[ones] if ones else "")

    assert whole(written) == number


@settings(max_examples=30, deadline=None)
@given(st.dates(dt.date(1900, 1, 1), dt.date(2099, 12, 31)))
def test_any_date_comes_out_as_it_was_written(day: dt.date) -> None:
    text = f"Stroke on {day}."

    assert fact(text, "Stroke").when == str(day)


@pytest.mark.parametrize(
    ("text", "surface"),
    [
        ("Chest CT in 2024 showed no nodule.", "nodule"),
        ("No nodule on chest CT in 2024.", "nodule"),
        ("CT chest 2024: no nodule, no effusion.", "nodule"),
        ("2024年胸部CT未见结节。", "结节"),
    ],
)
def test_what_a_dated_examination_shows_has_its_date(text: str, surface: str) -> None:
    found = fact(text, surface)

    assert (found.when, found.assertion.negated, found.code.value) == ("2024", True, "R91.1")


def test_the_date_of_an_operation_is_not_that_of_a_disease_beside_it() -> None:
    assert fact("CABG in 2015 and hypertension.", "hypertension").when == ""
    assert fact("CABG in 2015 with pneumonia.", "pneumonia").when == ""
