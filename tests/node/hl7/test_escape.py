"""Escape sequences, both ways."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.hl7.escape import Delimiters, escape, unescape

TEXT = st.text(alphabet=st.characters(exclude_categories=("Cc", "Cs")))
OTHER = Delimiters("#", "!", "*", "?", "%")


@given(TEXT)
def test_what_is_escaped_comes_back(text: str) -> None:
    assert unescape(escape(text)) == text


@given(st.text(alphabet="|^~\\&\n.brXFST 0D"))
def test_delimiters_and_lines_come_back(text: str) -> None:
    assert unescape(escape(text)) == text


@given(TEXT)
def test_what_is_escaped_with_other_delimiters_comes_back(text: str) -> None:
    assert unescape(escape(text, OTHER), OTHER) == text


@given(st.text())
def test_an_escaped_value_breaks_no_segment(text: str) -> None:
    assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f|^~&]", escape(text))


@given(st.text())
def test_any_text_can_be_unescaped(text: str) -> None:
    assert isinstance(unescape(text), str)


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        (r"a\F\b\S\c\T\d\R\e\E\f", r"a|b^c&d~e\f"),
        (r"one\.br\two", "one\ntwo"),
        (r"one\.sp2\two", "one\n\ntwo"),
        (r"in\.sk3\dented", "in   dented"),
        (r"\H\bold\N\ plain", "bold plain"),
        (r"\X0D0A\x", "\nx"),
        (r"a\X0D\\X0A\b", "a\nb"),
        (r"\XC3A9\t\XC3A9\ ", "été "),
        (r"\X00\zero", "zero"),
        (r"C:\data\new", r"C:\data\new"),
        (r"\XFF\kept", r"\XFF\kept"),
        (r"half\.sp-\a command", r"half\.sp-\a command"),
        ("lone \\", "lone \\"),
        (r"\Zvendor\ stays", r"\Zvendor\ stays"),
        (r"truncated\P\ or not#", "truncated# or not#"),
        (r"\M2442\;3ED\C2842\ Taro", "山田 Taro"),
        (r"\M2442\;3\M2442\ED\C2842\!", "山田!"),
        (r"\M242844\0!", "丂"),
        (r"\C2D41\plain\C2842\ text", "plain text"),
        (r"\M2442\odd", r"odd"),
        (r"\M9999\stays", r"\M9999\stays"),
        (r"\M2442\;3ED", "山田"),
        (r"\M2442", r"\M2442"),
    ],
)
def test_a_sequence_means_what_the_standard_says(sent: str, meant: str) -> None:
    assert unescape(sent) == meant


def test_a_count_from_the_sender_is_bounded() -> None:
    assert len(unescape("\\.sk99999\\")) == 20
