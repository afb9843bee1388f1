"""Findings that were looked for and not found: named, and concluded from nowhere, whatever stands beside them."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from models.codes import NO_UNITS, PROBABILITY
from models.contracts import Finding, Measurement, Side
from models.fusion.assess import assess
from models.fusion.contracts import Case, PriorFinding, Priority, Seen
from models.notes import analyze
from tests.models.fusion.cases import NODULE, NOW, PNEUMONIA, SUBDURAL, case, cases, finding
from tests.models.fusion.test_assess import note

BLEED = finding(SUBDURAL, side=Side.RIGHT, label="bleed")
NO_BLEED = replace(BLEED, present=False)


def test_a_haemorrhage_that_was_not_found_is_not_urgent() -> None:
    assert assess(case(BLEED)).triage.priority is Priority.STAT
    made = assess(case(NO_BLEED))
    assert (made.triage.priority, made.triage.critical, made.links) == (Priority.ROUTINE, False, ())
    assert any(line.startswith("Looked for in the input and not found: Subdural") for line in made.summary)


def test_what_is_likely_and_below_the_operating_point_is_not_said_to_be_not_found() -> None:
    likely = replace(NO_BLEED, measurements=(Measurement(PROBABILITY, 0.79, NO_UNITS),))
    said = next(line for line in assess(case(likely, replace(NO_BLEED, label="other"))).summary if "Below" in line)
    assert said.startswith("Below the model's operating point, so not reported: Subdural")
    assert "right (probability 0.79). Looked for in the input and not found: Subdural" in said


def test_what_is_said_of_a_finding_keeps_its_index_behind_one_that_was_not_found() -> None:
    alone = assess(case(BLEED, facts=note("Takes warfarin.")))
    behind = assess(case(replace(finding(NODULE, 9.0), present=False), BLEED, facts=note("Takes warfarin.")))
    assert behind.triage.critical_findings == (1,)
    assert alone.links
    assert {link.finding for link in behind.links} == {1}
    assert len(behind.links) == len(alone.links)
    assert {score.finding for score in behind.scores} <= {None, 1}


def test_a_note_that_denies_what_was_not_found_is_no_conflict() -> None:
    denied = note("No pneumonia.")
    found = finding(PNEUMONIA, label="pneumonia")
    assert assess(case(found, facts=denied, body_part="CHEST")).conflicts
    assert not assess(case(replace(found, present=False), facts=denied, body_part="CHEST")).conflicts
    assert analyze("No pneumonia.").facts


def test_that_something_was_not_there_earlier_is_no_history_of_it() -> None:
    now = finding(NODULE, 9.0, lesion="1")
    before = PriorFinding(replace(now, present=False), "m", "1.2.3", NOW)
    assert assess(case(now, priors=(before,))) == assess(case(now))


def test_a_waveform_is_not_called_an_image() -> None:
    made = assess(replace(case(finding(PNEUMONIA, label="p"), facts=note("No pneumonia.")), seen=Seen.WAVEFORM))
    assert any(line.startswith("Waveform: ") for line in made.summary)
    assert all("image" not in line.lower() for line in (*made.summary, *(item.text for item in made.conflicts)))


@settings(max_examples=40, deadline=None)
@given(cases, st.data())
def test_absent_findings_change_nothing_but_the_summary(odd: Case, data: st.DataObject) -> None:
    absent = Finding("nothing", PNEUMONIA, present=False)
    at = data.draw(st.integers(0, len(odd.findings)))
    findings = (*odd.findings[:at], absent, *odd.findings[at:])
    with_it, without = assess(replace(odd, findings=findings)), assess(odd)
    assert with_it.triage.priority is without.triage.priority
    assert [item.weight for item in with_it.links] == [item.weight for item in without.links]
    assert [findings[item.finding] for item in with_it.links] == [odd.findings[item.finding] for item in without.links]
    assert with_it.missing == without.missing
