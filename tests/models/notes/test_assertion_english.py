"""How English sentences state their concepts."""

from __future__ import annotations

import pytest

from models.notes import assert_span
from tests.models.notes.facts import said, words


@pytest.mark.parametrize(
    ("text", "surface"),
    [
        ("No headache.", "headache"),
        ("Patient denies headache, dizziness, or seizures.", "seizures"),
        ("There is no evidence of intracranial hemorrhage.", "intracranial hemorrhage"),
        ("Effusion is not seen.", "effusion"),
        ("Stroke was ruled out.", "stroke"),
        ("Pneumonia unlikely.", "pneumonia"),
        ("His nausea resolved.", "nausea"),
        ("Fever: no. Cough: yes.", "fever"),
        ("(-) chills", "chills"),
        ("Without seizures.", "seizures"),
        ("Neither headache nor fever.", "fever"),
        ("The scan failed to reveal a mass.", "mass"),
        ("She has not had a seizure.", "seizure"),
        ("Non-epileptic.", "epileptic"),
        ("Doppler negative for DVT.", "DVT"),
        ("Ruled out for pneumonia.", "pneumonia"),
        ("The patient was ruled out for stroke.", "stroke"),
        ("Not consistent with dementia.", "dementia"),
        ("She doesn't have dementia.", "dementia"),
    ],
)
def test_a_negated_concept_is_negated(text: str, surface: str) -> None:
    assert words(said(text, surface)) == {"negated"}


@pytest.mark.parametrize(
    ("text", "surface"),
    [
        ("No headache, but fever is present.", "fever"),
        ("No effusion; small nodule in the right lower lobe.", "nodule"),
        ("No fever although she has cough.", "cough"),
        ("No fracture, and there is a hydrocephalus.", "hydrocephalus"),
        ("No fever, and has headache.", "headache"),
        ("Denies fever but reports memory loss.", "memory loss"),
        ("No murmur, however cardiomegaly is noted.", "cardiomegaly"),
        ("No headache. Fever since Monday.", "fever"),
        ("CT normal (no contrast given) for headache.", "headache"),
    ],
)
def test_a_terminator_ends_a_negation(text: str, surface: str) -> None:
    assert words(said(text, surface)) == set()


@pytest.mark.parametrize(
    ("text", "surface"),
    [
        ("No increase in the size of the nodule.", "nodule"),
        ("No interval change of the effusion.", "effusion"),
        ("Not only headache but also vomiting.", "headache"),
        ("Gram negative sepsis.", "sepsis"),
        ("MRI without contrast for dementia.", "dementia"),
        ("Walks without difficulty despite neuropathy.", "neuropathy"),
    ],
)
def test_a_pseudo_negation_negates_nothing(text: str, surface: str) -> None:
    assert words(said(text, surface)) == set()


@pytest.mark.parametrize(
    ("text", "surface"),
    [
        ("Rule out stroke.", "stroke"),
        ("r/o ICH", "ICH"),
        ("? AD", "AD"),
        ("Stroke?", "stroke"),
        ("Possible early Alzheimer's disease.", "Alzheimer's disease"),
        ("Hippocampal sclerosis suspected on the left.", "hippocampal sclerosis"),
        ("Cannot exclude glioma.", "glioma"),
        ("Dementia cannot be excluded.", "dementia"),
        ("Evaluate for hippocampal atrophy.", "hippocampal atrophy"),
        ("Seizures should be ruled out.", "seizures"),
        ("Opacity may represent pneumonia.", "pneumonia"),
    ],
)
def test_what_is_suspected_or_to_be_ruled_out_is_uncertain(text: str, surface: str) -> None:
    assert words(said(text, surface)) == {"uncertain"}


@pytest.mark.parametrize(
    ("text", "surface"),
    [
        ("History of epilepsy.", "epilepsy"),
        ("Status post craniotomy.", "craniotomy"),
        ("Stroke 5 years ago.", "stroke"),
        ("Stroke in 2015.", "stroke"),
        ("Previous myocardial infarction.", "myocardial infarction"),
        ("Past medical history significant for anxiety and depression.", "depression"),
    ],
)
def test_what_is_past_is_historical(text: str, surface: str) -> None:
    assert words(said(text, surface)) == {"historical"}


@pytest.mark.parametrize(
    ("text", "surface"),
    [
        ("She has a 3-day history of headache.", "headache"),
        ("History of epilepsy, presents with confusion.", "confusion"),
        ("A 72 year old man with dementia.", "dementia"),
        ("Compared to the prior study the nodule is unchanged.", "nodule"),
    ],
)
def test_a_present_illness_is_not_historical(text: str, surface: str) -> None:
    assert words(said(text, surface)) == set()


