"""Names, ages, notes and segments as the pages show them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.web import text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Doe^Jane", "Doe, Jane"),
        ("Adams^John Robert Quincy^^Rev.^B.A. M.Div.", "Adams, John Robert Quincy (Rev., B.A. M.Div.)"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou · 山田 太郎 · やまだ たろう"),
        ("Wang^XiaoDong=王^小東=", "Wang, XiaoDong · 王 小東"),
        ("=洪^吉洞=", "洪 吉洞"),
        ("Anonymous", "Anonymous"),
        ("^Given only", "Given only"),
        ("^^^Dr", "(Dr)"),
        ("", ""),
        ("^^^^", ""),
    ],
)
def test_a_person_name_is_shown_as_people_write_it(value: str, shown: str) -> None:
    assert text.person_name(value) == shown


@given(st.text(alphabet="ab^= \n<&", max_size=40))
def test_a_person_name_never_shows_component_separators_or_raises(value: str) -> None:
    shown = text.person_name(value)
    assert "^" not in shown
    assert "=" not in shown


@pytest.mark.parametrize(
    ("born", "on", "shown"),
    [
        ("19540312", dt.date(2026, 3, 11), "71 y"),
        ("19540312", dt.date(2026, 3, 12), "72 y"),
        ("20261101", dt.date(2026, 11, 20), "19 d"),
        ("20261001", dt.date(2026, 11, 20), "7 w"),
        ("20260101", dt.date(2026, 11, 20), "10 mo"),
        ("20241121", dt.date(2026, 11, 20), "23 mo"),
        ("20241120", dt.date(2026, 11, 20), "2 y"),
        ("20271120", dt.date(2026, 11, 20), ""),
        ("1954", dt.date(2026, 11, 20), ""),
        ("19541399", dt.date(2026, 11, 20), ""),
    ],
)
def test_an_age_is_in_the_unit_that_radiology_uses(born: str, on: dt.date, shown: str) -> None:
    assert text.age(born, on) == shown


@dataclass
class _Fact:
    start: int = 0
    end: int = 1
    negated: bool = False
    uncertain: bool = False
    historical: bool = False
    hypothetical: bool = False
    experiencer: str = "patient"


def test_whose_a_fact_is_comes_before_how_sure_it_is() -> None:
    assert text.assertion(_Fact()) == "present"
    assert text.assertion(_Fact(negated=True, historical=True)) == "negated"
    assert text.assertion(_Fact(uncertain=True, historical=True)) == "uncertain"
    assert text.assertion(_Fact(historical=True)) == "historical"
    assert text.assertion(_Fact(hypothetical=True, uncertain=True)) == "hypothetical"
    assert text.assertion(_Fact(negated=True, experiencer="family")) == "family"
    assert text.assertion(_Fact(experiencer="somebody")) == "other"


SPANS = st.lists(st.tuples(st.integers(-3, 45), st.integers(-3, 45)), max_size=12)


@given(st.text(max_size=40), SPANS)
def test_the_pieces_of_a_note_are_the_note_and_each_knows_exactly_the_spans_that_cover_it(
    note: str, spans: list[tuple[int, int]]
) -> None:
    cut = text.pieces(note, spans)
    assert "".join(piece.text for piece in cut) == note
    place = 0
    for piece in cut:
        covering = tuple(
            index
            for index, (start, end) in enumerate(spans)
            if 0 <= start < end <= len(note) and start <= place and place + len(piece.text) <= end
        )
        assert piece.facts == covering
        place += len(piece.text)


def test_many_facts_in_a_long_note_are_cut_in_short_time() -> None:
    count = 20_000
    cut = text.pieces("ab" * count, [(2 * index, 2 * index + 1) for index in range(count)])
    assert len(cut) == 2 * count


@pytest.mark.parametrize("ending", [b"\r", b"\n", b"\r\n"])
def test_an_hl7_message_is_one_line_a_segment_without_its_framing(ending: bytes) -> None:
    raw = b"\x0b" + b"MSH|^~\\&|A" + ending + "PID|1||é".encode() + ending + b"\x1c\r"
    assert text.hl7_segments(raw) == ["MSH|^~\\&|A", "PID|1||é"]


def test_bytes_that_are_no_utf8_and_control_characters_are_still_shown() -> None:
    assert text.hl7_segments(b"PID|M\xfcller\x07\rOBX|1") == ["PID|Müller\ufffd", "OBX|1"]
