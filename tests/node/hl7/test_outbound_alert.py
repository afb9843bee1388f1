"""The alert on a critical finding, and what is in a report beside findings: read back by our reader and by hl7apy."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message
from hypothesis import given
from hypothesis import strategies as st

from node.hl7.alert import build_alert
from node.hl7.message import Hl7Message, parse
from node.hl7.outbound import build_oru
from node.hl7.reporting import MAX_DOCUMENT_BYTES, OruObservation
from node.hl7.segments import MAX_SPECIMENS
from node.hl7.writing import Concept
from tests.node.hl7.test_outbound import AT, CONTEXT, REPORT

BLEEDING = OruObservation(
    Concept("121071", "DCM", "Finding"), "CWE", Concept("50960005", "SCT", "Hemorrhage"), sub_id="1", flag="AA"
)
CRITICAL = replace(REPORT, observations=(BLEEDING,), lines=("Bleeding in the head.",), context=CONTEXT)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)


def alert(corrects: str = "", **changes: object) -> Hl7Message:
    return parse(build_alert(replace(CRITICAL, **changes), "A2", AT, corrects))  # type: ignore[arg-type]


@pytest.mark.parametrize("level", [VALIDATION_LEVEL.STRICT, VALIDATION_LEVEL.TOLERANT])
@pytest.mark.parametrize("corrects", ["", "A1"])
def test_hl7apy_finds_nothing_wrong_in_an_alert(level: int, corrects: str) -> None:
    message = build_alert(CRITICAL, "A2", AT, corrects).decode()
    parsed = parse_message(message, validation_level=level, find_groups=True)
    assert parsed.validate()
    order = parsed.oru_r01_patient_result.oru_r01_order_observation
    assert order.oru_r01_timing_qty.tq1.tq1_9.to_er7() == "S^Stat^HL70485"


def test_an_alert_says_how_urgent_it_is_and_of_which_order() -> None:
    message = alert()
    obr = message.require("OBR")
    assert (obr.get(2), obr.get(3), obr.get(4), obr.get(25)) == ("P7", "A1", "CRITICAL-FINDING", "P")
    assert (obr.get(27, 6), message.require("TQ1").get(9)) == ("S", "S")
    flagged = [obx.get(3) for obx in message.all("OBX") if obx.get(8) == "AA"]
    assert flagged == ["ACTIONABLE", "121071"]


def test_an_alert_that_is_taken_back_flags_nothing_and_names_what_it_corrects() -> None:
    message = alert("A1", observations=(), status="C")
    assert message.require("OBR").get(25) == "C"
    assert not [obx for obx in message.all("OBX") if obx.get(8)]
    assert [obx.get(5) for obx in message.all("OBX") if obx.get(3) == "ALERT-CORRECTED"] == ["A1"]
    assert {obx.get(11) for obx in message.all("OBX")} == {"O", "C"}


@pytest.mark.parametrize("control_id", ["", "x" * 21, "a|b"])
def test_a_control_id_that_does_not_fit_is_refused(control_id: str) -> None:
    with pytest.raises(ValueError, match="control id"):
        build_alert(CRITICAL, control_id, AT)


def _with(said: str, code: str, specimen: list[str]) -> list[Hl7Message]:
    """A report and an alert with these words wherever words may stand."""
    scores = (
        OruObservation(Concept(code, code, said), "NM", 1.5, Concept(code, "UCUM", said), said),
        OruObservation(Concept(code, code, said), "CWE", Concept(said, code, code), None, code, said),
        OruObservation(Concept("X", "L", "x"), "TX", said),
    )
    report = replace(REPORT, assessment=scores, lines=(said,), context={"SPM": specimen})
    critical = replace(report, observations=scores)
    return [parse(build_oru(report, "C1", AT)), parse(build_alert(critical, "C1", AT, "C0"))]


@given(said=WORDS, code=WORDS, specimen=st.lists(WORDS, max_size=30))
def test_hostile_words_break_no_segment(said: str, code: str, specimen: list[str]) -> None:
    shapes = [[segment.name for segment in message.segments] for message in _with(said, code, specimen)]
    assert shapes == [[segment.name for segment in message.segments] for message in _with("a", "b", [])]


def test_specimens_are_bounded_and_numbered_anew() -> None:
    kept = {"SPM": [f"SPM|{n + 7}|S{n}" for n in range(MAX_SPECIMENS + 5)]}
    message = parse(build_oru(replace(REPORT, context=kept), "C1", AT))
    assert [(spm.get(1), spm.get(2)) for spm in message.all("SPM")] == [
        (str(n + 1), f"S{n}") for n in range(MAX_SPECIMENS)
    ]


@pytest.mark.parametrize(("size", "there"), [(1, True), (MAX_DOCUMENT_BYTES, True), (MAX_DOCUMENT_BYTES + 1, False)])
def test_a_document_is_bounded(size: int, there: bool) -> None:
    message = build_oru(replace(REPORT, document=bytes(size)), "C1", AT)
    assert (b"|ED|" in message) == there
    assert (b"PDF-LEFT-OUT" in message) != there
