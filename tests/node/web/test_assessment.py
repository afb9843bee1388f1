"""From a stored assessment to rows: what the pages show of it, whatever is stored."""

from __future__ import annotations

import dataclasses
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from models.fusion.serial import to_json
from node.records.schema import Fact, Note
from node.web import assessment
from node.web.evidence import Place, Reference
from node.web.places import NOWHERE, Places, anchor, language, language_of
from tests.workers.results.assessments import FULL

FINDINGS = [{"label": "nodule", "code": {"meaning": "Nodule"}}] * 4


def shown(stored: Any, findings: Any = FINDINGS) -> assessment.AssessmentView:
    return assessment.view("j", "m", "1", findings, stored, lambda _: NOWHERE)


def test_every_part_of_an_assessment_is_shown() -> None:
    view = shown(to_json(FULL))
    assert (view.priority, view.critical, view.reasons) == ("ASAP", True, list(FULL.triage.reasons))
    assert [block.critical for block in view.findings] == [False, False, False, True]
    assert [group.relation for group in view.findings[0].groups] == ["raises_risk", "supports", "explains"]
    assert [group.relation for group in view.findings[3].groups] == ["contradicts"]
    assert [score.title for score in view.findings[0].scores] == ["Brock malignancy probability"]
    assert len(view.scores) == 3
    assert view.conflicts[0].sides[0].text == "memory loss (history)"
    assert (view.follow_up, view.missing, view.summary) == (
        list(FULL.follow_up), list(FULL.missing), list(FULL.summary),
    )  # fmt: skip
    shown_parts = {field.name for field in dataclasses.fields(view)}
    assert {field.name for field in dataclasses.fields(FULL)} - {"links", "triage"} <= shown_parts


def test_a_range_plot_has_all_values_on_one_scale() -> None:
    score = shown(to_json(FULL)).findings[0].scores[0]
    assert (score.value, score.unit, score.low, score.high) == ("12.3", "%", "9", "14.5")
    assert score.mark == 60.8  # (12.3456789 - 9) of (14.5 - 9)
    assert (score.spans[0].left, score.spans[0].width) == (0.0, 100.0)


def test_a_score_without_a_value_says_what_is_missing() -> None:
    score = next(score for score in shown(to_json(FULL)).scores if score.title == "CURB-65")
    assert (score.value, score.mark, score.missing) == ("", None, ["urea", "respiratory rate"])


def test_points_are_called_points() -> None:
    score = next(score for score in shown(to_json(FULL)).scores if score.title == "CHA2DS2-VASc")
    assert (score.value, score.unit) == ("3", "points")


def test_inputs_say_which_were_assumed() -> None:
    inputs = shown(to_json(FULL)).findings[0].scores[0].inputs
    assert [(one.name, one.value, one.assumed) for one in inputs] == [
        ("age", "76 years", False),
        ("emphysema", "no", True),
    ]


def test_all_evidence_is_looked_for() -> None:
    found = {(one.source, one.reference) for one in assessment.references(to_json(FULL))}
    assert {("note", "NOTE-1:12-24"), ("lab", "F-77"), ("prior", "1.2.3"), ("image", "hippocampus-anterior")} <= found


def test_a_score_about_a_finding_that_is_not_there_is_shown_with_the_patients() -> None:
    view = shown({"scores": [{"title": "S", "finding": 9}, {"title": "T", "finding": 0}]})
    assert [score.title for score in view.scores] == ["S"]
    assert [score.title for score in view.findings[0].scores] == ["T"]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["links", "scores", "conflicts", "triage", "finding", "relation", "evidence", "weight", "value", "unit",
             "inputs", "sensitivity", "low", "high", "at", "code", "source", "reference", "summary",
             "critical_findings"]
        ),
        inner,
        max_size=6,
    ),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(["links", "scores", "conflicts", "triage", "versions"]), values, max_size=5))
def test_whatever_is_stored_is_shown_or_left_out_and_never_fails(stored: dict[str, Any]) -> None:
    places = Places([], [], {})
    view = assessment.view("j", "m", "1", FINDINGS, stored, places)
    for block in view.findings:
        assert all(0 <= link.weight <= 1 for group in block.groups for link in group.links)
        assert all(score.mark is None or 0 <= score.mark <= 100 for score in block.scores)
    list(assessment.references(stored))


def note(**fields: Any) -> Note:
    made = Note(id=5, document_number="D:1", text="a big nodule", language="en")
    plain: dict[str, Any] = {"kind": "problem", "surface": "nodule", "start": 6, "end": 12}
    made.facts = [Fact(**plain | fields)]
    return made


def reference(**fields: Any) -> Reference:
    given = {"source": "note", "text": "nodule", "reference": "D:1:6-12", "code": "", "scheme": "", "at": None}
    return Reference(**given | fields)


def test_a_documents_number_may_have_colons() -> None:
    assert Places([note()], [], {})(reference()) == Place("#note-5-6-12", "", "characters 6 to 12 of this note")


def test_evidence_without_a_fact_of_its_own_leads_to_the_note() -> None:
    assert Places([note()], [], {})(reference(reference="D:1:0-3")).href == "#note-5"
    assert anchor(note(), 0, 3) == "note-5"


def test_evidence_that_is_not_on_the_page_leads_nowhere() -> None:
    places = Places([note()], [], {"1.2.3": 7})
    others = ("D:2:6-12", "D:1", "D:1:6-x", "", "::", "D:1:6-9999999999999")
    assert {places(reference(reference=text)) for text in others} == {NOWHERE}
    assert places(reference(source="prior", reference="1.2.4")) == NOWHERE
    assert places(reference(source="prior", reference="1.2.3")).href == "/studies/7"
    assert places(reference(source="lab", reference="F", code="9")) == NOWHERE


def test_only_words_in_chinese_are_marked_as_such() -> None:
    assert language_of("华法林", "zh") == "zh"
    assert language_of("warfarin", "zh") == ""
    assert (language("en"), language("zh_CN"), language('"><b>'), language("")) == ("", "zh-CN", "", "")
