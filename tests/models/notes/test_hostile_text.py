"""Whatever is written, the analysis ends soon and its offsets hold."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.notes import analyze, assert_span

PIECES = [
    "no ",
    "headache",
    "，",
    "无",
    "头痛",
    "history of ",
    "\n",
    ": ",
    "FAMILY HISTORY",
    "mother ",
    "(",
    ")",
    "?",
    "1. ",
    "9 mm ",
    "lung nodule ",
    "2015",
    "3 years ago ",
    "每日1包",
    "吸烟30年，",
    "INR 2.4 ",
    "BP 120/80",
    "left ",
    "quit ",
    "岁",
    "/",
    "1",
]
SECONDS = 10.0  # for 50 kB, of which the slowest needs about 1; quadratic work would take minutes

notes = st.one_of(st.text(max_size=300), st.lists(st.sampled_from(PIECES), max_size=60).map("".join))


@settings(max_examples=150, deadline=None)
@given(notes)
def test_facts_lie_within_the_text_in_order(text: str) -> None:
    analysis = analyze(text)

    ends = [0]
    for item in analysis.facts:
        assert 0 <= item.start < item.end <= len(text)
        assert text[item.start : item.end] == item.surface
        assert item.start >= ends[-1]
        ends.append(item.end)
    assert analysis.sections[0][1] == 0
    assert analysis.sections[-1][2] == len(text)


@settings(max_examples=100, deadline=None)
@given(notes.filter(bool), st.data())
def test_any_span_can_be_asserted(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))

    assert_span(text, start, end)


@settings(max_examples=50, deadline=None)
@given(notes)
def test_a_span_is_asserted_as_the_analysis_asserts_it(text: str) -> None:
    for item in analyze(text).facts:
        assert assert_span(text, item.start, item.end) == item.assertion


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "no fever ",
        "无头痛，",
        "no (",
        "HISTORY: ",
        "\n",
        "1. ",
        "if no history of ",
        "\U0001f600",
        "a'",
        "头",
        "A B: ",
        "1",
        "1 x ",
        "9 mm ",
        "9mm nodule ",
        "nodule left ",
        "3 years ago ",
        "for 3 years ",
        "2015 ",
        "2015-",
        "3年",
        "吸烟30年，",
        "smoker 1 ppd x 20 years ",
        "INR ",
        "BP 120/80 ",
        "INR : : : : ",
        "78岁",
        "stroke 2015 ",
    ],
)
def test_long_monotonous_text_is_read_in_linear_time(unit: str) -> None:
    text = unit * (50_000 // len(unit))
    begin = time.process_time()

    analyze(text)

    assert time.process_time() - begin < SECONDS


def test_a_megabyte_is_read() -> None:
    text = "The patient denies headache and has a nodule.\n" * 11_000 + "x " * 260_000

    assert len(text) > 1_000_000
    assert len(analyze(text).facts) == 22_000


def test_empty_text_has_one_empty_section_and_no_facts() -> None:
    analysis = analyze("")

    assert analysis.facts == ()
    assert analysis.sections == (("note", 0, 0),)


def test_lone_surrogates_and_controls_are_harmless() -> None:
    assert [item.surface for item in analyze("\ud800\x00\u202eno dementia\ufffe").facts] == ["dementia"]
