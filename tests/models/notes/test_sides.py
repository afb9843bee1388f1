"""Left, right, both."""

from __future__ import annotations

import pytest

from tests.models.notes.facts import fact


@pytest.mark.parametrize(
    ("text", "surface", "side"),
    [
        ("Left hippocampal sclerosis.", "hippocampal sclerosis", "left"),
        ("Nodule in the right upper lobe.", "Nodule", "right"),
        ("Pneumothorax on the left.", "Pneumothorax", "left"),
        ("Bilateral pleural effusion.", "pleural effusion", "both"),
        ("Pleural effusion in both lungs.", "Pleural effusion", "both"),
        ("Pain in the left and right leg.", "Pain", "both"),
        ("Left-sided weakness.", "Left-sided weakness", "left"),
        ("RUL nodule.", "nodule", "right"),
        ("右侧海马硬化。", "海马硬化", "right"),
        ("双侧胸腔积液。", "胸腔积液", "both"),
        ("左肺下叶见结节。", "结节", "left"),
        ("结节位于右肺上叶。", "结节", "right"),
        ("两肺肺炎。", "肺炎", "both"),
    ],
)
def test_a_side_is_read(text: str, surface: str, side: str) -> None:
    assert fact(text, surface).side == side


@pytest.mark.parametrize(
    ("text", "surface"),
    [
        ("He left the ward with a headache.", "headache"),
        ("Right away the headache came.", "headache"),
        ("A right-handed man with epilepsy.", "epilepsy"),
        ("Left ventricular dysfunction, pneumonia.", "pneumonia"),
        ("Left hip fracture, pneumonia.", "pneumonia"),
        ("Left hip fracture and pneumonia.", "pneumonia"),
        ("左右摇晃后头痛。", "头痛"),
        ("左心衰竭，头痛。", "头痛"),
        ("两天前头痛。", "头痛"),
        ("On warfarin, left leg well.", "warfarin"),
    ],
)
def test_what_is_no_side_of_the_concept_is_none(text: str, surface: str) -> None:
    assert fact(text, surface).side == ""
