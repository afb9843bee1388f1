"""The lexicon, and finding its names."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from models.facts import FactKind
from models.notes import analyze
from models.notes.codes import concepts
from models.notes.concepts import find_mentions
from models.notes.modifiers import modifiers
from models.notes.tokens import tokenize
from tests.models.notes.facts import fact


def test_the_longest_name_wins() -> None:
    assert fact("Absence seizure and vascular dementia.", "vascular dementia").code.value == "F01.50"
    assert [item.surface for item in analyze("Mild cognitive impairment").facts] == ["Mild cognitive impairment"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SEIZURES", "R56.9"),
        ("headaches", "R51.9"),
        ("brain metastases", "C79.31"),
        ("biopsies", "86273004"),
        ("Alzheimer\u2019s disease", "G30.9"),
        ("Alzheimers disease", "G30.9"),
        ("follow-up of low back pain", "M54.5"),
        ("light headedness", "R42"),
        ("ＣＯＰＤ", "J44.9"),
        ("shortness   of\nbreath", "R06.02"),
    ],
)
def test_case_plural_hyphen_and_width_do_not_matter(text: str, code: str) -> None:
    assert [item.code.value for item in analyze(text).facts] == [code]


def test_an_ambiguous_abbreviation_counts_in_capitals_only() -> None:
    assert [item.code.value for item in analyze("AF").facts] == ["I48.91"]
    assert analyze("af").facts == ()


@pytest.mark.parametrize("text", ["stroked", "body mass index", "gradient echo", "seizure precautions", "癌胚抗原"])
def test_a_name_inside_something_else_is_no_fact(text: str) -> None:
    assert analyze(text).facts == ()


def test_a_fact_says_its_kind() -> None:
    kinds = {item.surface: item.kind for item in analyze("Dementia, headache, MRI, warfarin, smoking").facts}

    assert kinds == {
        "Dementia": FactKind.PROBLEM,
        "headache": FactKind.SYMPTOM,
        "MRI": FactKind.PROCEDURE,
        "warfarin": FactKind.MEDICATION,
        "smoking": FactKind.RISK_FACTOR,
    }


def test_the_lexicon_is_large_and_bilingual() -> None:
    entries = concepts()

    assert len(entries) >= 150
    for entry in entries:
        assert any(name.isascii() for name in entry.names), entry
        assert any(not name.isascii() for name in entry.names), entry


def test_every_name_of_the_lexicon_is_found_as_its_concept() -> None:
    for entry in concepts():
        for name in entry.names:
            surface = name.removeprefix("=")
            found = [mention.concept.code for mention in find_mentions(surface, tokenize(surface))]
            assert found == [entry.code], f"{surface} is found as {found}"


def test_no_code_has_two_meanings() -> None:
    meanings = {(entry.code.scheme, entry.code.value): entry.code.meaning for entry in concepts()}

    assert all(meanings[entry.code.scheme, entry.code.value] == entry.code.meaning for entry in concepts())


def test_no_modifier_is_itself_a_concept() -> None:
    trie = modifiers()
    for entry in concepts():
        for name in entry.names:
            norms = tokenize(name.removeprefix("=")).norms
            match = trie.longest(norms, 0, len(norms))
            assert match is None or match[0] < len(norms), name


@pytest.mark.data
def test_every_icd_10_cm_code_of_the_lexicon_exists(real_data: Callable[[str], Path]) -> None:
    packed = (real_data("codes-icd10cm") / "icd10cm-order-Jan-2021.csv.gz").read_bytes()
    table = {row["code"]: row["long"] for row in csv.DictReader(io.StringIO(gzip.decompress(packed).decode()))}

    for entry in concepts():
        if entry.code.scheme == "I10C":
            assert table.get(entry.code.value.replace(".", "")) == entry.code.meaning, entry.code
