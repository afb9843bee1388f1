"""Alerts on critical findings: once for each set, corrected when the set changes, and never silently to nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contracts import Code, Finding, Side
from models.fusion.contracts import Assessment, Case, Priority, Triage
from node.records.schema import Result
from node.records.triage import NO_DESTINATION
from node.settings import Destination
from tests.workers.office import PHONE, RIS, Office, judging, only
from workers.results.messages import alert
from workers.results.messages.addressing import PLAIN, Addressing

BLEEDING = Finding("haemorrhage", Code("50960005", "SCT", "Hemorrhage"), side=Side.LEFT, confidence=0.9)
AIR = Finding("pneumothorax", Code("36118008", "SCT", "Pneumothorax"), confidence=0.8, text="Air in the pleura.")
NOTHING_URGENT = Finding("cyst", Code("367643001", "SCT", "Cyst"))
FOUND = only((BLEEDING, NOTHING_URGENT, AIR))


def rule(case: Case) -> Assessment:
    """Bleeding is critical unless a note negates it, air only if a note speaks of it."""
    codes = {item.fact.code.value for item in case.facts}
    critical = tuple(
        index
        for index, finding in enumerate(case.findings)
        if (finding.label == "haemorrhage" and "NONE" not in codes)
        or (finding.label == "pneumothorax" and "J93" in codes)
    )
    reasons = (f"{len(critical)} critical",) if critical else ()
    priority = Priority.STAT if critical else Priority.ROUTINE
    return Assessment(triage=Triage(priority, reasons, bool(critical), critical), summary=tuple(sorted(codes)))


@pytest.fixture
def office_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Office]]:
    monkeypatch.setattr("models.fusion.assess.assess", judging(rule))
    made: list[Office] = []

    def make(*destinations: Destination) -> Office:
        made.append(Office(tmp_path, *destinations))
        return made[-1]

    yield make
    for office in made:
        office.close()


def test_a_critical_finding_makes_one_alert_to_those_who_take_alerts(office_of: Callable[..., Office]) -> None:
    office = office_of(RIS, PHONE)
    office.inferred(prediction=FOUND)
    office.build()
    assert office.queued("phone") == ["alert"]
    assert office.queued("ris") == ["oru"]
    [message] = office.messages("alert")
    assert message.header.type == "ORU^R01"
    obr = message.require("OBR")
    assert (obr.get(4), obr.get(25), obr.raw(27)) == ("CRITICAL-FINDING", "P", "^^^^^S")
    assert message.require("TQ1").raw(9) == "S^Stat^HL70485"
    critical = [(obx.get(5, 2), obx.get(8)) for obx in message.all("OBX") if obx.get(3) == "121071"]
    assert critical == [("Hemorrhage", "AA")]
    assert [obx.get(5) for obx in message.all("OBX") if obx.get(3) == "SR-UID"] == [office.results("sr")[0].uid]
    assert [obx.get(5) for obx in message.all("OBX") if obx.get(3) == "ACTIONABLE"] == ["RID49480"]
    [line] = office.lines("study.priority")
    assert line == "Priority ROUTINE becomes STAT: a critical finding in the images."
    flags = [obx.get(8) for obx in office.messages("oru")[0].all("OBX") if obx.get(3) == "121071"]
    assert flags == ["AA", "", ""], "the report flags it too"
    assert not office.lines("alert.no_destination")


def test_a_correction_with_the_same_critical_findings_does_not_alert_again(office_of: Callable[..., Office]) -> None:
    office = office_of(RIS, PHONE)
    office.inferred(prediction=FOUND)
    office.build()
    office.note("N1", "I10")
    office.look_again()
    assert len(office.results("oru")) == 2
    assert len(office.results("alert")) == 1


def test_a_new_critical_finding_alerts_and_one_that_is_gone_is_taken_back(office_of: Callable[..., Office]) -> None:
    office = office_of(RIS, PHONE)
    office.inferred(prediction=FOUND)
    office.build()
    office.note("N1", "J93")
    office.look_again()
    office.note("N1", "NONE")
    office.look_again()
    office.look_again()
    first, second, third = office.messages("alert")
    assert [m.require("OBR").get(25) for m in (first, second, third)] == ["P", "C", "C"]
    found = [[obx.get(5, 2) for obx in m.all("OBX") if obx.get(3) == "121071"] for m in (first, second, third)]
    assert found == [["Hemorrhage"], ["Hemorrhage", "Pneumothorax"], []]
    corrected = [obx.get(5) for obx in third.all("OBX") if obx.get(3) == "ALERT-CORRECTED"]
    assert corrected == [second.header.control_id]
    assert [obx.get(5) for obx in third.all("OBX") if obx.get(3) == "ALERT-REASON"] == [alert.TAKEN_BACK]
    assert office.study().priority == "ROUTINE"
    office.note("N1", "I10")
    office.look_again()
    assert len(office.results("alert")) == 4, "and critical once more is news once more"


def test_with_nobody_to_alert_the_timeline_says_so_once(office_of: Callable[..., Office]) -> None:
    office = office_of(RIS)
    office.inferred(prediction=FOUND)
    office.build()
    office.note("N1", "I10")
    office.look_again()
    assert office.lines("alert.no_destination") == [NO_DESTINATION]
    assert office.results("alert") == []


def test_destinations_get_alerts_in_the_form_that_they_want(office_of: Callable[..., Office]) -> None:
    other = Destination(
        name="other", kind="mllp", host="h", port=1, send=("alert",), acknowledgement="enhanced",
        receiving_application="PAGER", receiving_facility="WARD",
    )  # fmt: skip
    office = office_of(PHONE, other, PHONE.model_copy(update={"name": "second"}))
    office.inferred(prediction=FOUND)
    office.build()
    assert [office.queued(name) for name in ("phone", "other", "second")] == [["alert"]] * 3
    plain, addressed = office.messages("alert")
    assert [[m.segments[0].raw(n) for n in (5, 6, 15, 16)] for m in (plain, addressed)] == [
        ["", "", "", ""],
        ["PAGER", "WARD", "AL", "AL"],
    ]
    assert plain.header.control_id != addressed.header.control_id


@given(st.lists(st.frozensets(st.sampled_from((BLEEDING, AIR, NOTHING_URGENT))), max_size=8))
def test_every_change_of_the_set_is_told_once_and_names_what_it_corrects(history: list[frozenset[Finding]]) -> None:
    newest: Result | None = None
    before: frozenset[Finding] = frozenset()
    seen = set()
    for critical in history:
        due = alert.due("1.2.3", "model", critical, PLAIN, newest)
        assert (due is None) == (critical == before)
        if due is not None:
            assert due.corrects == (newest.uid if newest is not None else "")
            assert due.control_id not in seen
            seen.add(due.control_id)
            newest = Result(uid=due.control_id, predecessor=due.corrects)
            assert alert.due("1.2.3", "model", critical, PLAIN, newest) is None
        before = critical


def test_control_ids_are_of_series_model_and_form() -> None:
    ids = {
        due.control_id
        for series, model, form in (
            ("1.2", "a", PLAIN),
            ("1.3", "a", PLAIN),
            ("1.2", "b", PLAIN),
            ("1.2", "a", Addressing("X")),
        )
        if (due := alert.due(series, model, (BLEEDING,), form, None)) is not None
    }
    assert len(ids) == 4


def test_a_bleeding_under_anticoagulants_alerts_by_the_real_rules(tmp_path: Path) -> None:
    office = Office(tmp_path, RIS, PHONE)
    office.inferred(prediction=only((replace(BLEEDING, code=Code("1386000", "SCT", "Intracranial hemorrhage")),)))
    office.note("N1", "Z79.01", kind="medication")
    office.build()
    assert office.study().priority == "STAT"
    [message] = office.messages("alert")
    reasons = " ".join(obx.get(5) for obx in message.all("OBX") if obx.get(3) == "ALERT-REASON")
    assert "Anticoag" in reasons
    office.close()
