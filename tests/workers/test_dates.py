"""Ages and moments: by a date of birth, an Age String, a header with its offset."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from workers.dates import OLDEST, age_at, age_said, studied_by_header

AT = dt.datetime(2026, 11, 20, 10, 15, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("born", "age"),
    [
        ("19501120", 76.0),
        ("19501121", 75.0),
        ("20241120", 2.0),
        ("20260820", 0.25),
        ("20270101", None),
        ("18000101", None),
        ("", None),
        ("1950", None),
        ("20260231", None),
        ("19500229", None),
    ],
)
def test_age_is_in_completed_years_and_with_its_fraction_for_children(born: str, age: float | None) -> None:
    assert age_at(born, AT) == age


@given(st.dates(dt.date(1900, 1, 1), dt.date(2026, 11, 20)))
def test_an_age_is_never_negative_and_never_more_than_the_years_passed(born: dt.date) -> None:
    age = age_at(born.strftime("%Y%m%d"), AT)
    assert age is not None
    assert 0 <= age <= min(OLDEST, (AT.date() - born).days / 365.2425 + 0.01)


@pytest.mark.parametrize(
    ("text", "age"),
    [("045Y", 45.0), ("006M", 0.5), ("026W", 0.5), ("003D", 0.01), ("240M", 20.0), ("999Y", None), ("45", None)],
)
def test_an_age_string_is_read(text: str, age: float | None) -> None:
    assert age_said(text) == age


@given(st.text(max_size=8))
def test_any_other_string_is_no_age(text: str) -> None:
    age = age_said(text)
    assert age is None or 0 <= age <= OLDEST


def test_the_study_began_when_its_header_says_with_its_offset() -> None:
    image = Dataset()
    assert studied_by_header(image) is None
    image.StudyDate, image.StudyTime, image.TimezoneOffsetFromUTC = "20261120", "1015", "+0900"
    assert studied_by_header(image) == dt.datetime(2026, 11, 20, 10, 15, tzinfo=dt.timezone(dt.timedelta(hours=9)))
    image.StudyDate = "today"
    assert studied_by_header(image) is None
