"""How Chinese sentences state their concepts, and that twins in two languages give the same facts."""

from __future__ import annotations

import pytest

from models.facts import Assertion
from models.notes import analyze
from tests.models.notes.facts import said, words


@pytest.mark.parametrize(
    ("text", "surface", "expected"),
    [
        ("否认癫痫", "癫痫", {"negated"}),
        ("无头痛", "头痛", {"negated"}),
        ("父亲患有痴呆", "痴呆", {"family"}),
        ("家族中无痴呆患者。", "痴呆", {"family", "negated"}),
        ("未见明显梗死灶及出血。", "出血", {"negated"}),
        ("脑出血除外。", "脑出血", {"negated"}),
        ("不能除外海马硬化。", "海马硬化", {"uncertain"}),
        ("阿尔茨海默病不除外。", "阿尔茨海默病", {"uncertain"}),
        ("海马硬化待排。", "海马硬化", {"uncertain"}),
        ("痴呆？", "痴呆", {"uncertain"}),
        ("阿尔茨海默病可能性大。", "阿尔茨海默病", {"uncertain"}),
        ("建议行检查排除胶质瘤。", "胶质瘤", {"uncertain", "hypothetical"}),
        ("既往有脑梗死病史。", "脑梗死", {"historical"}),
        ("5年前患脑梗死。", "脑梗死", {"historical"}),
        ("如出现呕吐，请及时就诊。", "呕吐", {"hypothetical"}),
        ("头痛未见明显好转。", "头痛", set()),
        ("2年前无明显诱因出现记忆力减退。", "记忆力减退", set()),
        ("患者女儿代诉：患者记忆力下降。", "记忆力下降", set()),
        ("丈夫有癫痫。", "癫痫", {"other"}),
        ("家属否认癫痫。", "癫痫", {"negated"}),
    ],
)
def test_a_chinese_statement_is_read(text: str, surface: str, expected: set[str]) -> None:
    assert words(said(text, surface)) == expected


def test_a_chinese_list_by_commas_is_denied_as_a_whole() -> None:
    facts = analyze("否认高血压，糖尿病，冠心病史。").facts

    assert [item.assertion.negated for item in facts] == [True, True, True]


def test_a_chinese_comma_before_a_new_statement_ends_the_negation() -> None:
    assert words(said("无发热，头痛3天。", "头痛")) == set()
    assert words(said("双肺未见实变，右侧胸腔积液。", "胸腔积液")) == set()


def test_a_word_of_now_ends_the_past() -> None:
    assert words(said("既往有脑梗死，目前记忆力下降。", "记忆力下降")) == set()


def test_a_negation_inside_a_chinese_term_does_not_act() -> None:
    assert words(said("无力、头痛。", "头痛")) == set()


TWINS = [
    ("No headache.", "无头痛。"),
    ("Denies epilepsy.", "否认癫痫。"),
    ("Father has dementia.", "父亲患有痴呆。"),
    ("Memory loss for 2 years.", "记忆力下降2年。"),
    ("Hippocampal sclerosis cannot be excluded.", "不能排除海马硬化。"),
    ("History of stroke.", "脑卒中病史。"),
    ("No intracranial hemorrhage.", "未见颅内出血。"),
    ("Suspected pneumonia.", "疑似肺炎。"),
    ("Family history: Alzheimer's disease.", "家族史：阿尔茨海默病。"),
    ("Past medical history: hypertension, diabetes.", "既往史：高血压、糖尿病。"),
    ("Patient has atrial fibrillation, on warfarin.", "患者心房颤动，口服华法林。"),
    ("No fever, no cough.", "无发热，无咳嗽。"),
]


@pytest.mark.parametrize(("english", "chinese"), TWINS)
def test_twins_give_the_same_facts(english: str, chinese: str) -> None:
    def facts(text: str) -> list[tuple[str, str, Assertion]]:
        return [(item.code.value, item.section, item.assertion) for item in analyze(text).facts]

    assert facts(english)
    assert facts(english) == facts(chinese)


@pytest.mark.parametrize(
    ("text", "surface", "expected"),
    [
        ("右肺结节，考虑肺癌可能。", "肺结节", set()),
        ("右肺结节，考虑肺癌可能。", "肺癌", {"uncertain"}),
        ("右肺结节，转移可能性不大。", "肺结节", set()),
        ("发热，梅毒阴性。", "发热", set()),
        ("发热，梅毒阴性。", "梅毒", {"negated"}),
        ("3年前脑梗死。", "脑梗死", {"historical"}),
        ("患者不吸烟。", "吸烟", {"negated"}),
        ("青霉素过敏。", "青霉素", {"historical"}),
        ("嘱戒烟。", "戒烟", {"hypothetical"}),
    ],
)
def test_a_chinese_comma_ends_what_is_said_behind_a_concept(text: str, surface: str, expected: set[str]) -> None:
    assert words(said(text, surface)) == expected
