"""When a study was made, and how old its patient was then: by what headers and records say. Pure."""

from __future__ import annotations

import datetime as dt

from pydicom import Dataset

from node.records.schema import Study

GROWN_UP = 18.0
"""Years from which an age is said without its fraction."""
YEAR_DAYS = 365.25
OLDEST = 130.0
"""An age beyond it is an error of the record, and counts as not known."""


def studied_by_header(image: Dataset) -> dt.datetime | None:
    """Return when the study began, by its header: with the offset that it names, else as this machine counts."""
    time = (_text(image, "StudyTime").partition(".")[0] + "000000")[:6]
    offset = _text(image, "TimezoneOffsetFromUTC")
    try:
        at = dt.datetime.strptime(f"{_text(image, 'StudyDate')}{time}", "%Y%m%d%H%M%S")
        return at.replace(tzinfo=dt.datetime.strptime(offset, "%z").tzinfo) if offset else at.astimezone()
    except (ValueError, OverflowError):
        return None


def studied_by_record(study: Study) -> dt.datetime | None:
    """Return when a study was made, as this machine's clock counts; None where its date is missing or none."""
    stamp = f"{study.study_date}{(study.study_time or '')[:6].ljust(6, '0')}"
    try:
        return dt.datetime.strptime(stamp, "%Y%m%d%H%M%S").astimezone()
    except (ValueError, OverflowError):
        return None


def age_at(born: str, at: dt.datetime | None) -> float | None:
    """Return the years from a date of birth (DA) to a time, completed ones for grown-ups; None if either is none."""
    try:
        day = dt.datetime.strptime(born, "%Y%m%d").date()
    except ValueError:
        return None
    if at is None:
        return None
    before_birthday = (at.month, at.day) < (day.month, day.day)
    years = float(at.year - day.year - before_birthday)
    if years < 0 or years > OLDEST:
        return None
    return years if years >= GROWN_UP else round((at.date() - day).days / YEAR_DAYS, 2)


def age_said(text: str) -> float | None:
    """Return the years that an Age String says (PS3.5 section 6.2: ``045Y``, ``006M``, ``012W``, ``003D``)."""
    per_year = {"Y": 1.0, "M": 12.0, "W": YEAR_DAYS / 7, "D": YEAR_DAYS}.get(text[-1:])
    if per_year is None or not text[:-1].isascii() or not text[:-1].isdigit() or len(text) > 4:
        return None
    years = int(text[:-1]) / per_year
    return None if years > OLDEST else float(int(years)) if years >= GROWN_UP else round(years, 2)


def _text(image: Dataset, keyword: str) -> str:
    return str(image.get(keyword) or "").strip()
