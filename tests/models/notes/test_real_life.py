"""Notes as they are typed: abbreviations, boxes, plus and minus, tables, copied lines, two languages in one line."""

from __future__ import annotations

import pytest

from models.notes import analyze
from tests.models.notes.facts import fact, said, words


@pytest.mark.parametrize(
    ("text", "surface", "expected"),
    [
        ("Covid negative.", "Covid", {"negated"}),
        ("Flu/COVID neg.", "COVID", {"negated"}),
        ("Cirrhosis ruled out.", "Cirrhosis", {"negated"}),
        ("CTA neg for PE", "PE", {"negated"}),
        ("no CP, no N/V, h/o HTN, DM2", "HTN", {"historical"}),
        ("no CP, no N/V, h/o HTN, DM2", "CP", {"negated"}),
        ("no CP, hx afib", "afib", {"historical"}),
        ("denies hx of MI, CVA", "CVA", {"negated", "historical"}),
        ("h/o afib on eliquis", "eliquis", set()),
        ("was on warfarin", "warfarin", set()),
        ("Stopped warfarin last month.", "warfarin", {"historical"}),
        ("Apixaban was discontinued.", "Apixaban", {"historical"}),
        ("Warfarin held today.", "Warfarin", set()),
        ("brought by her husband for memory loss", "memory loss", set()),
        ("FHx: lung ca (father)", "lung ca", {"historical", "family"}),
        ("PATIENT DENIES CHEST PAIN.", "CHEST PAIN", {"negated"}),
        ("+cough, -fever", "cough", set()),
        ("+cough, -fever", "fever", {"negated"}),
        ("Warfarin allergy.", "Warfarin", {"historical"}),
        ("Low probability of PE.", "PE", {"uncertain"}),
        ("- fever\n- cough", "fever", set()),
        ("-fever", "fever", set()),  # without a plus beside it a dash is a bullet
        ("[ ] chest pain [x] cough", "chest pain", {"hypothetical"}),
        ("[ ] chest pain [x] cough", "cough", set()),
        ("☐ fever ☑ cough", "fever", {"hypothetical"}),
        ("☐ fever ☑ cough", "cough", set()),
    ],
)
def test_what_is_typed_in_haste_is_read_as_it_is_meant(text: str, surface: str, expected: set[str]) -> None:
    assert words(said(text, surface)) == expected


def test_vital_signs_behind_vs_and_a_colon_are_no_alternative() -> None:
    note = "VS: T 39.2, BP 88/52, HR 118"
    assert all(item.assertion.present for item in analyze(note).facts)
    assert words(said("PE vs pneumonia", "pneumonia")) == {"uncertain"}


@pytest.mark.parametrize(
    ("line", "code", "value"),
    [
        ("INR    3.4   H", "6301-6", 3.4),
        ("Creatinine | 1.8 | mg/dL", "2160-0", 1.8),
        ("WBC 12.3  Hgb 9.8  Plt 88", "777-3", 88.0),
    ],
)
def test_a_line_of_a_table_is_read(line: str, code: str, value: float) -> None:
    [found] = [item for item in analyze(line).facts if item.code.value == code]
    assert found.quantity is not None
    assert found.quantity.value == value


def test_a_year_behind_an_earlier_size_does_not_make_the_present_one_past() -> None:
    note = "RUL nodule 9mm, previously 6 mm in 2024"
    now, before = fact(note, "nodule"), fact(note, "6 mm")
    assert now.assertion.present
    assert now.quantity is not None
    assert now.quantity.value == 9.0
    assert (before.assertion.historical, before.when) == (True, "2024")


@pytest.mark.parametrize(
    ("text", "surface", "expected"),
    [
        ("头颅CT排除颅内出血。", "颅内出血", {"uncertain"}),
        ("诊断：慢性咳嗽，排除恶性肿瘤。", "恶性肿瘤", {"uncertain"}),
        ("已排除肺栓塞。", "肺栓塞", {"negated"}),
        ("肺栓塞已排除。", "肺栓塞", {"negated"}),
        ("可排除脑出血。", "脑出血", {"negated"}),
        ("患者有SOB，无CP，hx HTN。", "HTN", {"historical"}),
        ("患者有SOB，无CP，hx HTN。", "CP", {"negated"}),
        ("自行停用华法林。", "华法林", {"historical"}),
        ("目前未服用抗凝药。", "抗凝药", {"negated"}),
        ("患者無胸痛，否認發熱。", "胸痛", {"negated"}),
        ("患者無胸痛，否認發熱。", "發熱", {"negated"}),
        ("既往高血壓。", "高血壓", {"historical"}),
        ("服用華法林。", "華法林", set()),
        ("家族史：父親肺癌。", "肺癌", {"historical", "family"}),
    ],
)
def test_chinese_as_it_is_written_in_both_scripts(text: str, surface: str, expected: set[str]) -> None:
    assert words(said(text, surface)) == expected


def test_traditional_and_simplified_characters_give_the_same_facts_at_the_same_places() -> None:
    traditional = "患者78歲，跌倒後頭痛、嘔吐。無發燒。既往：心房顫動、糖尿病。服用華法林。右肺上葉見９ｍｍ結節。"
    simplified = "患者78岁，跌倒后头痛、呕吐。无发烧。既往：心房颤动、糖尿病。服用华法林。右肺上叶见９ｍｍ结节。"

    def read(text: str) -> list[tuple[object, ...]]:
        return [
            (item.code, item.start, item.end, item.assertion, item.quantity, item.side) for item in analyze(text).facts
        ]

    assert read(traditional) == read(simplified)
    assert len(read(traditional)) >= 8


@pytest.mark.parametrize(
    "text",
    ["PE: lungs clear.", "HPI: cough.\nPE: no rash.", "CP angles clear.", "SQ pump for DVT prophylaxis.", "DVT ppx"],
)
def test_what_only_looks_like_a_disease_is_none(text: str) -> None:
    assert not {item.code.value for item in analyze(text).facts} & {"I26.99", "R07.9", "I82.409"}


def test_a_pulmonary_embolism_at_the_start_of_a_line_is_still_one() -> None:
    assert fact("PE suspected.", "PE").code.value == "I26.99"


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("Stable 6 mm RUL nodule, unchanged since 2023.", ""),
        ("6 mm lung nodule, larger compared to 2024.", ""),
        ("右肺上叶结节，大小约8mm×6mm，较2024年增大。", ""),
        ("CT in 2024 showed a 6 mm lung nodule.", "2024"),
    ],
)
def test_a_year_that_a_size_is_compared_with_is_not_its_time(text: str, when: str) -> None:
    [sized] = [item for item in analyze(text).facts if item.quantity is not None]
    assert sized.when == when
