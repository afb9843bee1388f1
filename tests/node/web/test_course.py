"""The course of laboratory values as a drawing."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.records.schema import Observation
from node.web.course import HEIGHT, WIDTH, courses, limits

START = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


def value(number: float | None, days: float = 0.0, unit: str = "mg/L", span: str = "", code: str = "1") -> Observation:
    at = START + dt.timedelta(days=days)
    shown = "" if number is None else f"{number:g}"
    return Observation(
        code=code, name=f"Value {code}", number=number, value=shown, unit=unit, reference_range=span, observed_at=at
    )


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("3.5-4.5", (3.5, 4.5)), ("3.5 - 4.5", (3.5, 4.5)), ("-2 to 2", (-2.0, 2.0)), ("1~2 mg/L", (1.0, 2.0)),
        ("<10", (None, 10.0)), ("<= 10", (None, 10.0)), ("> 60", (60.0, None)), ("≥60", (60.0, None)),
        ("4-3", None), ("", None), ("negative", None), ("1" * 400 + "-2", None), ("<", None),
    ],
)  # fmt: skip
def test_a_reference_range_is_read_as_laboratories_write_it(text: str, wanted: object) -> None:
    assert limits(text) == wanted


def test_values_lie_where_their_time_and_height_say() -> None:
    (course,) = courses([value(10, 0, span="0-5"), value(2, 10), value(6, 5)])
    assert [point.text[:4] for point in course.points] == ["10 m", "6 mg", "2 mg"]
    first, middle, last = course.points
    assert middle.x == pytest.approx((first.x + last.x) / 2)
    assert middle.y == pytest.approx((first.y + last.y) / 2)
    assert [point.outside for point in course.points] == [True, True, False]
    assert course.band is not None
    top = course.band.y
    assert first.y < top < middle.y or top > middle.y  # 5 lies below 6 and above 2
    assert middle.y < top < last.y
    assert (course.lowest, course.highest, course.range) == ("2.00", "10.0", "0-5")
    assert (course.first, course.last) == ("2026-01-01", "2026-01-11")


def test_one_value_alone_has_no_course() -> None:
    assert courses([value(1), value(2, code="2")]) == []


def test_values_in_another_unit_are_left_out() -> None:
    (course,) = courses([value(1, 0, "g/L"), value(1000, 1), value(1100, 2)])
    assert (course.unit, len(course.points)) == ("mg/L", 2)


def test_values_without_number_or_time_are_left_out() -> None:
    timeless = value(3)
    timeless.observed_at = None
    assert courses([value(None), timeless, value(1), value(None, 3)]) == []


numbers = st.floats(-1e12, 1e12)
spans = st.sampled_from(["", "0-5", "<10", "> 60", "-1 to 1", "x", "1e5-2", "000000000-000000000"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(numbers, st.floats(0, 4000), spans), max_size=8))
def test_every_course_lies_within_its_drawing(given: list[tuple[float, float, str]]) -> None:
    for course in courses(value(number, days, span=span) for number, days, span in given):
        for point in course.points:
            assert 0 <= point.x <= WIDTH
            assert 0 <= point.y <= HEIGHT
        if course.band:
            assert 0 <= course.band.y <= HEIGHT
            assert 0 <= course.band.height <= HEIGHT
