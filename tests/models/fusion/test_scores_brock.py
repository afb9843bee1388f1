"""The PanCan (Brock) model, against the same model in two other published forms."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.facts import FactKind
from models.fusion.contracts import Case, Score, Sensitivity, Source, StatedFact
from models.fusion.scores.brock import NOT_KNOWN, brock, probability
from models.fusion.scores.building import ALL_OPEN, Value
from models.fusion.scores.nodules import Density
from models.notes import analyze
from tests.models.fusion.score_cases import FAMILY, HAEMORRHAGE, NEGATED, chest, fact, finding, nodule

TYPES = {Density.SOLID: "Solid", Density.PART_SOLID: "Part-solid", Density.NON_SOLID: "Ground-glass"}


def one(case: Case) -> Score:
    (score,) = brock(case)
    return score


def uncentred(
    age: float,
    female: bool,
    family: bool,
    emphysema: bool,
    size: float,
    kind: Density,
    upper: bool,
    count: int,
    spiculated: bool,
) -> float:
    """Model 2b with age, size and count not centred: Eur Radiol 2019;29:5367, table 2, column BU."""
    x = 0.0287 * age + 0.6011 * female + 0.2961 * family + 0.2953 * emphysema - 5.3854 * (size / 10) ** -0.5
    x += {Density.SOLID: 0.0, Density.PART_SOLID: 0.377, Density.NON_SOLID: -0.1276}[kind]
    x += 0.6581 * upper - 0.0824 * count + 0.7729 * spiculated + 0.2761
    return 100 * math.exp(x) / (1 + math.exp(x))


def calculator(
    age: float,
    female: bool,
    family: bool,
    emphysema: bool,
    size: float,
    kind: Density,
    upper: bool,
    count: int,
    spiculated: bool,
) -> float:
    """Model 2b with the seven digits of the authors' calculator."""
    x = -6.78917 + 0.0286687 * (age - 62) + 0.6010727 * female + 0.296109 * family + 0.2953112 * emphysema
    x += -5.385484 * ((size / 10) ** -0.5 - 1.58113883)
    x += {Density.SOLID: 0.0, Density.PART_SOLID: 0.3769578, Density.NON_SOLID: -0.1276173}[kind]
    x += 0.6581383 * upper - 0.0824156 * (count - 4) + 0.7729335 * spiculated
    return 100 / (1 + math.exp(-x))


def without_spiculation(
    age: float, female: bool, family: bool, emphysema: bool, size: float, kind: Density, upper: bool, count: int
) -> float:
    """Model 2a as another public transcription of table 2 has it; it gives non-solid as -0.3055."""
    x = 0.5635 * female - 5.6693 * ((size / 10) ** -0.5 - 1.58113883) + 0.7116 * upper + 0.0321 * (age - 62)
    x += 0.3013 * family + 0.3462 * emphysema - 0.0803 * (count - 4) - 6.8071
    x += {Density.SOLID: 0.0, Density.PART_SOLID: 0.3395, Density.NON_SOLID: -0.3055}[kind]
    return 100 / (1 + math.exp(-x))


patients = st.tuples(
    st.integers(40, 85),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.floats(2, 30),
    st.sampled_from(list(Density)),
    st.booleans(),
    st.integers(1, 8),
    st.booleans(),
)
Patient = tuple[int, bool, bool, bool, float, Density, bool, int, bool]


def computed(patient: Patient) -> float:
    """Through the case, as a user gets it."""
    age, female, family, emphysema, size, kind, upper, count, spiculated = patient
    margin = "spiculated" if spiculated else "smooth"
    text = f"{TYPES[kind]} nodule, {margin}, in the {'upper' if upper else 'lower'} lobe."
    facts = (fact("C34.90", replace(FAMILY, negated=not family)), fact("J43.9", None if emphysema else NEGATED))
    others = [nodule(3, "Solid nodule.") for _ in range(count - 1)]
    scores = brock(chest(nodule(size, text), *others, age=age, sex="F" if female else "M", facts=facts))
    assert scores[0].value is not None
    assert scores[0].missing == ()
    assert scores[0].sensitivity == ()
    return scores[0].value


@given(patients)
def test_it_agrees_with_the_model_in_its_uncentred_form(patient: Patient) -> None:
    assert computed(patient) == pytest.approx(uncentred(*patient), abs=0.02)


