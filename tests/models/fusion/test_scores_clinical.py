"""CHA2DS2-VASc, CURB-65, hippocampal volume, anticoagulants: against their publications' tables."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contracts import Code, Finding, Side
from models.facts import Assertion
from models.fusion.contracts import Case, Observed, Score, StatedFact
from models.fusion.scores.anticoagulant import anticoagulant_haemorrhage
from models.fusion.scores.building import ALL_OPEN
from models.fusion.scores.cha2ds2_vasc import ITEMS, STROKES_A_YEAR, cha2ds2_vasc
from models.fusion.scores.curb65 import CONFUSION, PRESSURE, RATE, curb65
from models.fusion.scores.hippocampus import NORMS, Norm, hippocampal_volume
from tests.models.fusion.score_cases import (
    FIBRILLATION,
    HAEMORRHAGE,
    HISTORICAL,
    NEGATED,
    PNEUMONIA,
    UNCERTAIN,
    chest,
    drug,
    fact,
    finding,
    hippocampus,
    lab,
    number,
)

DISEASES = {
    "heart failure": "I50.9",
    "hypertension": "I10",
    "diabetes": "E11.9",
    "stroke or embolism": "I63.9",
    "vascular disease": "I73.9",
}


def fibrillating(age: float | None, sex: str, *present: str, deny: bool = True) -> Score:
    facts = tuple(
        fact(code, HISTORICAL if concept in present else NEGATED)
        for concept, code in DISEASES.items()
        if concept in present or deny
    )
    (score,) = cha2ds2_vasc(chest(finding(FIBRILLATION), age=age, sex=sex, facts=facts))
    return score


@pytest.mark.parametrize(
    ("age", "sex", "present", "expected"),
    [
        (64, "M", (), 0),
        (64, "F", (), 1),
        (65, "M", (), 1),
        (74.9, "M", (), 1),
        (75, "M", (), 2),
        (60, "M", ("heart failure",), 1),
        (60, "M", ("hypertension",), 1),
        (60, "M", ("diabetes",), 1),
        (60, "M", ("stroke or embolism",), 2),
        (60, "M", ("vascular disease",), 1),
        (80, "F", tuple(DISEASES), 9),
        (70, "F", ("hypertension", "diabetes"), 4),
        (78, "M", ("stroke or embolism", "hypertension"), 5),
    ],
)
def test_cha2ds2_vasc_adds_the_points_of_its_table(
    age: float, sex: str, present: tuple[str, ...], expected: int
) -> None:
    score = fibrillating(age, sex, *present)

    assert score.value == expected
    assert score.missing == ()
    assert score.sensitivity == ()
    assert f"about {STROKES_A_YEAR[expected]:g} ischaemic strokes" in score.statement


@pytest.mark.parametrize(
    ("age", "sex", "category"), [(50, "M", "low risk"), (50, "F", "intermediate risk"), (76, "M", "high risk")]
)
def test_cha2ds2_vasc_has_three_classes(age: float, sex: str, category: str) -> None:
    assert fibrillating(age, sex).category == category


def test_a_point_for_sex_alone_is_said_to_be_one() -> None:
    assert "female sex alone" in fibrillating(50, "F").statement
    assert "female sex alone" not in fibrillating(65, "M").statement


def test_diseases_that_no_note_speaks_of_are_named_and_varied() -> None:
    score = fibrillating(60, "M", deny=False)

    assert score.value == 0
    assert set(score.missing) == {name for name, _, _ in ITEMS}
    assert {(row.input, row.high) for row in score.sensitivity} == {
        *((name, float(points)) for name, _, points in ITEMS),
        (ALL_OPEN, 6.0),
    }


def test_cha2ds2_vasc_without_age_is_a_range_with_a_class_where_all_agree() -> None:
    score = fibrillating(None, "M")
    certain = fibrillating(None, "M", "stroke or embolism")

    assert (score.value, score.category) == (None, "")
    assert "between 0 and 2" in score.statement
    assert (certain.value, certain.category) == (None, "high risk")


def test_cha2ds2_vasc_is_for_adults_with_fibrillation_only() -> None:
    assert cha2ds2_vasc(chest(facts=(fact("I10"),))) == ()
    assert cha2ds2_vasc(chest(finding(FIBRILLATION), age=12)) == ()
    assert cha2ds2_vasc(chest(facts=(fact("I48.91", UNCERTAIN),))) == ()
    assert cha2ds2_vasc(chest(facts=(fact("I48.91", HISTORICAL),)))[0].finding is None


def test_a_mechanical_valve_is_named_as_a_limit() -> None:
    (score,) = cha2ds2_vasc(chest(finding(FIBRILLATION), facts=(fact("Z95.2"),)))
    assert any("valve" in text and "not made" in text for text in score.limits)
    assert not any("not made" in text for text in fibrillating(60, "M").limits)


# CURB-65


def pneumonia(
    *,
    confusion: bool | None = False,
    urea: float | None = 5,
    rate: float | None = 18,
    systolic: float | None = 120,
    diastolic: float | None = 80,
    age: float | None = 50,
) -> Score:
    numbers = (
        ("22664-7", urea, "mmol/L"),
        ("9279-1", rate, "/min"),
        ("8480-6", systolic, "mm[Hg]"),
        ("8462-4", diastolic, "mm[Hg]"),
    )
    observations = tuple(lab(code, value, unit) for code, value, unit in numbers if value is not None)
    facts = () if confusion is None else (fact("R41.0", Assertion(negated=not confusion)),)
    (score,) = curb65(chest(finding(PNEUMONIA), age=age, facts=facts, observations=observations))
    return score


@pytest.mark.parametrize("chosen", list(itertools.product([False, True], repeat=5)))
def test_curb_65_is_the_number_of_its_criteria(chosen: tuple[bool, ...]) -> None:
    confused, urea, rate, pressure, old = chosen
    score = pneumonia(
        confusion=confused,
        urea=9 if urea else 5,
        rate=30 if rate else 29,
        systolic=89 if pressure else 90,
        age=65 if old else 64,
    )
    total = sum(chosen)

    assert score.name == "curb-65"
    assert score.value == total
    assert score.category == ["low risk", "low risk", "intermediate risk", "high risk", "high risk", "high risk"][total]
    assert score.missing == ()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"urea": 7.0}, 0),
        ({"urea": 7.1}, 1),
        ({"diastolic": 60}, 1),
        ({"diastolic": 61}, 0),
        ({"systolic": None, "diastolic": 55}, 1),
        ({"systolic": 80, "diastolic": None}, 1),
    ],
)
def test_the_thresholds_of_curb_65_are_those_of_the_paper(change: dict[str, float | None], expected: int) -> None:
    assert pneumonia(**change).value == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("total", "category"),
    [(0, "low risk"), (1, "intermediate risk"), (2, "intermediate risk"), (3, "high risk"), (4, "high risk")],
)
def test_without_urea_it_is_crb_65_with_classes_of_its_own(total: int, category: str) -> None:
    score = pneumonia(
        urea=None,
        confusion=total > 0,
        rate=30 if total > 1 else 18,
        systolic=80 if total > 2 else 120,
        age=70 if total > 3 else 50,
    )

    assert (score.name, score.value, score.category) == ("crb-65", total, category)
    assert score.missing == ("urea",)


def test_urea_nitrogen_in_milligrams_counts_as_urea() -> None:
    observations = (
        lab("3094-0", 28, "mg/dL"),
        lab("9279-1", 18, "/min"),
        lab("8480-6", 120, ""),
        lab("8462-4", 80, ""),
    )
    (score,) = curb65(chest(finding(PNEUMONIA), age=50, observations=observations))
    assert (score.name, score.value) == ("curb-65", 1)


@pytest.mark.parametrize(
    ("change", "named"),
    [({"rate": None}, RATE), ({"systolic": None}, PRESSURE), ({"diastolic": None}, PRESSURE), ({"age": None}, "age")],
)
def test_without_a_vital_sign_there_is_no_value_but_a_range(change: dict[str, None], named: str) -> None:
    score = pneumonia(**change)

    assert score.value is None
    assert named in score.missing
    assert named in score.statement
    assert [(row.low, row.high) for row in score.sensitivity] == [(0.0, 1.0)]


def test_confusion_that_no_note_speaks_of_is_named_and_varied() -> None:
    score = pneumonia(confusion=None)

    assert score.value == 0
    assert score.missing == (CONFUSION,)
    assert [(row.input, row.low, row.high) for row in score.sensitivity] == [(CONFUSION, 0.0, 1.0)]


def test_curb_65_is_for_adults_with_pneumonia_now() -> None:
    assert curb65(chest()) == ()
    assert curb65(chest(finding(PNEUMONIA), age=9)) == ()
    assert curb65(chest(facts=(fact("J18.9", HISTORICAL),))) == ()
    assert curb65(chest(facts=(fact("J18.9", UNCERTAIN),))) == ()
    assert curb65(chest(facts=(fact("J18.9"),)))[0].finding is None


def test_vital_signs_of_a_note_count() -> None:
    facts = (number("9279-1", 34, "/min"), number("8480-6", 84, "mm[Hg]"), fact("R41.0"))
    (score,) = curb65(chest(finding(PNEUMONIA), age=80, facts=facts))
    assert (score.name, score.value, score.category) == ("crb-65", 4, "high risk")


# Hippocampus


def volume(
    ml: float, side: Side | None = Side.LEFT, age: float | None = 60, facts: tuple[StatedFact, ...] = ()
) -> Score:
    (score,) = hippocampal_volume(chest(hippocampus(ml, side), age=age, facts=facts))
    return score


@pytest.mark.parametrize(
    ("ml", "side", "age", "percentile"),
    [
        (3.26, Side.LEFT, 60, 50.0),
        (3.43, Side.RIGHT, 60, 50.0),
        (3.26 - 1.645 * 0.34, Side.LEFT, 77.9, 5.0),
        (3.43 + 1.96 * 0.32, Side.RIGHT, 50, 97.5),
        (2.73, Side.LEFT, 47, 50.0),  # only the Indian series covers this age
        (2.77 - 0.60, Side.RIGHT, 85, 15.9),
    ],
)
def test_the_percentile_is_that_of_the_published_mean_and_deviation(
    ml: float, side: Side, age: float, percentile: float
) -> None:
    score, series = volume(ml, side, age), [norm for norm in NORMS if norm.ages[0] <= age < norm.ages[1]]
    assert series[0].percentile(ml, side) == pytest.approx(percentile, abs=0.1)
    assert score.value == (None if "not in another" in score.category else pytest.approx(percentile, abs=0.1))


def test_small_needs_every_series_to_agree() -> None:
    assert volume(3.2).category == "within norms"
    assert volume(2.5).category == "1st to 33rd percentile, small in one series, not in another"
    assert volume(2.5).value is None  # the lower of two series alone would read as a result
    assert volume(1.7).category == "small for age"


def test_a_volume_that_may_be_cut_is_not_judged_and_the_warning_stands_beside_it() -> None:
    warning = "The hippocampus reaches the edge of the image: it may be cut, and its volume too small."
    case = chest(hippocampus(1.7, Side.LEFT), age=60)
    (score,) = hippocampal_volume(replace(case, quality=(warning,)))
    assert (score.value, score.category) == (None, "not judged: the volume may be cut")
    assert score.statement.endswith(warning)


def test_complaints_of_memory_are_put_beside_the_volume() -> None:
    complaint = volume(1.7, facts=(fact("R41.3"),))

    assert "memory complaints are noted" in complaint.statement
    assert complaint.inputs[-1].evidence is not None
    assert "memory complaints are denied" in volume(3.2, facts=(fact("R41.3", NEGATED),)).statement
    assert volume(3.2).missing == ("memory complaint",)


@pytest.mark.parametrize(("side", "age", "named"), [(None, 60, "side"), (Side.LEFT, None, "age")])
def test_without_side_or_age_there_is_no_percentile(side: Side | None, age: float | None, named: str) -> None:
    score = volume(3.0, side, age)

    assert (score.value, score.category) == (None, "")
    assert named in score.missing


def test_an_unknown_side_gives_the_percentiles_of_both() -> None:
    (row,) = (row for row in volume(3.26, None).sensitivity if row.input == "side")
    assert row.low == pytest.approx(29.8, abs=0.1)
    assert row.high == 50.0


@pytest.mark.parametrize("age", [30, 44.9, 89])
def test_an_age_that_no_series_covers_has_no_percentile(age: float) -> None:
    score = volume(3.0, age=age)
    assert score.value is None
    assert any(f"{age:.0f}" in text for text in score.limits)


def test_only_the_whole_hippocampus_has_norms() -> None:
    case = chest(
        hippocampus(3.2, Side.LEFT),
        hippocampus(1.7, Side.LEFT, label="hippocampus-anterior"),
        hippocampus(1.5, Side.LEFT, label="hippocampus-posterior"),
        hippocampus(3.3, Side.RIGHT),
    )
    assert [score.finding for score in hippocampal_volume(case)] == [0, 3]


@given(st.floats(0.1, 8), st.floats(0, 2), st.sampled_from(list(Side)), st.floats(45, 88))
def test_the_sensitivity_brackets_the_percentile(ml: float, width: float, side: Side, age: float) -> None:
    (score,) = hippocampal_volume(chest(hippocampus(ml, side, width), age=age))
    assert (score.value is None) == ("not in another" in score.category)
    for row in score.sensitivity:
        assert score.value is None or 0 <= score.value <= 100
        assert score.value is None or float(row.low) <= score.value <= float(row.high)


@given(st.floats(0.1, 8), st.floats(0, 3), st.sampled_from(list(Side)), st.sampled_from(NORMS))
def test_a_larger_hippocampus_never_has_a_lower_percentile(ml: float, more: float, side: Side, norm: Norm) -> None:
    assert norm.percentile(ml, side) <= norm.percentile(ml + more, side)


# Anticoagulants


def bleeding(
    facts: tuple[StatedFact, ...] = (), observations: tuple[Observed, ...] = (), code: Code = HAEMORRHAGE
) -> Score:
    case = replace(chest(finding(code), facts=facts, observations=observations), body_part="HEAD")
    (score,) = anticoagulant_haemorrhage(case)
    return score


@pytest.mark.parametrize(
    ("facts", "inr", "category"),
    [
        ((drug("warfarin"),), 3.1, "anticoagulated, INR >= 2.0"),
        ((drug("warfarin"),), 2.0, "anticoagulated, INR >= 2.0"),
        ((drug("warfarin"),), 1.3, "anticoagulated, INR 1.3-1.9"),
        ((drug("apixaban"),), 1.1, "anticoagulated, INR < 1.3"),
        ((drug("apixaban"),), None, "anticoagulated, INR not known"),
        ((fact("Z79.01"),), None, "anticoagulated, INR not known"),
        ((), 2.4, "raised INR, INR >= 2.0"),
        ((), 1.3, "raised INR, INR 1.3-1.9"),
        ((), 1.29, "not known"),
        ((fact("Z79.01", NEGATED),), 1.0, "not anticoagulated"),
        ((fact("Z79.01", NEGATED),), 2.4, "raised INR, INR >= 2.0"),
        ((), None, "not known"),
        ((drug("warfarin", NEGATED),), None, "not known"),
        ((drug("aspirin"),), 1.0, "not known"),
    ],
)
def test_medication_and_inr_give_the_category(facts: tuple[StatedFact, ...], inr: float | None, category: str) -> None:
    observations = () if inr is None else (lab("6301-6", inr, ""),)
    score = bleeding(facts, observations)

    assert score.category == category
    assert score.value is None
    assert ("INR" in score.missing) is (inr is None)


def test_an_infarct_counts_and_other_findings_do_not() -> None:
    infarct = Code("432504007", "SCT", "Cerebral infarction")
    assert bleeding((drug("warfarin"),), code=infarct).category.startswith("anticoagulated")
    assert anticoagulant_haemorrhage(chest(finding(PNEUMONIA), facts=(drug("warfarin"),))) == ()


def test_a_haemorrhage_without_a_place_counts_in_the_head_only() -> None:
    item = Finding("bleed", Code("50960005", "SCT", "Hemorrhage"))
    head: Case = replace(chest(item), body_part="HEAD")

    assert anticoagulant_haemorrhage(head)
    assert anticoagulant_haemorrhage(replace(head, body_part="ABDOMEN")) == ()
