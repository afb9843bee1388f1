"""The assessment: everything together, with or without a record, bounded, the same each time, and back from JSON."""

from __future__ import annotations

import dataclasses
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings

from models.contracts import Side
from models.facts import Assertion, Quantity
from models.fusion import conflicts, links, missing, summary, triage
from models.fusion.assess import assess
from models.fusion.contracts import Assessment, Case, Demographics, Priority, Relation, Score, StatedFact
from models.fusion.graph import load
from models.fusion.serial import SerialError, from_json, to_json
from models.fusion.triage import RANK
from models.notes import analyze
from tests.models.fusion.cases import (
    HAEMORRHAGE,
    NODULE,
    NOW,
    PNEUMONIA,
    SUBDURAL,
    case,
    cases,
    fact,
    finding,
    hippocampus,
    icd,
    loinc,
    value,
)


def note(text: str, document: str = "N1") -> tuple[StatedFact, ...]:
    return tuple(StatedFact(item, document, "Dr B", NOW, "note") for item in analyze(text).facts)


def bleeding() -> Case:
    return case(
        finding(SUBDURAL, side=Side.RIGHT, label="bleed"),
        facts=note("Takes warfarin for atrial fibrillation. Fell yesterday. Headache and vomiting. Hypertension."),
        observations=[value(loinc("6301-6", "INR"), 3.4, "{INR}", flag="H", reference="F1")],
        demographics=Demographics(78.0, "F"),
        body_part="HEAD",
        patient_class="E",
    )


def test_a_haemorrhage_under_warfarin_is_stat_critical_with_reversal_and_evidence() -> None:
    found = assess(bleeding())

    assert (found.triage.priority, found.triage.critical_findings) == (Priority.STAT, (0,))
    risks = [link for link in found.links if link.relation is Relation.RAISES_RISK]
    assert {"F1"} <= {link.evidence.reference for link in risks}
    assert any("warfarin" in link.evidence.text for link in risks)
    assert any("decide on reversal at once" in text for text in found.follow_up)
    assert found.summary[0].startswith("Priority STAT, critical: Subdural haemorrhage, right")
    assert any(sentence.startswith("Images: Subdural") for sentence in found.summary)
    assert any("laboratory: INR 3.4" in sentence and "notes: warfarin" in sentence for sentence in found.summary)
    assert {score.name for score in found.scores} >= {"anticoagulant-haemorrhage", "cha2ds2-vasc"}


def test_the_conflict_of_the_issue_is_shown() -> None:
    given = case(finding(NODULE, 9.0), facts=[fact(icd("R91.1"), "nodule", said=Assertion(negated=True), days=700)])
    found = assess(given)
    assert len(found.conflicts) == 1
    assert any(
        sentence.startswith("Conflict or change: A note tells of no lung nodule in 2024-04-09")
        for sentence in found.summary
    )


def test_without_any_record_the_images_are_assessed_and_what_was_missing_is_named() -> None:
    found = assess(Case((finding(SUBDURAL),), "ich", "CT", "HEAD"))

    assert found.triage.critical
    assert (found.links, found.conflicts) == ((), ())
    assert "no note about this examination" in found.missing
    assert "age not known" in found.missing
    assert any(item.startswith("no value of: ") and "INR" in item for item in found.missing)
    assert found.follow_up
    assert any(sentence.startswith("Not available") for sentence in found.summary)


def test_only_what_would_have_mattered_is_missing() -> None:
    assert assess(case()).missing == ()
    assert not any("INR" in item for item in assess(case(finding(NODULE, 5.0))).missing)
    assert not any("C-reactive" in item for item in assess(bleeding()).missing)
    known = case(finding(PNEUMONIA), observations=[value(loinc("1988-5"), 50.0, "mg/L")])
    assert not any("C-reactive" in item for item in assess(known).missing)
    assert any("C-reactive" in item for item in assess(case(finding(PNEUMONIA))).missing)


def test_images_without_findings_say_so() -> None:
    found = assess(case(facts=note("Cough and fever.")))
    assert found.summary == ("Images: no finding of this model.",)
    assert found.triage.priority is Priority.ROUTINE


def test_follow_up_names_its_source_and_needs_a_finding_that_is_sure() -> None:
    found = assess(case(finding(NODULE, 12.0))).follow_up
    assert any(
        "PET/CT" in text and text.endswith("[MacMahon et al., Radiology 2017;284:228 (Fleischner 2017)]")
        for text in found
    )
    assert not any("PET/CT" in text for text in assess(case(finding(NODULE, 5.0))).follow_up)
    assert assess(case(finding(NODULE, 12.0, confidence=0.2))).follow_up == ()


def test_a_hippocampus_is_followed_up_only_if_a_score_says_that_it_is_small() -> None:
    person = Demographics(68.0, "F")
    small = assess(case(hippocampus(1.4), body_part="HEAD", demographics=person)).follow_up
    large = assess(case(hippocampus(3.6), body_part="HEAD", demographics=person)).follow_up
    assert any("Cognitive testing" in text for text in small)
    assert large == ()