@given(patients)
def test_it_agrees_with_the_authors_calculator(patient: Patient) -> None:
    assert computed(patient) == pytest.approx(calculator(*patient), rel=2e-3, abs=0.02)


@given(patients)
def test_without_spiculation_it_agrees_with_another_transcription_of_the_table(patient: Patient) -> None:
    age, female, family, emphysema, size, kind, upper, count, _ = patient
    inputs: dict[str, Value] = {"age": age, "sex": "F" if female else "M", "nodule size": size, "nodule type": kind}
    inputs |= {"upper lobe": upper, "nodule count": count, "family history of lung cancer": family}
    found = probability({**inputs, "emphysema": emphysema, "spiculation": NOT_KNOWN})

    assert found == pytest.approx(without_spiculation(*patient[:8]), rel=0.0051)


def test_the_reference_patient_has_the_models_constant() -> None:
    inputs: dict[str, Value] = {
        "age": 62.0,
        "sex": "M",
        "nodule size": 4.0,
        "nodule type": Density.SOLID,
        "upper lobe": False,
    }
    more: dict[str, Value] = {"nodule count": 4.0, "family history of lung cancer": False, "emphysema": False}

    for spiculation, constant in ((False, -6.7892), (NOT_KNOWN, -6.8071)):
        value = probability({**inputs, **more, "spiculation": spiculation})
        assert value == pytest.approx(100 / (1 + math.exp(-constant)), rel=1e-6)


def test_without_spiculation_the_papers_other_model_is_used() -> None:
    """Model 2a by hand: 62-year-old woman, one solid upper lobe nodule of 8 mm, no family history, no emphysema."""
    facts = (fact("C34.90", replace(FAMILY, negated=True)), fact("J43.9", NEGATED))
    score = one(chest(nodule(8, "Solid nodule in the upper lobe."), facts=facts))
    x = -6.8071 + 0.5635 - 5.6693 * (0.8**-0.5 - 1.58113883) + 0.7116 - 0.0803 * (1 - 4)

    assert score.value == pytest.approx(100 / (1 + math.exp(-x)), abs=0.01)
    assert score.missing == ("spiculation",)
    assert score.title.endswith("2a")


def test_there_is_one_score_for_each_nodule_and_none_for_other_findings() -> None:
    case = chest(nodule(8), finding(HAEMORRHAGE), nodule(5), nodule(9, "Nodule with popcorn calcification."))
    assert [score.finding for score in brock(case)] == [0, 2]
    assert brock(chest()) == ()
    assert brock(replace(case, modality="CR")) == ()


@pytest.mark.parametrize(("change", "named"), [({"age": None}, "age"), ({"sex": ""}, "sex"), ({"sex": "O"}, "sex")])
def test_without_a_necessary_input_there_is_no_value_but_a_range(change: dict[str, Any], named: str) -> None:
    score = one(chest(nodule(8, "Solid nodule."), **change))

    assert score.value is None
    assert named in score.missing
    assert named in score.statement
    (row,) = (row for row in score.sensitivity if row.input == named)
    assert float(row.low) < float(row.high)


def test_without_a_size_there_is_no_value() -> None:
    score = one(chest(nodule(None, "Solid nodule.")))

    assert score.value is None
    assert "nodule size" in score.missing
    assert score.sensitivity == ()


def test_what_nobody_states_is_named_and_varied_not_guessed() -> None:
    score = one(chest(nodule(8)))
    assumed = {item.name for item in score.inputs if item.assumed}

    assert set(score.missing) == {
        "nodule type",
        "upper lobe",
        "family history of lung cancer",
        "emphysema",
        "spiculation",
    }
    assert assumed == set(score.missing)
    assert [row.input for row in score.sensitivity] == [*score.missing, ALL_OPEN]


def bracketed(value: float, row: Sensitivity) -> bool:
    return float(row.low) <= value <= float(row.high)


