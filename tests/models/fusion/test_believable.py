"""Would a radiologist believe it: whole notes, read by the engine, set against findings of images."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from models.contracts import Code, Finding, Measurement, Side
from models.fusion.assess import assess
from models.fusion.contracts import Assessment, Case, Demographics, Priority, Relation, Score
from tests.models.fusion import written
from tests.models.fusion.cases import (
    HAEMORRHAGE,
    LONG_AXIS,
    MM,
    NODULE,
    NOW,
    PNEUMONIA,
    PNEUMOTHORAX,
    SUBDURAL,
    case,
    finding,
    hippocampus,
    loinc,
    value,
)
from tests.models.fusion.written import note

INFARCT = Code("432504007", "SCT", "Cerebral infarction")
EFFUSION = Code("60046008", "SCT", "Pleural effusion")
EMBOLISM = Code("59282003", "SCT", "Pulmonary embolism")
FIBRILLATION = Code("49436004", "SCT", "Atrial fibrillation")


def nodule(mm: float, text: str = "", **more: Any) -> Finding:
    return finding(NODULE, mm, text=text, **more)


def score(found: Assessment, name: str) -> Score:
    return next(item for item in found.scores if item.name == name)


def links(found: Assessment, relation: Relation) -> set[str]:
    return {link.evidence.text.split(" (")[0] for link in found.links if link.relation is relation}


TWINS: dict[str, tuple[str, str, Case]] = {
    "nodule": (
        written.NODULE_EN,
        written.NODULE_ZH,
        case(nodule(9.0, "Solid nodule in the right upper lobe, spiculated"), demographics=Demographics(67, "M")),
    ),
    "bleeding": (
        written.BLEEDING_EN,
        written.BLEEDING_ZH,
        case(finding(SUBDURAL, side=Side.RIGHT), body_part="HEAD", demographics=Demographics(81, "F")),
    ),
    "pneumonia": (
        written.PNEUMONIA_EN,
        written.PNEUMONIA_ZH,
        case(finding(PNEUMONIA), modality="DX", demographics=Demographics(72, "M")),
    ),
    "memory": (
        written.MEMORY_EN,
        written.MEMORY_ZH,
        case(hippocampus(1.6), hippocampus(2.9, Side.RIGHT), body_part="BRAIN", demographics=Demographics(74, "F")),
    ),
}


@pytest.mark.parametrize("name", TWINS)
def test_the_same_note_in_chinese_and_english_is_judged_the_same(name: str) -> None:
    english, chinese, images = TWINS[name]

    def judged(text: str) -> tuple[object, ...]:
        found = assess(replace(images, facts=note(text)))
        heavy = sorted(
            (item.finding, item.relation, item.weight, item.why) for item in found.links if item.weight > 0.3
        )
        scores = [(item.name, item.value, item.category, item.statement, item.missing) for item in found.scores]
        conflicts = [item.text for item in found.conflicts]
        triage = (found.triage.priority, found.triage.critical, sorted(found.triage.reasons))
        return triage, heavy, scores, conflicts, found.follow_up, found.missing

    assert judged(english) == judged(chinese)
    assert judged(english)[1]


def test_that_a_ct_of_2024_showed_no_nodule_is_a_change_and_does_not_speak_against_it() -> None:
    found = assess(case(nodule(9.0), facts=note(written.NODULE_EN)))
    [conflict] = found.conflicts
    assert conflict.change
    assert conflict.text.startswith("A note tells of no lung nodule in 2024; the images now show")
    assert "2024-07" not in str(found)  # a year is not made a day
    assert "lung nodule" not in links(found, Relation.CONTRADICTS)


def test_a_size_of_last_year_is_a_change_and_one_of_yesterday_a_conflict() -> None:
    old = assess(case(nodule(12.0), facts=note("CT chest 09/2025: 6 mm lung nodule."))).conflicts
    new = assess(case(nodule(12.0), facts=note("6 mm lung nodule.", days=1))).conflicts
    assert [(item.change, "in 2025-09" in item.text) for item in old] == [(True, True)]
    assert [item.change for item in new] == [False]


@pytest.mark.parametrize("text", ["No prior DVT/PE.", "No history of pulmonary embolism."])
def test_what_was_never_before_is_no_denial_of_now(text: str) -> None:
    found = assess(case(finding(EMBOLISM), facts=note(text)))
    assert not found.conflicts
    assert not links(found, Relation.CONTRADICTS)


def test_a_note_of_the_other_side_conflicts_and_does_not_support() -> None:
    found = assess(case(finding(EFFUSION, side=Side.LEFT), facts=note("Right pleural effusion on yesterday's film.")))
    assert len(found.conflicts) == 1
    assert not links(found, Relation.SUPPORTS)


def test_a_denied_symptom_says_nothing_of_what_is_found_by_chance() -> None:
    assert not links(assess(case(nodule(7.0), facts=note("No hemoptysis, no cough."))), Relation.CONTRADICTS)
    epilepsy = assess(case(hippocampus(1.6), body_part="BRAIN", facts=note("No seizures.")))
    assert not links(epilepsy, Relation.CONTRADICTS)


def test_a_denied_disease_is_not_against_what_it_could_have_caused() -> None:
    rhythm = assess(case(finding(FIBRILLATION), facts=note("No heart failure. No hypertension.")))
    assert not links(rhythm, Relation.CONTRADICTS)


def test_what_is_only_feared_supports_nothing() -> None:
    text = "Return if fever or shortness of breath. Recommend smoking cessation. If hemoptysis occurs, call."
    links = [link for item in (finding(PNEUMONIA), nodule(5.0)) for link in assess(case(item, facts=note(text))).links]
    assert not links


def test_what_is_asked_for_is_told_from_what_is_stated() -> None:
    asked = assess(case(finding(EMBOLISM), order_reason="r/o PE")).links
    assert [(link.why, link.weight) for link in asked] == [("The order suspects it, or asks for it.", 0.3)]


def test_an_infarct_is_no_reason_to_reverse_an_anticoagulant() -> None:
    found = assess(case(finding(INFARCT), body_part="HEAD", facts=note("On apixaban for atrial fibrillation.")))
    said = score(found, "anticoagulant-haemorrhage").statement
    assert "a cerebral infarction: check coagulation at once, it decides on thrombolysis" in said
    assert not any("revers" in text for text in (*found.follow_up, *found.summary))


def test_an_infarct_of_the_images_is_a_stroke_for_cha2ds2_vasc() -> None:
    facts = note("Atrial fibrillation. No hypertension.")
    images = case(finding(INFARCT), body_part="HEAD", facts=facts, demographics=Demographics(50, "M"))
    assert score(assess(images), "cha2ds2-vasc").value == 2.0


def test_the_stroke_score_of_a_bleeding_patient_says_that_it_does_not_decide() -> None:
    english, _, images = TWINS["bleeding"]
    found = assess(case(*images.findings, body_part="HEAD", facts=note(english), demographics=Demographics(81, "F")))
    limits = score(found, "cha2ds2-vasc").limits
    assert any("intracranial haemorrhage" in text for text in limits)
    assert not any(sentence.startswith("CHA2DS2-VASc") for sentence in found.summary)


def test_an_anticoagulant_that_only_the_order_names_is_read_by_the_scores() -> None:
    images = case(finding(HAEMORRHAGE), body_part="HEAD", order_reason="fall, on eliquis")
    said = score(assess(images), "anticoagulant-haemorrhage")
    assert said.category.startswith("anticoagulated")
    assert said.inputs[1].evidence is not None
    assert said.inputs[1].evidence.text == "eliquis (reason of the order)"


def test_what_the_model_doubts_is_said_with_doubt_and_is_not_stat_by_a_score() -> None:
    images = case(finding(HAEMORRHAGE, confidence=0.3), body_part="HEAD", facts=note("On warfarin. INR 3.0."))
    found = assess(images)
    assert found.triage.priority is Priority.ASAP
    assert not found.triage.critical
    assert any("possible Intracranial hemorrhage (confidence 0.30)" in sentence for sentence in found.summary)
    assert score(found, "anticoagulant-haemorrhage").statement.startswith("Only if the finding is real")
    assert not found.follow_up


def test_a_haemorrhage_that_the_model_hardly_sees_is_routine() -> None:
    assert assess(case(finding(HAEMORRHAGE, confidence=0.1), body_part="HEAD")).triage.priority is Priority.ROUTINE


def test_a_doubtful_nodule_does_not_make_a_single_one_multiple() -> None:
    images = case(nodule(9.0, "Solid nodule"), nodule(5.0, "Solid nodule", confidence=0.4, lesion="2"))
    assert score(assess(images), "fleischner-2017").category.startswith("single")


def test_of_the_thresholds_of_a_score_only_the_one_that_is_reached_is_a_reason() -> None:
    found = assess(case(finding(PNEUMONIA), facts=note(written.PNEUMONIA_EN), demographics=Demographics(72, "M")))
    assert score(found, "curb-65").value == 5.0
    assert [text for text in found.triage.reasons if text.startswith("CURB-65")] == [
        "CURB-65 of 3 or more: high risk of death. [Lim et al., Thorax 2003;58:377; NICE CG191]"
    ]
    assert not any("Assess severity" in text for text in found.follow_up)


def test_a_guideline_that_does_not_apply_recommends_nothing() -> None:
    found = assess(case(nodule(12.0, "Solid nodule"), facts=note("Breast cancer, on chemotherapy. On methotrexate.")))
    assert score(found, "fleischner-2017").category == "not applicable"
    assert not any("PET/CT" in text or "Fleischner 2017 where" in text for text in found.follow_up)


def test_a_patient_whom_the_model_was_not_made_for_is_told_in_the_sentence() -> None:
    images = case(nodule(12.0), facts=note("On tacrolimus. Never smoker."), demographics=Demographics(60, "F"))
    said = score(assess(images), "brock").statement
    assert said.endswith("Not made for this patient: the patient is immunosuppressed and the notes deny smoking.")


def test_a_mechanical_valve_is_told_before_the_points() -> None:
    images = case(
        finding(FIBRILLATION), facts=note("Mitral stenosis. Hypertension."), demographics=Demographics(68, "M")
    )
    assert score(assess(images), "cha2ds2-vasc").statement.startswith(
        "A note names mitral stenosis or a mechanical valve"
    )


def test_a_known_thyroid_value_is_not_asked_for_again() -> None:
    tsh = value(loinc("3016-3", "TSH"), 0.08, "mIU/L", 1.0)
    known, unknown = (assess(case(finding(FIBRILLATION), observations=values)) for values in ((tsh,), ()))
    assert not any("thyroid" in text for text in known.follow_up)
    assert any("thyroid" in text for text in unknown.follow_up)


def test_a_seizure_of_two_weeks_ago_is_not_acute() -> None:
    images = case(hippocampus(3.1), body_part="BRAIN", facts=note("Epilepsy. Last seizure 2 weeks ago."))
    assert assess(images).triage.priority is Priority.ROUTINE
    acute = case(hippocampus(3.1), body_part="BRAIN", facts=note("Epilepsy. Seizure today."))
    assert assess(acute).triage.priority is Priority.ASAP


def test_confusion_of_days_ago_does_not_make_a_pneumonia_stat() -> None:
    images = case(finding(PNEUMONIA), facts=note("Confused.", days=4))
    assert assess(images).triage.priority is Priority.ASAP
    assert assess(case(finding(PNEUMONIA), facts=note("Confused."))).triage.priority is Priority.STAT


@pytest.mark.parametrize(
    ("text", "critical"), [("BP 82/50.", True), ("Intubated.", True), ("Chest pain. COPD.", False), ("", False)]
)
def test_a_pneumothorax_is_critical_in_shock_or_under_ventilation(text: str, critical: bool) -> None:
    found = assess(case(finding(PNEUMOTHORAX, side=Side.LEFT), facts=note(text))).triage
    assert (found.priority, found.critical) == (Priority.STAT, critical)


def test_shock_without_a_pneumothorax_is_never_critical() -> None:
    assert not assess(case(finding(PNEUMOTHORAX, confidence=0.2), facts=note("BP 82/50. Intubated."))).triage.critical


def test_the_sentence_on_a_hippocampus_names_its_side_and_no_0th_percentile() -> None:
    images = case(hippocampus(1.6), hippocampus(2.9, Side.RIGHT), demographics=Demographics(74, "F"), body_part="BRAIN")
    left, right = (item.statement for item in assess(images).scores)
    assert left.startswith("Left hippocampal volume small for age: below the 1st percentile (")
    assert right.startswith("Right hippocampal volume 5th to 59th percentile, small in one series, not in another")
    assert any("Hippocampus, left, 1.6 mL" in sentence for sentence in assess(images).summary)


def test_what_a_note_says_of_one_hippocampus_is_not_linked_to_the_other() -> None:
    images = case(
        hippocampus(3.1), hippocampus(3.4, Side.RIGHT), body_part="BRAIN", facts=note("Left mesial temporal sclerosis.")
    )
    assert [link.finding for link in assess(images).links] == [0]


def test_a_size_is_compared_with_the_nodule_of_its_side() -> None:
    right, left = nodule(9.0, side=Side.RIGHT, lesion="1"), nodule(6.0, side=Side.LEFT, lesion="2")
    [found] = assess(case(right, left, facts=note("6 mm nodule in the right upper lobe."))).conflicts
    assert found.finding == 0


def test_the_reason_names_the_kind_of_haemorrhage_that_the_images_show() -> None:
    [reason] = assess(case(finding(SUBDURAL), body_part="HEAD")).triage.reasons
    assert reason.startswith("Subdural haemorrhage (confidence 0.90): critical finding of the images.")


def test_an_absurd_value_is_no_evidence() -> None:
    odd = [value(loinc("6301-6", "INR"), number, "{INR}") for number in (-4.0, 1e300, float("inf"))]
    for item in odd:
        found = assess(case(finding(HAEMORRHAGE), body_part="HEAD", observations=[item]))
        assert not found.links
        assert score(found, "anticoagulant-haemorrhage").category == "not known"


def test_a_laboratory_value_that_a_note_dates_years_ago_is_as_old_as_that() -> None:
    new, old = (
        assess(case(finding(HAEMORRHAGE), body_part="HEAD", facts=note(text))).links
        for text in ("INR 3.4.", "INR 3.4 on 2023-05-04.")
    )
    assert new[0].weight > 2 * old[0].weight


def test_a_size_and_pack_years_stand_in_the_evidence() -> None:
    found = assess(case(nodule(9.0), facts=note("Smoked 1 ppd x 40 years, quit 2 years ago.")))
    assert "Smoked, 40 pack-years" in {link.evidence.text.split(" (")[0] for link in found.links}


def test_a_note_written_after_the_study_is_read_too() -> None:
    late = note(written.BLEEDING_EN, days=-1)
    found = assess(case(finding(SUBDURAL, side=Side.RIGHT), body_part="HEAD", facts=late))
    assert "warfarin" in links(found, Relation.RAISES_RISK)
    assert dt.timedelta(days=1) + NOW == late[0].written_at


def test_a_finding_without_a_size_is_described_without_one() -> None:
    bare = Finding("nodule", NODULE, (Measurement(LONG_AXIS, float("nan"), MM),), confidence=float("nan"))
    assert any("(confidence not known)" in sentence for sentence in assess(case(bare)).summary)