@pytest.mark.parametrize(
    ("text", "surface"),
    [
        ("Return if you develop fever or seizures.", "seizures"),
        ("Call if there is any headache.", "headache"),
        ("Ibuprofen as needed for pain.", "pain"),
        ("Monitor for bleeding.", "bleeding"),
    ],
)
def test_what_might_come_is_hypothetical(text: str, surface: str) -> None:
    assert words(said(text, surface)) == {"hypothetical"}


@pytest.mark.parametrize(
    ("text", "surface", "expected"),
    [
        ("Her mother had dementia.", "dementia", {"family"}),
        ("Family history of epilepsy.", "epilepsy", {"family", "historical"}),
        ("No family history of dementia.", "dementia", {"family", "historical", "negated"}),
        ("Dementia runs in the family.", "dementia", {"family"}),
        ("Stroke in his father at age 50.", "stroke", {"family", "historical"}),
        ("He lives with his wife, who has dementia.", "dementia", {"other"}),
        ("Her daughter reports memory loss.", "memory loss", set()),
        ("Mother denies fever.", "fever", {"negated"}),
        ("He has diabetes and his mother had dementia.", "dementia", {"family"}),
        ("He has diabetes and his mother had dementia.", "diabetes", set()),
        ("Accompanied by her son, she complains of headache.", "headache", set()),
        ("Her mother had a stroke, and she has headache.", "headache", set()),
    ],
)
def test_the_experiencer_is_told_apart(text: str, surface: str, expected: set[str]) -> None:
    assert words(said(text, surface)) == expected


def test_a_modifier_inside_the_concept_does_not_act_on_it() -> None:
    text = "The patient is in no acute distress."
    start = text.index("no acute distress")

    assert not assert_span(text, start, len(text) - 1).negated


def test_a_modifier_inside_another_concept_does_not_act() -> None:
    assert words(said("Absence seizures and headache.", "headache")) == set()


def test_a_span_that_the_lexicon_does_not_know_is_asserted_too() -> None:
    text = "No wheezes, rales, or rhonchi."
    start = text.index("rhonchi")

    assert assert_span(text, start, start + len("rhonchi")).negated


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (0, 0), (3, 2), (0, 99)])
def test_a_span_outside_the_text_is_refused(start: int, end: int) -> None:
    with pytest.raises(ValueError, match="not within"):
        assert_span("No fever", start, end)


def test_only_what_the_patient_has_now_is_present() -> None:
    assert said("She has dementia.", "dementia").present
    assert not said("She has no dementia.", "dementia").present
    assert not said("Her mother had dementia.", "dementia").present
    assert not said("Possible dementia.", "dementia").present


@pytest.mark.parametrize(
    ("text", "surface", "expected"),
    [
        ("He is allergic to penicillin.", "penicillin", {"historical"}),
        ("A woman with epilepsy who presents with headache.", "epilepsy", {"historical"}),
        ("A woman with epilepsy who presents with headache.", "headache", set()),
        ("No known epilepsy.", "epilepsy", {"negated", "historical"}),
        ("Known epilepsy.", "epilepsy", set()),
        ("History of epilepsy since 2010, stroke.", "stroke", {"historical"}),
        ("Stroke at age 50.", "Stroke", {"historical"}),
        ("Stroke (2015).", "Stroke", {"historical"}),
        ("A 10-year history of epilepsy.", "epilepsy", {"historical"}),
        ("A 3-day history of headache.", "headache", set()),
        ("He was advised to stop smoking.", "smoking", {"hypothetical"}),
        ("His mother-in-law has dementia.", "dementia", {"other"}),
        ("Lives with wife who smokes.", "smokes", {"other"}),
        ("One of her uncles was diagnosed with leukemia.", "leukemia", {"family"}),
        ("The father of the patient died with a stroke.", "stroke", {"family"}),
        ("Nobody in the family was diagnosed with cancer.", "cancer", {"negated", "family"}),
        ("Family medical history is significant for diabetes.", "diabetes", {"family", "historical"}),
        ("Her mother currently has lung cancer.", "lung cancer", {"family"}),
        ("The fracture has healed, surgery was done.", "surgery", set()),
    ],
)
def test_more_of_time_and_person(text: str, surface: str, expected: set[str]) -> None:
    assert words(said(text, surface)) == expected
