"""Words that say something of a nodule, and nodules that are lung nodules by what stands beside them."""

from __future__ import annotations

import pytest

from models.facts import FactKind
from models.notes import analyze
from models.notes.attributes import attributes
from models.notes.codes import concepts


def codes(text: str) -> list[str]:
    return [item.code.value for item in analyze(text).facts]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Part-solid nodule in the left upper lobe.", ["NODULE-PART-SOLID", "R91.1", "LOBE-UPPER"]),
        ("Ground-glass nodule.", ["NODULE-GROUND-GLASS", "R91.1"]),
        ("Spiculated lung nodule.", ["NODULE-SPICULATED", "R91.1"]),
        ("Lung nodule. It is spiculated.", ["R91.1", "NODULE-SPICULATED"]),
        ("RLL nodule.", ["LOBE-LOWER", "R91.1"]),
        ("右肺上叶混合磨玻璃结节，边缘毛刺。", ["LOBE-UPPER", "NODULE-PART-SOLID", "R91.1", "NODULE-SPICULATED"]),
        ("Thyroid nodule, solid.", ["E04.1"]),
        ("Solid food is tolerated.", []),
        ("Nodule on the scalp.", ["PROB-NODULE"]),
        ("Chest CT shows a nodule.", ["77477000", "R91.1"]),
        ("Lung nodule. The nodule is unchanged.", ["R91.1", "R91.1", "NODULE-STABLE"]),
    ],
)
def test_an_attribute_counts_beside_a_lung_finding_only(text: str, expected: list[str]) -> None:
    assert codes(text) == expected


def test_a_denied_attribute_is_denied() -> None:
    nodule, margin = analyze("Lung nodule without spiculation.").facts

    assert (nodule.assertion.negated, margin.assertion.negated) == (False, True)
    assert margin.kind is FactKind.ATTRIBUTE


def test_no_attribute_is_a_name_of_the_lexicon() -> None:
    names = {name for concept in concepts() for name in concept.names}

    assert names.isdisjoint(name for concept in attributes() for name in concept.names)
