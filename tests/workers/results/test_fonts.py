"""The fonts have every letter that DICOM's character sets can write, and text is made fit for them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.results.fonts import BOLD, FALLBACKS, REGULAR, REPLACEMENT, burnable, clean, coverage


@pytest.mark.parametrize(
    "encoding",
    [
        *("latin-1", "iso8859-2", "iso8859-3", "iso8859-4", "iso8859-5", "iso8859-6", "iso8859-7", "iso8859-8"),
        *("iso8859-9", "iso8859-15", "tis-620", "shift_jis", "iso2022_jp", "iso2022_jp_2", "euc_kr", "gb2312", "gbk"),
    ],
)
def test_fonts_have_every_letter_of_every_character_set(encoding: str) -> None:
    known = frozenset[int]().union(*map(coverage, (REGULAR, *FALLBACKS)))
    letters = {c for c in map(chr, range(0x20, 0x10000)) if unicodedata.category(c)[0] == "L" and _has(encoding, c)}
    assert len(letters) > 50
    assert {c for c in letters if ord(unicodedata.normalize("NFC", c)) not in known} == set()


def _has(encoding: str, character: str) -> bool:
    if "\ue000" <= character < "\uf900" or "\ud800" <= character < "\ue000":
        return False
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def test_bold_text_has_what_regular_text_has() -> None:
    assert coverage(REGULAR) == coverage(BOLD)


@given(st.text(st.characters(exclude_categories=()), max_size=700))
def test_clean_text_is_one_line_that_fonts_can_show(text: str) -> None:
    shown = clean(text)
    known = frozenset[int]().union(*map(coverage, (REGULAR, *FALLBACKS)))
    assert len(shown) <= 600
    assert all(ord(c) in known for c in shown)
    assert shown == " ".join(shown.split())
    assert clean(shown) == shown
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}


def test_marks_that_turn_the_direction_of_writing_are_taken_out() -> None:
    assert clean("ab\u202ecd\u2066e\u200f") == "abcde"


def test_burned_in_text_has_a_mark_for_what_its_one_font_has_not() -> None:
    assert burnable("left \u5c71 \u2265 5 ml") == f"left {REPLACEMENT} {REPLACEMENT} 5 ml"


def test_a_long_text_is_cut_and_says_so() -> None:
    assert clean("word " * 400, 20) == "word word word word…"
