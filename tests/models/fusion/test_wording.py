"""Findings in words."""

from __future__ import annotations

import pytest

from models.contracts import Code, Finding, Side
from models.fusion.wording import describe


@pytest.mark.parametrize(
    ("label", "meaning", "said"),
    [
        ("hippocampus", "Hippocampus", "Hippocampus, left"),
        ("hippocampus-posterior", "Hippocampus", "Hippocampus posterior, left"),
        ("nodule-2", "Lung nodule", "Lung nodule, left"),
        ("lesion a", "Lung nodule", "Lung nodule, left"),
        ("", "", "1, left"),
    ],
)
def test_parts_that_share_a_code_are_told_apart_by_their_label(label: str, meaning: str, said: str) -> None:
    assert describe(Finding(label=label, code=Code("1", "SCT", meaning), side=Side.LEFT)) == said
