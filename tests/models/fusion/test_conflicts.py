"""Conflicts: what does not fit is shown with both sides, and what may well fit is not."""

from __future__ import annotations

import datetime as dt

import pytest

from models.contracts import Side
from models.facts import Assertion, Quantity
from models.fusion.conflicts import SIZE_MM, conflicts, sizes_differ
from models.fusion.contracts import Case, Conflict, Demographics, PriorFinding, Source
from models.fusion.graph import load
from models.fusion.scores import SCORES
from tests.models.fusion.cases import (
    NODULE,
    NOW,
    PNEUMONIA,
    SUBDURAL,
    case,
    fact,
    finding,
    hippocampus,
    icd,
    loinc,
    value,
)

GRAPH = load()
NONE = Assertion(negated=True)
NOTED = icd("R91.1", "pulmonary nodule")


def of(given: Case) -> tuple[Conflict, ...]:
    return conflicts(given, GRAPH)


def sources(conflict: Conflict) -> list[Source]:
    return [item.source for item in conflict.evidence]


def test_a_note_that_says_no_nodule_against_images_that_show_one() -> None:
    [found] = of(case(finding(NODULE, 9.0), facts=[fact(NOTED, "nodule", said=NONE, days=700)]))

    assert found.text == (
        "A note tells of no lung nodule in 2024-04-09; the images now show Solitary nodule of lung, 9 mm: "
        "it has come since, or was not seen then."
    )
    assert found.change
    assert sources(found) == [Source.IMAGE, Source.NOTE]
    assert found.evidence[1].reference == "D1:10-16"
    assert found.finding == 0


def test_a_note_of_the_same_day_has_no_excuse() -> None:
    [found] = of(case(finding(NODULE, 9.0), facts=[fact(NOTED, said=NONE)]))
    assert "since" not in found.text


def test_a_note_that_says_resolved_after_an_earlier_study_that_had_it_is_shown_with_both() -> None:
    prior = PriorFinding(finding(NODULE, 8.0), "test", "1.2.3", NOW - dt.timedelta(days=400))
    [found] = of(case(finding(NODULE, 9.0), facts=[fact(NOTED, said=NONE, days=100)], priors=(prior,)))
    assert found.text.endswith("An earlier study (2025-02-03) had it as well.")
    assert sources(found) == [Source.IMAGE, Source.NOTE, Source.PRIOR]
    assert found.evidence[2].reference == "1.2.3"


@pytest.mark.parametrize(
    "said",
    [
        Assertion(),
        Assertion(negated=True, uncertain=True),
        Assertion(negated=True, hypothetical=True),
        Assertion(historical=True),
    ],
)
def test_what_is_not_plainly_denied_is_no_conflict(said: Assertion) -> None:
    assert of(case(finding(NODULE, 9.0), facts=[fact(NOTED, said=said)])) == ()


def test_a_finding_that_the_model_is_not_sure_of_is_not_set_against_a_note() -> None:
    assert of(case(finding(NODULE, 9.0, confidence=0.3), facts=[fact(NOTED, said=NONE)])) == ()


def test_denying_the_general_denies_the_special_and_denying_a_sibling_does_not() -> None:
    assert len(of(case(finding(SUBDURAL), facts=[fact(icd("I62.9"), said=NONE)]))) == 1
    assert of(case(finding(SUBDURAL), facts=[fact(icd("I60.9"), said=NONE)])) == ()
    assert of(case(finding(PNEUMONIA), facts=[fact(icd("R91.1"), said=NONE)])) == ()


def test_a_note_on_the_other_side_is_a_conflict_unless_something_is_on_both() -> None:
    left = finding(NODULE, side=Side.LEFT)
    [found] = of(case(left, facts=[fact(NOTED, side="right")]))
    assert found.text.endswith("puts lung nodule on the right; the images show it on the left.")

    assert of(case(left, facts=[fact(NOTED, side="left")])) == ()
    assert of(case(left, facts=[fact(NOTED, side="right"), fact(NOTED, side="left")])) == ()
    assert of(case(left, facts=[fact(NOTED, side="both")])) == ()
    right = finding(NODULE, side=Side.RIGHT, lesion="2")
    assert of(case(left, right, facts=[fact(NOTED, side="right")])) == ()
    assert of(case(finding(NODULE), facts=[fact(NOTED, side="right")])) == ()


