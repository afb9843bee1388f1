"""Priority: from images, record, scores and order; never below the order, and critical only by an image finding."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from models.contracts import Code, Side
from models.facts import Assertion
from models.fusion.assess import assess
from models.fusion.contracts import Case, Priority, Score, Triage
from models.fusion.graph import load
from models.fusion.links import links
from models.fusion.triage import RANK, ordered, triage
from tests.models.fusion.cases import (
    HAEMORRHAGE,
    NODULE,
    PNEUMONIA,
    PNEUMOTHORAX,
    SUBDURAL,
    case,
    cases,
    fact,
    finding,
    icd,
    loinc,
    value,
)

GRAPH = load()


def of(given: Case, *scores: Score) -> Triage:
    return triage(given, GRAPH, scores, links(given, GRAPH, scores))


def score(name: str, value: float | None = None, category: str = "") -> Score:
    return Score(name, name, Code("X", "99OVERREAD", name), value, None, category, "It is so.")


@pytest.mark.parametrize(
    ("code", "priority", "critical"),
    [
        (HAEMORRHAGE, Priority.STAT, True),
        (SUBDURAL, Priority.STAT, True),
        (PNEUMOTHORAX, Priority.STAT, False),
        (Code("233645004", "SCT", "Tension pneumothorax"), Priority.STAT, True),
        (Code("59282003", "SCT", "Pulmonary embolism"), Priority.STAT, True),
        (Code("308546005", "SCT", "Dissection of aorta"), Priority.STAT, True),
        (PNEUMONIA, Priority.ASAP, False),
        (NODULE, Priority.ROUTINE, False),
        (Code("1", "SCT", "Something"), Priority.ROUTINE, False),
    ],
)
def test_a_finding_has_the_priority_of_its_line(code: Code, priority: Priority, critical: bool) -> None:
    found = of(case(finding(code)))
    assert (found.priority, found.critical) == (priority, critical)
    assert found.critical_findings == ((0,) if critical else ())


@pytest.mark.parametrize(("confidence", "critical"), [(0.49, False), (0.5, True), (None, True), (float("nan"), False)])
def test_below_the_threshold_of_the_table_a_finding_is_not_critical(confidence: float | None, critical: bool) -> None:
    assert of(case(finding(HAEMORRHAGE, confidence=confidence))).critical is critical


def test_the_reason_names_finding_side_confidence_and_source() -> None:
    [reason] = of(case(finding(HAEMORRHAGE, side=Side.LEFT))).reasons
    assert reason.startswith("Intracranial haemorrhage, left (confidence 0.90): critical finding of the images.")
    assert reason.endswith("[ACR 1]")


def test_only_the_critical_ones_among_the_findings_are_named() -> None:
    assert of(case(finding(NODULE), finding(SUBDURAL), finding(PNEUMOTHORAX))).critical_findings == (1,)


def test_a_note_alone_is_never_critical() -> None:
    facts = [fact(icd(code)) for code in ("I62.9", "I26.99", "I71.00", "J93.0", "R40.20", "G81.90")]
    found = of(case(finding(NODULE), facts=facts))
    assert not found.critical
    assert found.critical_findings == ()


def test_an_order_is_never_lowered() -> None:
    found = of(case(finding(NODULE), order_priority="STAT"))
    assert found.priority is Priority.STAT
    assert found.reasons == ("The order asks for STAT.",)


@pytest.mark.parametrize(
    ("said", "priority"),
    [
        ("S", Priority.STAT),
        ("stat", Priority.STAT),
        ("S^Stat", Priority.STAT),
        ("A", Priority.ASAP),
        ("HIGH", Priority.ASAP),
        ("R", Priority.ROUTINE),
        ("ROUTINE", Priority.ROUTINE),
        ("", None),
        ("soon", None),
    ],
)
def test_priorities_of_orders_are_read(said: str, priority: Priority | None) -> None:
    assert ordered(said) is priority


def test_the_emergency_department_raises_a_routine_study() -> None:
    found = of(case(finding(NODULE), patient_class="E"))
    assert found.priority is Priority.ASAP
    assert of(case(finding(NODULE), patient_class="O")).priority is Priority.ROUTINE


@pytest.mark.parametrize(
    ("given", "priority"),
    [
        (score("curb-65", 3.0), Priority.STAT),
        (score("curb-65", 2.0), Priority.ASAP),
        (score("curb-65", 1.0), Priority.ROUTINE),
        (score("curb-65", None), Priority.ROUTINE),
        (score("curb-65", float("nan")), Priority.ROUTINE),
        (score("brock", 10.0), Priority.ASAP),
        (score("brock", 9.9), Priority.ROUTINE),
        (score("lung-rads-2022", category="4B"), Priority.ASAP),
        (score("lung-rads-2022", category="4X"), Priority.ASAP),
        (score("lung-rads-2022", category="4BS"), Priority.ASAP),
        (score("lung-rads-2022", category="4A"), Priority.ROUTINE),
        (score("anticoagulant-haemorrhage", category="anticoagulated, INR >= 2.0"), Priority.STAT),
        (score("anticoagulant-haemorrhage", category="not anticoagulated"), Priority.ROUTINE),
        (score("another", 99.0), Priority.ROUTINE),
    ],
)
def test_scores_raise_the_priority_by_the_table(given: Score, priority: Priority) -> None:
    assert of(case(finding(NODULE)), given).priority is priority


def test_an_acute_symptom_that_goes_with_the_finding_raises_it_and_an_old_or_denied_one_does_not() -> None:
    infarct = finding(Code("432504007", "SCT", "Cerebral infarction"), confidence=0.2)  # far below its line's threshold
    weakness = icd("G81.90", "Hemiparesis")

    assert of(case(infarct, facts=[fact(weakness, days=0.5)])).priority is Priority.STAT
    assert of(case(infarct, order_reason="left-sided weakness")).priority is Priority.STAT
    assert of(case(infarct, facts=[fact(weakness, days=30)])).priority is Priority.ROUTINE
    assert of(case(infarct, facts=[fact(weakness, said=Assertion(negated=True))])).priority is Priority.ROUTINE
    assert of(case(infarct, facts=[fact(weakness, said=Assertion(historical=True))])).priority is Priority.ROUTINE
    assert of(case(finding(NODULE), facts=[fact(weakness, days=0.5)])).priority is Priority.ROUTINE


def test_an_anticoagulant_in_the_notes_makes_an_urgent_finding_more_so() -> None:
    given = case(finding(PNEUMONIA), observations=[value(loinc("9279-1"), 34.0, "/min")])
    found = of(given)
    assert found.priority is Priority.STAT
    assert any("respiratory rate of 30 or more" in reason and reason.endswith("(lab)") for reason in found.reasons)
    assert of(case(finding(NODULE), facts=[fact(icd("C34.90"))])).priority is Priority.ROUTINE


def test_no_finding_is_routine_unless_order_or_class_say_otherwise() -> None:
    assert of(case()).priority is Priority.ROUTINE
    assert of(case(patient_class="E", order_priority="S")).priority is Priority.STAT


@settings(max_examples=40, deadline=None)
@given(cases)
def test_nothing_that_is_added_lowers_the_priority_and_criticality_is_of_images(given: Any) -> None:
    found = assess(given).triage
    asked = ordered(given.order_priority)
    assert asked is None or RANK[found.priority] <= RANK[asked]
    assert found.critical == bool(found.critical_findings)
    assert all(0 <= index < len(given.findings) for index in found.critical_findings)
    alone = assess(Case(given.findings, given.model, given.modality, given.body_part)).triage
    assert RANK[found.priority] <= RANK[alone.priority]
    assert found.critical_findings == alone.critical_findings
    assert bool(found.reasons) == (found.priority is not Priority.ROUTINE)
