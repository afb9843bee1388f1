"""Fleischner 2017, row by row of its table."""

from __future__ import annotations

import pytest

from models.facts import Assertion, Quantity
from models.fusion.contracts import Case, Score, StatedFact
from models.fusion.scores import NOT_APPLICABLE
from models.fusion.scores.fleischner import fleischner
from models.fusion.scores.fleischner_table import SizeClass, size_class
from tests.models.fusion.score_cases import FAMILY, NEGATED, chest, fact, nodule

SCREENING = "Lung cancer screening, low-dose CT"
NONE_KNOWN = (fact("C80.1", NEGATED), fact("D84.9", NEGATED))


def no_risk() -> tuple[StatedFact, ...]:
    return (
        *NONE_KNOWN,
        fact("J43.9", NEGATED),
        fact("J84.10", NEGATED),
        fact("C34.90", Assertion(negated=True, experiencer=FAMILY.experiencer)),
        fact("Z87.891", quantity=Quantity(5, "{pack}.a")),
    )


LOW, HIGH = "smooth, in the lower lobe", "spiculated, in the upper lobe"


@pytest.mark.parametrize(
    ("mean", "volume", "expected"),
    [
        (5.4, None, 0),
        (5.5, None, 1),
        (8.4, None, 1),
        (8.5, None, 2),
        (None, 99, 0),
        (None, 100, 1),
        (None, 250, 1),
        (None, 251, 2),
        (5, 300, 0),
    ],
)
def test_sizes_are_rounded_to_the_millimetre_and_volumes_stand_in(
    mean: float | None, volume: float | None, expected: int
) -> None:
    assert size_class(mean, volume) is SizeClass(expected)


def managed(case: Case) -> Score:
    (score,) = fleischner(case)
    return score


@pytest.mark.parametrize(
    ("size", "multiple", "risk", "expected"),
    [
        (5, False, LOW, "no routine follow-up"),
        (5, False, HIGH, "optional CT at 12 months"),
        (7, False, LOW, "CT at 6-12 months, then consider CT at 18-24 months"),
        (7, False, HIGH, "CT at 6-12 months, then CT at 18-24 months"),
        (10, False, LOW, "consider CT at 3 months, PET/CT or tissue sampling"),
        (10, False, HIGH, "consider CT at 3 months, PET/CT or tissue sampling"),
        (5, True, LOW, "no routine follow-up"),
        (5, True, HIGH, "optional CT at 12 months"),
        (7, True, LOW, "CT at 3-6 months, then consider CT at 18-24 months"),
        (7, True, HIGH, "CT at 3-6 months, then CT at 18-24 months"),
        (10, True, LOW, "CT at 3-6 months, then consider CT at 18-24 months"),
        (10, True, HIGH, "CT at 3-6 months, then CT at 18-24 months"),
    ],
)
def test_solid_nodules_follow_table_1(size: float, multiple: bool, risk: str, expected: str) -> None:
    others = (nodule(3, f"Solid nodule, {LOW}."),) if multiple else ()
    score = managed(chest(nodule(size, f"Solid nodule, {risk}."), *others, facts=no_risk()))

    assert score.statement == f"Fleischner 2017: {expected}."
    assert score.category.endswith("low risk" if risk == LOW else "high risk")
    assert score.missing == ()
    assert score.value is None


@pytest.mark.parametrize(
    ("kind", "size", "multiple", "expected"),
    [
        ("Ground-glass", 5, False, "no routine follow-up"),
        ("Ground-glass", 9, False, "CT at 6-12 months to confirm persistence, then CT every 2 years until 5 years"),
        ("Part-solid", 5, False, "no routine follow-up"),
        ("Part-solid", 9, False, "CT at 3-6 months to confirm persistence; if unchanged"),
        ("Ground-glass", 5, True, "CT at 3-6 months; if stable, consider CT at 2 and 4 years"),
        ("Ground-glass", 9, True, "CT at 3-6 months, then by the most suspicious nodule"),
        ("Part-solid", 5, True, "CT at 3-6 months; if stable, consider CT at 2 and 4 years"),
        ("Part-solid", 9, True, "CT at 3-6 months, then by the most suspicious nodule"),
    ],
)
def test_subsolid_nodules_follow_table_1_whatever_the_risk(
    kind: str, size: float, multiple: bool, expected: str
) -> None:
    others = (nodule(3, "Solid nodule."),) if multiple else ()
    score = managed(chest(nodule(size, f"{kind} nodule.", solid_mm=3), *others))

    assert score.statement.startswith(f"Fleischner 2017: {expected}")
    assert "risk factors" not in score.missing