def test_a_chinese_note_gives_the_same_links_as_its_english_twin() -> None:
    def said(text: str) -> set[tuple[str, str, float]]:
        found = assess(case(finding(PNEUMONIA), facts=note(text))).links
        return {
            (link.evidence.code.value if link.evidence.code else "", str(link.relation), link.weight) for link in found
        }

    assert said("Cough and fever. No chest pain.") == said("咳嗽、发热。无胸痛。")
    assert said("Cough and fever.")


def test_a_score_that_fails_is_named_and_the_rest_stands() -> None:
    def broken(given: Case) -> tuple[Score, ...]:
        raise ZeroDivisionError

    found = assess(case(finding(HAEMORRHAGE)), registry={"broken": broken})
    assert found.missing[0] == "broken: could not be computed (ZeroDivisionError)"
    assert found.triage.critical


def test_a_record_that_is_withheld_is_said_first_and_not_called_missing() -> None:
    why = "The record was not used: it may be another's."
    found = assess(dataclasses.replace(case(), withheld=why))
    assert why in found.summary[:2]
    assert found.missing[0] == why
    assert not any("no note" in item or "no earlier study" in item for item in (*found.missing, *found.summary))


def test_versions_name_rules_graph_and_scores() -> None:
    found = assess(case())
    assert found.versions["graph"] == load().version
    assert found.versions["scores"]["brock"]
    assert found.versions["fusion"]


def bounded(found: Assessment, given: Case) -> bool:
    per_finding = [sum(link.finding == index for link in found.links) for index in range(len(given.findings))]
    return (
        max(per_finding, default=0) <= links.PER_FINDING
        and len(found.conflicts) <= conflicts.MAX_CONFLICTS
        and len(found.triage.reasons) <= triage.MAX_REASONS
        and len(found.follow_up) <= missing.MAX_FOLLOW_UP
        and len(found.summary) <= summary.MAX_SENTENCES
        and all(len(sentence) <= summary.MAX_SENTENCE for sentence in found.summary)
        and all(0 <= link.weight <= 1 and link.why and link.evidence.text for link in found.links)
        and all(len(conflict.evidence) >= 2 for conflict in found.conflicts)
    )


@settings(max_examples=80, deadline=None)
@given(cases)
def test_any_case_is_assessed_within_bounds_and_comes_back_from_json(given: Any) -> None:
    found = assess(given)
    assert bounded(found, given)
    text = json.dumps(to_json(found), allow_nan=False)
    assert to_json(from_json(json.loads(text))) == json.loads(text)
    assert to_json(assess(given)) == json.loads(text)


def test_a_huge_record_is_assessed_in_little_time() -> None:
    codes = [pattern.value for node in load().nodes.values() for pattern in node.patterns if pattern.scheme == "I10C"]
    facts = [fact(icd(codes[at % len(codes)]), document=f"D{at}", days=at % 50) for at in range(4000)]
    labs = [value(loinc("1988-5"), float(at), "mg/L", days=at) for at in range(4000)]
    given = case(*[finding(NODULE, 5.0, lesion=str(at)) for at in range(40)], facts=facts, observations=labs)

    begun = time.process_time()
    found = assess(given, registry={})
    assert time.process_time() - begun < 10
    assert bounded(found, given)


def test_an_assessment_comes_back_from_json_as_it_was() -> None:
    found = assess(bleeding())
    again = from_json(json.loads(json.dumps(to_json(found))))
    assert again == found
    assert isinstance(again.triage.priority, Priority)
    assert RANK[again.triage.priority] == 0


def test_the_keys_of_the_stored_form_are_those_of_the_contracts() -> None:
    stored = to_json(assess(bleeding()))
    assert set(stored) == {"format", *(field.name for field in dataclasses.fields(Assessment))}
    assert set(stored["links"][0]) == {"finding", "relation", "evidence", "weight", "why"}
    assert set(stored["links"][0]["evidence"]) == {"source", "text", "reference", "code", "at"}
    assert set(stored["triage"]) == {"priority", "reasons", "critical", "critical_findings"}
    assert stored["triage"]["priority"] == "STAT"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([], "must be an object"),
        ({"format": 9}, "format 9"),
        ({"links": 5}, "assessment.links must be a list"),
        ({"links": [{"finding": 0}]}, r"assessment.links\[0\].relation is missing"),
        ({"triage": {"priority": "SOON"}}, "assessment.triage.priority is no Priority"),
        ({"summary": [7]}, r"assessment.summary\[0\] is no str"),
        ({"triage": {"priority": "STAT", "critical": 1}}, "assessment.triage.critical is no bool"),
        ({"versions": []}, "assessment.versions must be an object"),
    ],
)
def test_data_that_are_no_assessment_are_refused_with_the_place(data: Any, said: str) -> None:
    with pytest.raises(SerialError, match=said):
        from_json(data)


def test_what_a_later_version_adds_is_ignored_and_what_an_earlier_one_lacks_has_its_default() -> None:
    assert from_json({"later": 1}) == Assessment()


def test_a_number_that_is_none_is_stored_as_null() -> None:
    odd = Quantity(float("inf"), "mm")
    found = assess(case(finding(NODULE, float("nan")), facts=[fact(icd("R91.1"), quantity=odd)]))
    json.dumps(to_json(found), allow_nan=False)
