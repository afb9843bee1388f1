"""Sizes and pack-years: how they are written, and which concept they belong to."""

from __future__ import annotations

import pytest

from models.facts import NoteFact, Quantity
from models.notes import analyze
from tests.models.notes.facts import fact


def coded(text: str, code: str) -> list[NoteFact]:
    return [item for item in analyze(text).facts if item.code.value == code]


@pytest.mark.parametrize(
    ("text", "quantity"),
    [
        ("A 9 mm lung nodule.", Quantity(9.0, "mm")),
        ("A 9mm lung nodule.", Quantity(9.0, "mm")),
        ("Lung nodule measuring 1.2 x 0.8 cm.", Quantity(12.0, "mm")),
        ("Lung nodule of 8 x 12 x 9 mm.", Quantity(12.0, "mm")),
        ("Lung nodule, 0.8 cm by 1.1 cm.", Quantity(11.0, "mm")),
        ("A 4-6 mm lung nodule.", Quantity(4.0, "mm", 6.0)),
        ("Lung nodule <5 mm.", Quantity(5.0, "mm", None, "<")),
        ("Lung nodule less than 5 mm.", Quantity(5.0, "mm", None, "<")),
        ("Lung nodule of at least 8 mm.", Quantity(8.0, "mm", None, ">=")),
        ("A subcentimeter lung nodule.", Quantity(10.0, "mm", None, "<")),
        ("There is a lung nodule. It measures 7 mm.", Quantity(7.0, "mm")),
        ("The lung nodule has grown from 6 mm to 9 mm.", Quantity(9.0, "mm")),
        ("The lung nodule is 9 mm, previously 6 mm.", Quantity(9.0, "mm")),
        ("The lung nodule has grown from 6 to 9 mm.", Quantity(9.0, "mm")),
        ("肺结节，大小约1.2×0.8cm。", Quantity(12.0, "mm")),
        ("８毫米肺结节。", Quantity(8.0, "mm")),
        ("肺结节，直径小于5mm。", Quantity(5.0, "mm", None, "<")),
        ("肺结节，直径1.5厘米，原为1厘米。", Quantity(15.0, "mm")),
    ],
)
def test_a_size_belongs_to_the_nodule(text: str, quantity: Quantity) -> None:
    assert [item.quantity for item in coded(text, "R91.1")] == [quantity]


@pytest.mark.parametrize(
    "text",
    [
        "Lung nodule on 5 mm slices.",
        "Lung nodule, 5 mm slice thickness.",
        "Lung nodule, pressure 120 mm Hg.",
        "Lung nodule 5 mm3.",
        "Lung nodule, 0 mm.",
        "Lung nodule, room 12.",
        "肺结节，层厚5mm。",
    ],
)
def test_what_is_no_size_is_none(text: str) -> None:
    assert [item.quantity for item in coded(text, "R91.1")] == [None]


def test_two_nodules_keep_their_own_sizes() -> None:
    text = "A 9 mm nodule in the right lung and a 4 mm nodule in the left lung."

    assert [(item.quantity, item.side) for item in coded(text, "R91.1")] == [
        (Quantity(9.0, "mm"), "right"),
        (Quantity(4.0, "mm"), "left"),
    ]


def test_a_size_of_before_is_a_measurement_of_the_past() -> None:
    (before,) = coded("The lung nodule is 9 mm, previously 6 mm.", "103339001")

    assert (before.quantity, before.assertion.historical) == (Quantity(6.0, "mm"), True)


def test_a_size_of_nothing_known_stands_for_itself() -> None:
    (size,) = coded("Incision of 5 cm.", "103339001")

    assert (size.surface, size.quantity, size.code.scheme) == ("5 cm", Quantity(50.0, "mm"), "SCT")


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("30 pack-year smoking history.", 30.0),
        ("Smoker, 30 pack years.", 30.0),
        ("Smoker, 40pk-yr.", 40.0),
        ("Smokes 1 ppd x 20 years.", 20.0),
        ("Smokes half a pack per day for 20 years.", 10.0),
        ("Smokes 1.5 packs a day for 10 years.", 15.0),
        ("Smokes 10 cigarettes a day for 30 years.", 15.0),
        ("Smoked for 30 years, one pack per day.", 30.0),
        ("Smoked for 30 years, about one and a half packs per day.", 45.0),
        ("Smokes. 20 pack-years.", 20.0),
        ("吸烟30年，每日1包。", 30.0),
        ("吸烟史40余年，20支/日。", 40.0),
        ("吸烟二十年，每天半包。", 10.0),
        ("每日2包，吸烟20年。", 40.0),
        ("吸烟，30包年。", 30.0),
    ],
)
def test_pack_years_belong_to_smoking(text: str, years: float) -> None:
    assert [item.quantity for item in coded(text, "F17.210")] == [Quantity(years, "{pack}.a")]


def test_pack_years_alone_are_a_measurement() -> None:
    (told,) = coded("40 pack-years.", "401201003")

    assert told.quantity == Quantity(40.0, "{pack}.a")


def test_a_smoker_who_quit_smokes_no_more() -> None:
    smoking, quitting = analyze("Smoked 1 ppd for 20 years, quit 5 years ago.").facts

    assert (smoking.code.value, smoking.assertion.historical) == ("F17.210", True)
    assert (quitting.code.value, quitting.when, quitting.surface) == ("Z87.891", "-P5Y", "quit")
    assert analyze("He quit his job.").facts == ()


def test_who_quit_is_known_by_the_packs() -> None:
    (quitting,) = analyze("40 pack-year history, quit in 2015.").facts

    assert (quitting.code.value, quitting.when, quitting.quantity) == ("Z87.891", "2015", Quantity(40.0, "{pack}.a"))


def test_a_chinese_smoker_who_quit_does_not_smoke_either() -> None:
    smoking, quitting = analyze("吸烟史30年，20支/天，已戒10年。").facts

    assert (smoking.quantity, smoking.assertion.historical) == (Quantity(30.0, "{pack}.a"), True)
    assert (quitting.code.value, quitting.when) == ("Z87.891", "-P10Y")


def test_advice_to_stop_is_not_stopping() -> None:
    smoking, quitting = analyze("He smokes and was advised to quit smoking.").facts

    assert smoking.assertion.present
    assert quitting.assertion.hypothetical


def test_the_quantity_does_not_change_where_the_fact_stands() -> None:
    text = "Right lung nodule measuring 9 mm."

    assert fact(text, "lung nodule").end == text.index(" measuring")
