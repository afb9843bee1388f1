"""Headings, languages and sentences."""

from __future__ import annotations

from itertools import pairwise

import pytest

from models.notes import analyze
from models.notes.language import detect
from models.notes.sentences import MAX_TOKENS, split_sentences
from models.notes.tokens import tokenize
from tests.models.notes.facts import fact, said, words

NOTE = """REASON FOR EXAM: memory loss
PAST MEDICAL HISTORY:
Hypertension
No history of stroke
Atrial fibrillation
Family History
Mother: dementia
Father: no epilepsy
Medications: warfarin
Allergies: penicillin
VITALS BY NURSE: BP 120/80, fever
IMPRESSION:
1. Hippocampal sclerosis.
2. No hemorrhage.
ASSESSMENT AND PLAN: Migraine.
"""


def test_a_heading_names_the_section_of_its_facts() -> None:
    sections = {item.surface: item.section for item in analyze(NOTE).facts}

    assert sections == {
        "memory loss": "reason_for_exam",
        "Hypertension": "past_history",
        "stroke": "past_history",
        "Atrial fibrillation": "past_history",
        "dementia": "family_history",
        "epilepsy": "family_history",
        "warfarin": "medications",
        "penicillin": "allergies",
        "BP 120": "other",
        "80": "other",
        "fever": "other",
        "Hippocampal sclerosis": "impression",
        "hemorrhage": "impression",
        "Migraine": "assessment",
    }


@pytest.mark.parametrize(
    ("surface", "expected"),
    [
        ("memory loss", set()),
        ("Hypertension", {"historical"}),
        ("stroke", {"historical", "negated"}),
        ("Atrial fibrillation", {"historical"}),
        ("dementia", {"family", "historical"}),
        ("epilepsy", {"family", "historical", "negated"}),
        ("warfarin", set()),
        ("penicillin", {"historical"}),
        ("fever", set()),
        ("Hippocampal sclerosis", set()),
    ],
)
def test_a_section_says_how_its_facts_stand(surface: str, expected: set[str]) -> None:
    assert words(said(NOTE, surface)) == expected


def test_sections_cover_the_note_without_gaps() -> None:
    sections = analyze("Seen today.\n" + NOTE).sections

    assert sections[0][:2] == ("note", 0)
    assert all(left[2] == right[1] for left, right in pairwise(sections))
    assert sections[-1][2] == len("Seen today.\n" + NOTE)


def test_a_heading_is_found_where_line_breaks_were_lost() -> None:
    text = "CLINICAL HISTORY: memory loss. FINDINGS: No hydrocephalus. IMPRESSION: Dementia."

    assert fact(text, "hydrocephalus").section == "findings"
    assert fact(text, "dementia").section == "impression"


def test_a_word_of_a_heading_inside_a_sentence_is_no_heading() -> None:
    assert fact("She carries the diagnosis: dementia.", "dementia").section == "note"


@pytest.mark.parametrize(
    ("heading", "section"),
    [
        ("主诉", "chief_complaint"),
        ("现病史", "present_illness"),
        ("既往史", "past_history"),
        ("家族史", "family_history"),
        ("诊断", "diagnosis"),
    ],
)
def test_a_chinese_heading_names_its_section(heading: str, section: str) -> None:
    assert fact(f"{heading}：痴呆。", "痴呆").section == section
    assert fact(f"【{heading}】痴呆。", "痴呆").section == section


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("No headache.", "en"),
        ("头颅MRI示海马萎缩，EEG未见异常", "zh"),
        ("Patient 王小明 was seen for headache and memory loss", "en"),
        ("", "und"),
        ("12.5 / 7", "und"),
    ],
)
def test_the_language_is_told_by_the_script(text: str, language: str) -> None:
    assert detect(text) == language


def sentences(text: str) -> list[str]:
    tokens = tokenize(text)
    ranges = split_sentences(text, tokens, 0, len(text))
    return [text[tokens.starts[item.first] : tokens.ends[item.last - 1]] for item in ranges if item.last > item.first]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Seen by Dr. Smith today. No fever.", 2),
        ("The nodule measures 2.5 cm. No change.", 2),
        ("1. Hypertension 2. Diabetes 3. COPD", 3),
        ("Hypertension\nDiabetes", 2),
        ("She denies headache, fever,\nand chills.", 1),
        ("The patient is a pleasant woman who came to the clinic today with\nHeadache and fever.", 1),
        ("? stroke", 1),
        ("无头痛。有恶心！记忆力下降", 3),
        ("Nodule (e.g. granuloma) seen.", 1),
    ],
)
def test_sentences_end_where_they_should(text: str, count: int) -> None:
    assert len(sentences(text)) == count


def test_an_endless_sentence_is_cut() -> None:
    assert len(sentences("word " * (3 * MAX_TOKENS))) == 3


@pytest.mark.parametrize(
    ("text", "surface", "expected"),
    [
        ("Allergies - penicillin", "penicillin", {"historical"}),
        ("CARDIAC HISTORY: atrial fibrillation.", "atrial fibrillation", {"historical"}),
        ("PREVIOUS OPERATIONS: craniotomy.", "craniotomy", {"historical"}),
        ("HOSPITAL HISTORY OF TODAY: fever.", "fever", set()),
        ("Social history: denies alcohol.", "alcohol", {"negated", "historical"}),
        ("Social history: smokes.", "smokes", set()),
        ("TOBACCO: Quit smoking in 1958.", "TOBACCO", {"historical"}),
        ("Recommendations: MRI.", "MRI", {"hypothetical"}),
        ("吸烟史：无。", "吸烟史", {"negated", "historical"}),
    ],
)
def test_a_heading_says_how_what_stands_below_it_is_meant(text: str, surface: str, expected: set[str]) -> None:
    assert words(said(text, surface)) == expected


def test_what_opens_a_list_holds_for_its_items() -> None:
    listed = analyze("Past history is significant for: 1. Stroke 2. Epilepsy\n3. Migraine\nHe has a headache.").facts

    assert [item.assertion.historical for item in listed] == [True, True, True, False]
    bulleted = analyze("Return for:\n- fever\n- vomiting\nHe has a headache.").facts
    assert [item.assertion.hypothetical for item in bulleted] == [True, True, False]


def test_a_finished_sentence_opens_no_list() -> None:
    assert words(said("History of stroke.\n1. Headache", "Headache")) == set()