@pytest.mark.parametrize(
    ("quantity", "differs"),
    [
        (Quantity(9.0, "mm"), False),
        (Quantity(11.0, "mm"), False),
        (Quantity(6.0, "mm"), True),
        (Quantity(1.5, "cm"), True),
        (Quantity(0.9, "cm"), False),
        (Quantity(5.0, "mm", comparator="<"), False),
        (Quantity(5.0, "kg"), False),
        (Quantity(float("nan"), "mm"), False),
    ],
)
def test_sizes_differ_beyond_measurement_error_in_any_unit_of_length(quantity: Quantity, differs: bool) -> None:
    found = of(case(finding(NODULE, 9.0), facts=[fact(NOTED, quantity=quantity)]))
    assert bool(found) is differs


def test_measurement_error_is_2_2_mm_or_21_percent() -> None:
    assert not sizes_differ(6.0, 6.0 + SIZE_MM)
    assert sizes_differ(6.0, 6.1 + SIZE_MM)
    assert not sizes_differ(40.0, 32.0)
    assert sizes_differ(40.0, 31.0)


def test_of_several_nodules_the_nearest_in_size_is_meant() -> None:
    both = [finding(NODULE, 5.0, lesion="1"), finding(NODULE, 12.0, lesion="2")]
    assert of(case(*both, facts=[fact(NOTED, quantity=Quantity(12.5, "mm"))])) == ()
    [found] = of(case(*both, facts=[fact(NOTED, quantity=Quantity(20.0, "mm"))]))
    assert found.finding == 1


def test_two_notes_of_one_month_that_contradict_each_other_on_what_matters() -> None:
    fever = icd("R50.9", "Fever")
    stated, denied = fact(fever, days=1), fact(fever, days=3, document="D2", said=NONE)
    [found] = of(case(finding(PNEUMONIA), facts=[stated, denied]))
    assert found.text == "One note (2026-03-09) states fever, another (2026-03-07) denies it."
    assert found.finding is None

    assert of(case(finding(PNEUMONIA), facts=[stated, fact(fever, days=90, document="D2", said=NONE)])) == ()
    assert of(case(finding(PNEUMONIA), facts=[stated, fact(fever, days=1, said=NONE)])) == ()
    assert of(case(finding(NODULE), facts=[fact(icd("R21"), days=1), fact(icd("R21"), document="D2", said=NONE)])) == ()


def test_a_value_in_a_note_that_is_not_the_laboratory_s_of_that_day() -> None:
    inr = loinc("6301-6", "INR")
    said = fact(inr, "INR 1.0", quantity=Quantity(1.0, "1"))
    [found] = of(case(finding(SUBDURAL), facts=[said], observations=[value(inr, 3.5, "1")]))
    assert found.text == "A note gives INR 1, the laboratory 3.5."
    assert sources(found) == [Source.NOTE, Source.LAB]

    assert of(case(finding(SUBDURAL), facts=[said], observations=[value(inr, 1.1, "1")])) == ()
    assert of(case(finding(SUBDURAL), facts=[said], observations=[value(inr, 3.5, "1", days=5)])) == ()


def test_a_note_that_states_sclerosis_against_a_volume_within_the_norms() -> None:
    sclerosis = fact(icd("G93.81", "mesial temporal sclerosis"), side="left")
    known = Demographics(60.0, "F")
    normal = case(hippocampus(3.5), facts=[sclerosis], body_part="HEAD", demographics=known)
    score = SCORES["hippocampal-volume"](normal)
    [found] = conflicts(normal, GRAPH, score)
    assert "the measured volume is not small for the age" in found.text

    assert conflicts(normal, GRAPH) == ()
    small = case(hippocampus(1.2), facts=[sclerosis], body_part="HEAD", demographics=known)
    assert conflicts(small, GRAPH, SCORES["hippocampal-volume"](small)) == ()


def test_without_a_record_nothing_contradicts() -> None:
    assert of(case(finding(NODULE, 9.0))) == ()
    assert of(case(facts=[fact(NOTED, said=NONE)])) == ()