@given(
    st.one_of(st.none(), st.floats(30, 90)),
    st.sampled_from(["M", "F", "", "O"]),
    st.one_of(st.none(), st.floats(0.5, 40)),
    st.sampled_from(["", "Solid nodule.", "Spiculated nodule.", "Ground-glass nodule in the left upper lobe."]),
    st.lists(st.sampled_from([fact("J43.9"), fact("C34.90", FAMILY), fact("Z80.1", NEGATED)]), max_size=3),
)
def test_a_value_needs_age_sex_and_size_and_lies_within_its_sensitivity(age, sex, size, text, facts) -> None:  # type: ignore[no-untyped-def]
    score = one(chest(nodule(size, text), age=age, sex=sex, facts=tuple(facts)))

    assert (score.value is None) == (age is None or sex not in {"M", "F"} or size is None)
    if score.value is not None:
        assert 0 <= score.value <= 100
        assert all(bracketed(score.value, row) for row in score.sensitivity)


@given(st.floats(1, 30), st.floats(0, 20), st.sampled_from(["", "Spiculated part-solid nodule."]))
def test_a_larger_nodule_is_never_less_suspicious(size: float, more: float, text: str) -> None:
    small, large = one(chest(nodule(size, text))), one(chest(nodule(size + more, text)))
    assert small.value is not None
    assert large.value is not None
    assert small.value <= large.value


@given(st.floats(20, 90), st.floats(0, 10))
def test_an_older_patient_is_never_less_at_risk(age: float, more: float) -> None:
    younger, older = one(chest(nodule(8), age=age)), one(chest(nodule(8), age=age + more))
    assert younger.value is not None
    assert older.value is not None
    assert younger.value <= older.value


def test_attributes_of_a_note_count_for_the_only_nodule_with_the_note_as_evidence() -> None:
    note = fact("NODULE-SPICULATED", scheme="99OVERREAD", meaning="Spiculated nodule", surface="spiculated nodule")
    score = one(chest(nodule(8, "Solid nodule."), facts=(note,)))
    (spiculation,) = (item for item in score.inputs if item.name == "spiculation")

    assert spiculation.value == "yes"
    assert spiculation.evidence is not None
    assert spiculation.evidence.source is Source.NOTE
    assert all("spiculation" in item.missing for item in brock(chest(nodule(8), nodule(6), facts=(note,))))


def attribute(code: str, meaning: str, start: int, document: str = "CT") -> StatedFact:
    return fact(
        code,
        scheme="99OVERREAD",
        meaning=meaning,
        surface=meaning.lower(),
        start=start,
        document=document,
        kind=FactKind.ATTRIBUTE,
    )


def test_a_note_of_two_nodules_in_two_lobes_does_not_place_the_one_in_the_image() -> None:
    upper, lower = attribute("LOBE-UPPER", "Upper lobe of lung", 10), attribute("LOBE-LOWER", "Lower lobe of lung", 50)

    assert "upper lobe" not in one(chest(nodule(8), facts=(upper,))).missing
    assert "upper lobe" in one(chest(nodule(8), facts=(upper, lower))).missing


def test_attributes_that_the_rule_engine_finds_in_a_note_count() -> None:
    text = (
        "FINDINGS: 9 mm part-solid spiculated nodule in the right upper lobe. Severe emphysema. Mother had lung cancer."
    )
    facts = tuple(StatedFact(item, "CT", kind="report") for item in analyze(text).facts)
    score = one(chest(nodule(9), facts=facts))
    shown = {item.name: item.value for item in score.inputs}

    assert score.missing == ()
    assert (shown["nodule type"], shown["upper lobe"], shown["spiculation"]) == ("part-solid", "yes", "yes")
    assert (shown["emphysema"], shown["family history of lung cancer"]) == ("yes", "yes")


def test_the_image_goes_before_the_note() -> None:
    note = fact("NODULE-SPICULATED", scheme="99OVERREAD", meaning="Spiculated nodule", surface="spiculated nodule")
    score = one(chest(nodule(8, "Smooth solid nodule."), facts=(note,)))
    assert [item.value for item in score.inputs if item.name == "spiculation"] == ["no"]


def test_limits_say_where_the_patient_is_outside_of_the_cohort() -> None:
    assert len(one(chest(nodule(8), age=62)).limits) == 1
    assert any("age" in text for text in one(chest(nodule(8), age=30)).limits)
    assert any("mass" in text for text in one(chest(nodule(35))).limits)


def test_ten_per_cent_divides_the_categories() -> None:
    low, high = one(chest(nodule(6, "Solid nodule."))), one(chest(nodule(25, "Spiculated nodule.")))
    assert (low.category, high.category) == ("below 10 %", "10 % or more")
