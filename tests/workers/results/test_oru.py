"""The HL7 message says the same as the report."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message

from models.contracts import Code
from models.facts import Experiencer
from models.fusion.contracts import Assessment
from node.hl7.reporting import MAX_DOCUMENT_BYTES
from node.records.schema import Order, Patient, Study
from node.settings import Hl7Section
from tests.workers.results.assessments import FULL
from tests.workers.results.test_sr import FACTS
from tests.workers.synthetic import Phantom, result_input, single_frames, write
from workers.reading.volume.load import read_series
from workers.results import build_all
from workers.results.common import DISCLAIMER, OrderContext, Predecessor, ReportedFact, ResultInput
from workers.results.messages.addressing import Addressing
from workers.results.messages.alert import Due, build_alert
from workers.results.messages.oru import Letter, assertion, build_oru, control_id, named

SENDER = Hl7Section(application="NODE7", facility="HOSPITAL")


@pytest.fixture
def inp(tmp_path: Path) -> ResultInput:
    """Give the input of a small synthetic series with notes and an order."""
    sources = read_series(write(tmp_path, single_frames(Phantom()))).sources
    order = OrderContext("A-1", "P-77", "F-88", None, "MR Kopf", "")
    return result_input(sources, Phantom().shape, note_facts=FACTS, order=order)


def _study() -> Study:
    patient = Patient(patient_id="P-1", issuer="HOSP", name="Müller^Käthe", birth_date="19500102", sex="F")
    order = Order(
        accession_number="A-1", placer_number="P-77", filler_number="F-88", context={"OBR": {"4": "MRK^MR^L"}}
    )
    return Study(uid="1.2.826.0.1.3680043.10.1.1", accession_number="A-1", patient=patient, order=order)


LETTER = Letter(_study().patient, _study(), SENDER)


def _segments(message: bytes) -> list[list[str]]:
    return [line.split("|") for line in message.decode("utf-8").split("\r") if line]


def test_the_message_has_every_finding_with_its_numbers(inp: ResultInput) -> None:
    rows = [row for row in _segments(build_oru(inp, named(build_all(inp)), LETTER)) if row[0] == "OBX"]
    volumes = [row for row in rows if row[3].startswith("118565006^Volume^SCT")]
    assert [(row[2], row[4], row[5], row[6].split("^")[0]) for row in volumes] == [
        ("NM", "1", "1.5", "ml"),
        ("NM", "2", "1.25", "ml"),
        ("NM", "3", "2.75", "ml"),
    ]
    bounds = {row[3].split("^")[0]: row[5] for row in rows if row[3].startswith("37188")}
    assert bounds == {"371886008": "0.2", "371885007": "0.1"}
    assert [row[5].split("^")[1] for row in rows if row[3].startswith("272741003")] == ["Left", "Left", "Left"]
    assert any(DISCLAIMER in row[5] for row in rows)


def test_the_message_refers_to_the_objects_and_the_order(inp: ResultInput) -> None:
    built = build_all(inp)
    segments = _segments(build_oru(inp, named(built), LETTER))
    text = "\r".join("|".join(row) for row in segments)
    assert str(built["seg"][0].SOPInstanceUID) in text
    assert str(built["sr"][0].SOPInstanceUID) in text
    obr = next(row for row in segments if row[0] == "OBR")
    assert (obr[2], obr[3], obr[4], obr[18], obr[25]) == ("P-77", "F-88", "MRK^MR^L", "A-1", "P")
    pid = next(row for row in segments if row[0] == "PID")
    assert (pid[3], pid[5]) == ("P-1^^^HOSP", "Müller^Käthe")


def test_a_superseding_report_is_sent_as_a_correction(inp: ResultInput) -> None:
    later = replace(inp, context_digest="55" * 32, predecessor=Predecessor("1.2", "2.25.1", "2.25.2"))
    obr = next(row for row in _segments(build_oru(later, named(build_all(later)), LETTER)) if row[0] == "OBR")
    assert obr[25] == "C"
    assert control_id(later) != control_id(inp)


def test_a_retry_has_the_same_control_id_and_bytes(inp: ResultInput) -> None:
    assert control_id(inp) == control_id(replace(inp))
    assert control_id(inp).isalnum()
    assert len(control_id(inp)) == 20
    made = [build_oru(inp, named(build_all(inp)), LETTER) for _ in range(2)]
    assert made[0] == made[1]


def test_facts_of_notes_are_in_the_message_as_the_note_states_them(inp: ResultInput) -> None:
    text = build_oru(inp, named(build_all(inp)), LETTER).decode("utf-8")
    assert "38341003^Hypertensive disorder^SCT" in text
    assert "present, in the past" in text


@pytest.mark.parametrize(
    ("fact", "words"),
    [
        (ReportedFact(Code("1", "L", "x")), "present"),
        (ReportedFact(Code("1", "L", "x"), negated=True, historical=True), "absent, in the past"),
        (ReportedFact(Code("1", "L", "x"), uncertain=True), "possible"),
        (ReportedFact(Code("1", "L", "x"), hypothetical=True), "possible, supposed"),
        (ReportedFact(Code("1", "L", "x"), experiencer=Experiencer.FAMILY), "present, of the family"),
        (ReportedFact(Code("1", "L", "x"), experiencer=Experiencer.OTHER), "present, of another person"),
    ],
)
def test_an_assertion_is_put_into_words(fact: ReportedFact, words: str) -> None:
    assert assertion(fact) == words


def test_the_message_says_who_it_is_from(inp: ResultInput) -> None:
    assert build_oru(inp, named(build_all(inp)), LETTER).startswith(b"MSH|^~\\&|NODE7|HOSPITAL|")


def _obx(message: bytes, identifier: str) -> list[list[str]]:
    return [row for row in _segments(message) if row[0] == "OBX" and row[3].split("^")[0] == identifier]


def test_the_assessment_is_a_group_of_its_own_with_scores_coded_and_the_rest_as_text(inp: ResultInput) -> None:
    message = build_oru(replace(inp, assessment=FULL), [], LETTER)
    groups = [row[4].split("^")[0] for row in _segments(message) if row[0] == "OBR"]
    assert groups == ["MRK", "ASSESSMENT", "NOTE-FACTS"]
    [brock] = _obx(message, "BROCK")
    assert (brock[2], brock[5], brock[6], brock[11]) == ("NM", "12.3457", "%^Percent^UCUM", "P")
    [lung] = _obx(message, "LUNG-RADS")
    assert (lung[2], lung[5]) == ("CWE", "4A^Lung-RADS v2022: 4A^99OVERREAD")
    assert not _obx(message, "CURB-65"), "a score that could not be computed has no value"
    said = [row[5] for row in _obx(message, "SCORE-STATEMENT")]
    assert "CURB-65: It cannot be computed." in said
    assert any("missing: urea~missing: respiratory rate" in row[5] for row in _obx(message, "SCORE-BASIS"))
    assert [row[5] for row in _obx(message, "TRIAGE")] == ["A^ASAP^HL70485"]
    assert len(_obx(message, "EVIDENCE")) == 4
    assert [row[5] for row in _obx(message, "MISSING")] == ["no creatinine"]
    assert [row[8] for row in _obx(message, "121071")] == ["", "", "", "AA"], "the critical finding is flagged"


def test_the_pdf_report_goes_along_where_it_is_asked_for(inp: ResultInput) -> None:
    message = build_oru(inp, [], LETTER, b"%PDF-1.7 report")
    [row] = _obx(message, "18748-4")
    assert row[2] == "ED"
    assert row[5].split("^")[:4] == ["", "application", "pdf", "Base64"]
    assert base64.b64decode(row[5].split("^")[4]) == b"%PDF-1.7 report"
    too_long = build_oru(inp, [], LETTER, bytes(MAX_DOCUMENT_BYTES + 1))
    assert not _obx(too_long, "18748-4")
    assert str(MAX_DOCUMENT_BYTES) in _obx(too_long, "PDF-LEFT-OUT")[0][5]


def test_a_message_is_written_to_its_destination(inp: ResultInput) -> None:
    form = Addressing("RIS", "HOSP", enhanced=True)
    message = build_oru(inp, [], replace(LETTER, addressing=form))
    assert [_segments(message)[0][n] for n in (4, 5, 14, 15)] == ["RIS", "HOSP", "AL", "NE"]
    assert control_id(inp, form) == control_id(inp, Addressing("RIS", "HOSP", enhanced=True))
    assert control_id(inp, form) not in (control_id(inp), control_id(inp, Addressing("RIS")))


def test_what_order_and_specimen_asked_to_have_back_is_repeated(inp: ResultInput) -> None:
    study = _study()
    assert study.order is not None
    study.order.context = {
        "ORC": {"2": "P-77", "4": "G1", "21": "Ward 3"},
        "OBR": {"4": "MRK^MR^L", "15": "BLD", "16": "77^Order"},
        "SPM": ["SPM|4|S1||BLD^Blood^HL70487", "no segment", "SPM|9|S2||UR"],
    }
    message = build_oru(replace(inp, assessment=FULL), [], Letter(study.patient, study, SENDER))
    rows = _segments(message)
    assert [row[:5] for row in rows if row[0] == "SPM"] == [
        ["SPM", "1", "S1", "", "BLD^Blood^HL70487"],
        ["SPM", "2", "S2", "", "UR"],
    ]
    orc, obr = (next(row for row in rows if row[0] == name) for name in ("ORC", "OBR"))
    assert (orc[2], orc[4], orc[21], obr[15], obr[16]) == ("P-77", "G1", "Ward 3", "BLD", "77^Order")


@pytest.mark.parametrize("level", [VALIDATION_LEVEL.STRICT, VALIDATION_LEVEL.TOLERANT])
def test_hl7apy_finds_nothing_wrong_in_a_message_with_everything(inp: ResultInput, level: int) -> None:
    study = _study()
    assert study.order is not None
    study.order.context = {"PV1": "PV1|1|I|WARD", "OBR": {"4": "MRK^MR^L"}, "SPM": ["SPM|1|||BLD^Blood^HL70487"]}
    letter = Letter(study.patient, study, SENDER, Addressing("RIS", "HOSP", enhanced=True))
    whole = replace(inp, assessment=FULL)
    messages = [
        build_oru(whole, named(build_all(whole)), letter, b"%PDF"),
        build_alert(whole, [("sr", "1.2.3")], letter, Due(letter.addressing, "A1", "A0")),
        build_alert(replace(inp, assessment=Assessment()), [], letter, Due(letter.addressing, "A2", "A1")),
    ]
    for message in messages:
        parsed = parse_message(message.decode(), validation_level=level, find_groups=True)
        assert parsed.validate()
        assert parsed.msh.msh_9.to_er7() == "ORU^R01^ORU_R01"


def test_a_class_in_words_is_text_and_no_code(inp: ResultInput) -> None:
    score = replace(FULL.scores[1], category="anticoagulated, INR not known")
    [row] = _obx(build_oru(replace(inp, assessment=replace(FULL, scores=(score,))), [], LETTER), "LUNG-RADS")
    assert row[5] == "^anticoagulated, INR not known^"
