"""Lung-RADS v2022, row by row of its table."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contracts import Code, Finding
from models.fusion.contracts import Case, Score
from models.fusion.scores import NOT_APPLICABLE
from models.fusion.scores.lung_rads import lung_rads
from models.fusion.scores.lung_rads_table import ORDER
from tests.models.fusion.score_cases import chest, finding, nodule, prior

SCREENING = "Lung cancer screening, low-dose CT"


def graded(case: Case) -> Score:
    (score,) = lung_rads(replace(case, order_reason=SCREENING))
    return score


def text_of(kind: str, new: bool) -> str:
    return f"{'New ' if new else ''}{kind} nodule, smooth."


@pytest.mark.parametrize(
    ("kind", "size", "solid", "new", "expected"),
    [
        ("solid", 5.9, None, False, "2"),
        ("solid", 6, None, False, "3"),
        ("solid", 7.9, None, False, "3"),
        ("solid", 8, None, False, "4A"),
        ("solid", 14.9, None, False, "4A"),
        ("solid", 15, None, False, "4B"),
        ("solid", 3.9, None, True, "2"),
        ("solid", 4, None, True, "3"),
        ("solid", 6, None, True, "4A"),
        ("solid", 8, None, True, "4B"),
        ("part-solid", 5.9, 3, False, "2"),
        ("part-solid", 5.9, 3, True, "3"),
        ("part-solid", 6, 5.9, False, "3"),
        ("part-solid", 9, 6, False, "4A"),
        ("part-solid", 12, 8, False, "4B"),
        ("part-solid", 9, 3.9, True, "4A"),
        ("part-solid", 9, 4, True, "4B"),
        ("ground-glass", 29.9, None, False, "2"),
        ("ground-glass", 29.9, None, True, "2"),
        ("ground-glass", 30, None, False, "3"),
        ("ground-glass", 30, None, True, "3"),
    ],
)
def test_sizes_follow_the_table_of_2022(kind: str, size: float, solid: float | None, new: bool, expected: str) -> None:
    score = graded(chest(nodule(size, text_of(kind, new), short_mm=size, solid_mm=solid)))
    assert score.category == expected
    assert score.statement.startswith(f"Lung-RADS {expected}")


@pytest.mark.parametrize(
    ("kind", "size", "solid", "before", "days", "expected"),
    [
        ("solid", 7.6, None, 6.0, 200, "4A"),  # growing, below 8 mm
        ("solid", 9.0, None, 7.0, 365, "4B"),  # growing, 8 mm or more
        ("solid", 7.5, None, 6.0, 200, "2"),  # 1.5 mm is no growth: stable, 3 steps down to 2
        ("solid", 8.2, None, 6.5, 800, "4B"),  # slow growth
        ("solid", 12.0, None, 11.9, 90, "3"),  # 4A, stable at 3 months
        ("solid", 12.0, None, 11.9, 30, "4A"),  # too early to step down
        ("solid", 7.0, None, 7.0, 182, "2"),  # 3, stable at 6 months
        ("solid", 7.0, None, 7.0, 100, "3"),  # too early to step down
        ("solid", 20.0, None, 20.0, 365, "4B"),  # stable 4B does not step down
        ("ground-glass", 31.0, None, 31.0, 365, "2"),  # stable
        ("part-solid", 9.0, 3.0, 7.0, 300, "4A"),  # growing, component below 4 mm
        ("part-solid", 9.0, 5.0, 7.0, 300, "4B"),
    ],
)
def test_earlier_studies_change_the_category(
    kind: str, size: float, solid: float | None, before: float, days: int, expected: str
) -> None:
    earlier = nodule(before, short_mm=before, lesion="N1", solid_mm=solid)
    now = nodule(size, text_of(kind, False), short_mm=size, solid_mm=solid, lesion="N1")
    score = graded(chest(now, priors=(prior(earlier, days),)))
    assert score.category == expected
    assert "earlier CT for comparison" not in score.missing


def test_spiculation_makes_a_suspicious_nodule_4x_and_no_other() -> None:
    assert graded(chest(nodule(7, "Spiculated solid nodule."))).category == "4X"
    assert graded(chest(nodule(5, "Spiculated solid nodule."))).category == "2"


def test_juxtapleural_and_benign_nodules_are_not_suspicious() -> None:
    assert graded(chest(nodule(9.9, "Smooth solid juxtapleural nodule."))).category == "2"
    assert graded(chest(nodule(10, "Smooth solid juxtapleural nodule."))).category == "4A"
    assert graded(chest(nodule(20, "Nodule with central calcification."))).category == "1"


def test_another_significant_finding_adds_s() -> None:
    effusion = Finding("effusion", Code("60046008", "SCT", "Pleural effusion"))
    assert graded(chest(nodule(5, text_of("solid", False)), effusion)).category == "2S"


def test_the_examination_has_the_category_of_its_worst_nodule() -> None:
    score = graded(chest(nodule(5, text_of("solid", False)), nodule(16, text_of("solid", False))))
    assert (score.category, score.finding) == ("4B", 1)


def test_without_type_or_component_there_is_no_category_but_a_range() -> None:
    untyped = graded(chest(nodule(9, "Smooth nodule.")))
    assert untyped.category == ""
    assert "nodule type" in untyped.missing
    assert "nodule type" in untyped.statement
    (row,) = (row for row in untyped.sensitivity if row.input == "nodule type")
    assert ORDER.index(str(row.low)) < ORDER.index(str(row.high))
    partial = graded(chest(nodule(9, text_of("part-solid", False))))
    assert partial.category == ""
    assert "size of the solid component" in partial.missing


def test_a_first_examination_is_assumed_and_said_to_be() -> None:
    score = graded(chest(nodule(7, text_of("solid", False))))
    (row,) = (row for row in score.sensitivity if row.input == "earlier CT for comparison")

    assert score.category == "3"
    assert "first examination" in score.statement
    assert (row.low, row.high) == ("3", "4A")


@pytest.mark.parametrize("reason", ["", "Cough", "breast cancer screening, staging CT", "low-dose CT for stones"])
def test_it_does_not_apply_where_nobody_speaks_of_lung_screening(reason: str) -> None:
    (score,) = lung_rads(chest(nodule(9), reason=reason))
    assert score.category == NOT_APPLICABLE
    assert score.value is None


def test_the_studys_description_may_say_that_it_is_screening() -> None:
    (score,) = lung_rads(replace(chest(nodule(5, text_of("solid", False))), study_description="CT LDCT LUNG SCREEN"))
    assert score.category == "2"


def test_without_nodules_there_is_no_category() -> None:
    assert lung_rads(chest(reason=SCREENING)) == ()
    assert lung_rads(chest(finding(Code("60046008", "SCT", "Pleural effusion")), reason=SCREENING)) == ()


@given(st.floats(1, 40), st.floats(0, 20), st.sampled_from(["solid", "ground-glass"]), st.booleans())
def test_a_larger_nodule_never_has_a_lower_category(size: float, more: float, kind: str, new: bool) -> None:
    small, large = (graded(chest(nodule(value, text_of(kind, new)))).category for value in (size, size + more))
    assert ORDER.index(small) <= ORDER.index(large)


@given(
    st.one_of(st.none(), st.floats(0.1, 60)),
    st.one_of(st.none(), st.floats(0.1, 40)),
    st.sampled_from(
        ["", "Solid nodule.", "New part-solid nodule.", "Spiculated nodule.", "Ground-glass nodule, smooth."]
    ),
    st.one_of(st.none(), st.tuples(st.floats(1, 30), st.integers(1, 2000))),
)
def test_the_sensitivity_brackets_the_category(
    size: float | None, solid: float | None, text: str, before: tuple[float, int] | None
) -> None:
    priors = () if before is None else (prior(nodule(before[0], lesion="N"), before[1]),)
    score = graded(chest(nodule(size, text, solid_mm=solid, lesion="N"), priors=priors))

    assert size is not None or score.category == ""
    if score.category:
        for row in score.sensitivity:
            assert ORDER.index(str(row.low)) <= ORDER.index(score.category) <= ORDER.index(str(row.high))


def test_the_newest_earlier_study_counts() -> None:
    old, newer = prior(nodule(4, lesion="N"), 700, "1.1"), prior(nodule(9, lesion="N"), 300, "1.2")
    score = graded(chest(nodule(9, text_of("solid", False), lesion="N"), priors=(old, newer)))
    (change,) = (item for item in score.inputs if item.name == "change")

    assert change.value == "stable"
    assert change.evidence is not None
    assert change.evidence.reference == "1.2"
