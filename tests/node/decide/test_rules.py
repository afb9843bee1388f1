from __future__ import annotations

from typing import Any

import pytest

from node.decide.conditions import CONDITIONS, Facts, matches, problem
from node.decide.rules import decide
from node.settings import DEFAULT_RULES, Rule

BRAIN = Facts(modality="MR", body_part="BRAIN", series_description="T1 HippoCrop", calling_ae_title="MR1")


def test_texts_are_compared_without_regard_to_case_and_with_wildcards() -> None:
    assert matches("T1 HippoCrop", "*hippo*")
    assert matches("MR", ["CT", "mr"])
    assert not matches("MR", "CT")
    assert not matches("", "?*")


@pytest.mark.parametrize(
    "facts",
    [BRAIN, Facts(modality="MR", body_part="HEAD"), Facts(modality="MR", series_description="HippoCrop")],
)
def test_the_default_rules_want_brain_mr_and_hippocampus_crops(facts: Facts) -> None:
    assert [wanted.model for wanted in decide(DEFAULT_RULES, facts)] == ["hippocampus"]


@pytest.mark.parametrize(
    "facts",
    [
        Facts(modality="DX", body_part="CHEST"),
        Facts(modality="CR", body_part="Thorax"),
        Facts(modality="DX", body_part="CHEST", tags={"PresentationIntentType": "FOR PRESENTATION"}),
    ],
)
def test_the_default_rules_want_chest_radiographs(facts: Facts) -> None:
    assert [wanted.model for wanted in decide(DEFAULT_RULES, facts)] == ["chest-xray-pneumonia"]


@pytest.mark.parametrize(
    "facts",
    [
        Facts(modality="DX", body_part="CHEST", tags={"PresentationIntentType": "FOR PROCESSING"}),
        Facts(modality="DX", body_part="HAND"),
        Facts(modality="DX"),
        Facts(modality="US", body_part="CHEST"),
    ],
)
def test_the_default_rules_leave_raw_data_and_other_parts_of_the_body_alone(facts: Facts) -> None:
    assert decide(DEFAULT_RULES, facts) == []


def test_the_default_rules_want_ecgs_of_any_kind() -> None:
    assert [wanted.model for wanted in decide(DEFAULT_RULES, Facts(modality="ECG"))] == ["ecg-af"]


def test_the_default_rules_leave_sounds_alone() -> None:
    for number in (1, 2):
        facts = Facts(modality="AU", tags={"SOPClassUID": f"1.2.840.10008.5.1.4.1.1.9.4.{number}"})
        assert decide(DEFAULT_RULES, facts) == []


def test_a_sop_class_is_asked_for_by_its_uid_or_its_name() -> None:
    sound = Facts(modality="AU", tags={"SOPClassUID": "1.2.840.10008.5.1.4.1.1.9.4.2"})
    voice = Facts(modality="AU", tags={"SOPClassUID": "1.2.840.10008.5.1.4.1.1.9.4.1"})
    for wanted in ("GeneralAudioWaveformStorage", "1.2.840.10008.5.1.4.1.1.9.4.2", ["general*"]):
        rule = Rule(name="r", when={"sop_class": wanted}, run=("m",))
        assert decide([rule], sound)
        assert not decide([rule], voice)
        assert not decide([rule], Facts(modality="AU"))


@pytest.mark.parametrize("facts", [Facts(modality="CT", body_part="BRAIN"), Facts(modality="MR", body_part="KNEE")])
def test_the_default_rules_leave_other_studies_alone(facts: Facts) -> None:
    assert decide(DEFAULT_RULES, facts) == []


def test_all_conditions_of_a_rule_must_hold() -> None:
    rule = Rule(name="r", when={"modality": "MR", "calling_ae_title": "MR2"}, run=("m",))
    assert decide([rule], BRAIN) == []


def test_tags_are_looked_up_by_keyword() -> None:
    rule = Rule(name="r", when={"tags": {"Manufacturer": "siemens*"}}, run=("m",))
    assert decide([rule], Facts(tags={"Manufacturer": "SIEMENS Healthineers"}))
    assert not decide([rule], Facts())


def test_two_rules_for_one_model_make_one_job_with_both_destinations_and_the_higher_priority() -> None:
    rules = [
        Rule(name="first", when={"modality": "MR"}, run=("m",), send=("pacs",)),
        Rule(name="second", when={"body_part": "BRAIN"}, run=("m",), send=("archive", "pacs"), priority="STAT"),
    ]
    [wanted] = decide(rules, BRAIN)
    assert wanted.rule == "first"
    assert wanted.destinations == ("pacs", "archive")
    assert wanted.priority == "STAT"


def test_a_rule_that_sends_everywhere_is_not_narrowed_by_another() -> None:
    rules = [Rule(name="a", run=("m",)), Rule(name="b", run=("m",), send=("pacs",))]
    assert decide(rules, BRAIN)[0].destinations == ()


def test_the_priority_of_the_order_reaches_the_job() -> None:
    facts = Facts(modality="MR", order_priority="STAT")
    assert decide([Rule(name="r", run=("m",), priority="ASAP")], facts)[0].priority == "STAT"


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("modalty", "MR"), ("modality", 3), ("modality", []), ("tags", "x"), ("tags", {"Manufacturer": 3})],
)
def test_a_condition_that_cannot_hold_is_named(name: str, wanted: Any) -> None:
    assert problem(name, wanted)


def test_every_condition_takes_a_pattern() -> None:
    for name in CONDITIONS:
        assert problem(name, {"Manufacturer": "x"} if name == "tags" else "x") is None
