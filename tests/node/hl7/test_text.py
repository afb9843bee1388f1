"""The text of documents out of OBX segments: encapsulated, in markup, hostile."""

from __future__ import annotations

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import Hl7InputError
from node.hl7.handlers.markup import text_of_html
from node.hl7.handlers.text import is_text, text_of
from node.hl7.message import Segment


def obx(kind: str, value: str, status: str = "F") -> Segment:
    return Segment("OBX", ("OBX", "1", kind, "", "", value, "", "", "", "", "", status))


def encoded(text: str, codec: str = "utf_8") -> str:
    return base64.b64encode(text.encode(codec)).decode()


@pytest.mark.parametrize(
    "head",
    [
        "^TEXT^plain^Base64^",
        "^TEXT^^Base64^",
        "^TX^^Base64^",
        "APP^text^PLAIN^BASE64^",
        "^text/plain^^Base64^",
        "^TEXT^HTML^Base64^",
        "^AP^HTML^Base64^",
        "^text/html^^Base64^",
        "^text^html^Base64^",
    ],
)
def test_encapsulated_text_is_read_however_its_sender_calls_it(head: str) -> None:
    assert text_of([obx("ED", head + encoded("Keine Blutung"))], "ascii") == "Keine Blutung"


@pytest.mark.parametrize(
    "head",
    [
        "^application^pdf^Base64^",
        "^TEXT^RTF^Base64^",
        "^AP^RTF^Base64^",
        "^IM^JPEG^Base64^",
        "^AP^XML^Base64^",
        "^multipart^x-hl7-cda-level-one^Base64^",
    ],
)
def test_what_is_no_plain_text_is_left_alone(head: str) -> None:
    segment = obx("ED", head + encoded("{\\rtf1 x}"))
    assert not is_text(segment)
    assert text_of([segment], "ascii") == ""


def test_hexadecimal_is_read_and_refused_where_it_is_none() -> None:
    assert text_of([obx("ED", "^TEXT^plain^Hex^4865616C7468")], "ascii") == "Health"
    with pytest.raises(Hl7InputError, match="hexadecimal"):
        text_of([obx("ED", "^TEXT^plain^Hex^48656")], "ascii")


@pytest.mark.parametrize("status", ["D", "W", "X", "O"])
def test_deleted_text_is_no_text(status: str) -> None:
    assert text_of([obx("TX", "one", status), obx("TX", "two")], "ascii") == "two"


def test_markup_becomes_lines() -> None:
    source = (
        "<html><head><title>t</title><style>p {color: red}</style></head><body><h1>Findings</h1>"
        "<p>No bleed&nbsp;&amp; no <b>mass</b>.<br/>Size &lt; 5&#160;mm</p><!-- <p>draft</p> -->"
        "<script>if (a < b) alert('x')</script><table><tr><td>Age</td><td>70</td></tr></table></body></html>"
    )
    assert text_of_html(source) == "Findings\nNo bleed & no mass.\nSize < 5 mm\nAge 70"


def test_text_behind_a_head_without_end_is_not_lost() -> None:
    assert text_of_html("<head><title>t</title><body>text") == "text"


@given(st.text(alphabet="<>/!-&#;bpr xscript0123456789=\"'\n", max_size=300))
def test_any_markup_is_read_without_an_error(source: str) -> None:
    assert "\n\n" not in text_of_html(source)


@pytest.mark.parametrize("piece", ["<", "<!--", "<a", "&#", "&", "<script>", "</", "<p>", "&#" + "9" * 5000 + ";"])
def test_hostile_markup_takes_no_longer_than_its_length(piece: str) -> None:
    source = piece * (1_000_000 // len(piece))
    began = time.process_time()
    text_of_html(source)
    assert time.process_time() - began < 5


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\x00"), min_size=1, max_size=200))
def test_any_text_comes_out_of_base64_as_it_went_in(text: str) -> None:
    assert text_of([obx("ED", "^TEXT^plain^Base64^" + encoded(text))], "utf_8") == text.strip("\n")
