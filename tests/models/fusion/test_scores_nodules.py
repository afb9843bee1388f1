"""The reading of a nodule's words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.fusion.scores.nodules import Density, density_of, nodules, spiculation_of, upper_lobe_of
from tests.models.fusion.score_cases import chest, nodule


@pytest.mark.parametrize(
    ("text", "density"),
    [
        ("Part-solid nodule", Density.PART_SOLID),
        ("partly solid", Density.PART_SOLID),
        ("ground glass nodule with a solid component of 4 mm", Density.PART_SOLID),
        ("pure ground-glass nodule", Density.NON_SOLID),
        ("non-solid", Density.NON_SOLID),
        ("non solid", Density.NON_SOLID),
        ("solid nodule", Density.SOLID),
        ("subsolid nodule", None),
        ("sub-solid nodule", None),
        ("a nodule", None),
        ("实性结节", Density.SOLID),
        ("部分实性结节", Density.PART_SOLID),
        ("混合磨玻璃结节", Density.PART_SOLID),
        ("磨玻璃结节", Density.NON_SOLID),
        ("亚实性结节", None),
    ],
)
def test_words_tell_the_type(text: str, density: Density | None) -> None:
    assert density_of(text) is density


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("spiculated", True),
        ("not spiculated", False),
        ("without spiculation", False),
        ("smooth margins", False),
        ("毛刺", True),
        ("round", None),
    ],
)
def test_words_tell_the_margin(text: str, expected: bool | None) -> None:
    assert spiculation_of(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("right upper lobe", True),
        ("RUL", True),
        ("left lower lobe", False),
        ("右肺上叶", True),
        ("upper and lower lobe: upper lobe, lower lobe", None),
        ("lingula", None),
    ],
)
def test_words_tell_the_lobe(text: str, expected: bool | None) -> None:
    assert upper_lobe_of(text) is expected


@given(st.text(max_size=600))
def test_no_text_breaks_the_reading_of_a_nodule(text: str) -> None:
    assert len(nodules(chest(nodule(5, text, label=text[:50])))) == 1
