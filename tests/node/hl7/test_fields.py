"""Which of a patient's numbers counts, and when a message was stated."""

from __future__ import annotations

import datetime as dt
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import Hl7InputError
from node.hl7 import fields
from node.hl7.message import Segment, parse

RECEIVED = dt.datetime(2026, 2, 3, 4, 5, tzinfo=dt.UTC)


def pid(numbers: str) -> Segment:
    return Segment("PID", ("PID", "1", "", numbers))


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ("1^^^A", ("1", "A")),
        ("~^^^A~1^^^A", ("1", "A")),
        ("1^^^&1.2.3&ISO", ("1", "1.2.3")),
        ("1^^^A&1.2.3&ISO", ("1", "A")),
        ("1^^^A^MR~2^^^B^MR", ("1", "A")),
        ("9^^^USA^SS~1^^^A^MR", ("1", "A")),
        ("9^^^USA^SS~1^^^A", ("1", "A")),
        ("7^^^A^AN~9^^^USA^SS", ("9", "USA")),
        ("7^^^A^VN", ("7", "A")),
        ("2^^^B~1^^^A^PI", ("1", "A")),
        ("2^^^B^mr~1^^^A", ("2", "B")),
    ],
)
def test_of_a_patients_numbers_the_medical_record_number_counts(numbers: str, expected: tuple[str, str]) -> None:
    assert fields.person_id(pid(numbers)) == expected


def test_the_order_in_which_numbers_of_different_kinds_are_listed_does_not_matter() -> None:
    for order in itertools.permutations(["1^^^A^MR", "9^^^USA^SS", "7^^^A^AN", "5^^^B"]):
        assert fields.person_id(pid("~".join(order))) == ("1", "A")


@pytest.mark.parametrize("numbers", ["", '""', "^^^A", "~~"])
def test_without_a_number_there_is_no_patient(numbers: str) -> None:
    with pytest.raises(Hl7InputError) as caught:
        fields.person_id(pid(numbers))
    assert (caught.value.error_code, caught.value.location) == ("101", "PID^1^3")


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ("1^^^A^MR", [("1", "A")]),
        ("1^^^A^MR~2^^^B^PI~3^^^USA^SS~1^^^A^MR", [("1", "A"), ("2", "B")]),
        ("3^^^USA^SS~7^^^A^AN", [("3", "USA")]),
    ],
)
def test_prior_numbers_are_all_medical_record_numbers(numbers: str, expected: list[tuple[str, str]]) -> None:
    assert fields.prior_ids(Segment("MRG", ("MRG", numbers))) == expected


def stated(kind: str, msh_7: str, evn_2: str | None = None) -> dt.datetime:
    lines = [f"MSH|^~\\&|A|B|C|D|{msh_7}||{kind}|1|P|2.5.1"]
    if evn_2 is not None:
        lines.append(f"EVN|A01|{evn_2}")
    return fields.stated_at(parse("\r".join(lines).encode()), RECEIVED)


def test_a_message_was_stated_when_its_event_was_recorded_or_it_was_written_or_when_it_came() -> None:
    noon = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
    assert stated("ORM^O01", "20260101120000+0000") == noon
    assert stated("ORM^O01", "20260101120000+0000^S") == noon
    assert stated("ORM^O01", "") == RECEIVED
    assert stated("ORM^O01", "no time") == RECEIVED
    assert stated("ADT^A01", "20260101130000+0000", "202601011200") == noon  # in MSH-7's zone
    assert stated("ADT^A01", "20260101120000+0000", "") == noon
    assert stated("ADT^A01", "20260101120000+0000", "20260101") == noon  # which tells no hour
    assert stated("ADT^A01", "20260101120000+0000") == noon
    assert stated("ORM^O01", "20260101120000+0000", "202601011100") == noon  # EVN is ADT's


@given(st.text(alphabet="0123456789+-.:T ^Z", max_size=30))
def test_any_time_can_be_kept_or_is_none(text: str) -> None:
    at = fields.time(text)
    assert at is None or at.astimezone(dt.UTC).utcoffset() == dt.timedelta(0)


def test_a_bare_date_is_no_time_of_a_statement_and_a_clock_far_ahead_is_not_believed() -> None:
    assert stated("ORM^O01", "20260101") == RECEIVED
    assert stated("ORM^O01", "2026010112") == RECEIVED
    ahead = RECEIVED + dt.timedelta(hours=23)
    assert stated("ORM^O01", ahead.strftime("%Y%m%d%H%M%S+0000")) == ahead  # such as one in another zone
    assert stated("ORM^O01", "20990101120000+0000") == RECEIVED
    assert stated("ADT^A08", "20260101120000+0000", "209901011200") == dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