def test_a_large_solid_component_is_called_suspicious() -> None:
    assert "highly suspicious" in managed(chest(nodule(12, "Part-solid nodule.", solid_mm=7))).statement
    assert "highly suspicious" not in managed(chest(nodule(12, "Part-solid nodule.", solid_mm=5))).statement


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"age": 34.0}, "younger than 35"),
        ({"facts": (fact("C50.919"),)}, "cancer is known"),
        ({"facts": (fact("Z85.3", Assertion(historical=True)),)}, "cancer is known"),
        ({"facts": (fact("D84.9"),)}, "immunosuppressed"),
        ({"reason": SCREENING}, "screening"),
        ({"facts": (fact("Z12.2"),)}, "screening"),
    ],
)
def test_the_guideline_says_to_whom_it_does_not_apply(change: dict[str, object], why: str) -> None:
    score = managed(chest(nodule(7, "Solid nodule."), **change))  # type: ignore[arg-type]

    assert score.category == NOT_APPLICABLE
    assert why in score.statement
    assert score.inputs[0].evidence is not None


def test_cancer_of_the_family_excludes_nobody() -> None:
    assert managed(chest(nodule(7), facts=(fact("C50.919", FAMILY),))).category != NOT_APPLICABLE


def test_an_unknown_risk_leaves_both_recommendations() -> None:
    score = managed(chest(nodule(7, "Solid nodule.")))
    (row,) = score.sensitivity

    assert "risk factors" in score.missing
    assert (row.low, row.high) == (
        "CT at 6-12 months, then consider CT at 18-24 months",
        "CT at 6-12 months, then CT at 18-24 months",
    )
    assert "depends on risk factors" in score.statement


def test_an_unknown_type_or_size_is_named() -> None:
    untyped = managed(chest(nodule(7)))
    assert "nodule type" in untyped.missing
    assert untyped.statement == "Fleischner 2017 needs nodule type and risk factors."
    unsized = managed(chest(nodule(None, "Solid nodule.")))
    assert "nodule size" in unsized.missing
    assert "needs the nodule's size" in unsized.statement


def test_heavy_smoking_is_a_high_risk() -> None:
    smoker = fact("F17.210", quantity=Quantity(30, "{pack}.a"))
    assert managed(chest(nodule(7, "Solid nodule."), facts=(smoker,))).category.endswith("high risk")


def test_an_unknown_age_makes_the_recommendation_conditional() -> None:
    score = managed(chest(nodule(10, "Solid nodule."), age=None))
    assert "age" in score.missing
    assert score.statement.startswith("If the patient is 35 or older: ")


def test_diameter_and_volume_that_disagree_are_shown() -> None:
    score = managed(chest(nodule(5, f"Solid nodule, {LOW}.", volume_mm3=150), facts=no_risk()))
    assert [row.input for row in score.sensitivity] == ["size by diameter or by volume"]


def test_benign_and_perifissural_nodules_need_no_follow_up() -> None:
    assert fleischner(chest(nodule(9, "Nodule with popcorn calcification."))) == ()
    assert fleischner(chest(nodule(7, "Solid perifissural nodule."))) == ()


def test_the_most_suspicious_nodule_decides() -> None:
    case = chest(nodule(5, "Solid nodule."), nodule(9, "Solid nodule."), nodule(9, "Part-solid nodule.", solid_mm=4))
    assert managed(case).finding == 2
