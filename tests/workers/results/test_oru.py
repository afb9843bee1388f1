"""The HL7 message says the same as the report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from models.contracts import Code
from models.facts import Experiencer
from node.records.schema import Order, Patient, Study
from node.settings import Hl7Section
from tests.workers.results.test_sr import FACTS
from tests.workers.synthetic import Phantom, result_input, single_frames, write
from workers.load import read_series
from workers.results import build_all
from workers.results.common import DISCLAIMER, OrderContext, Predecessor, ReportedFact, ResultInput
from workers.results.oru import assertion, build_oru, control_id, named

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


def _segments(message: bytes) -> list[list[str]]:
    return [line.split("|") for line in message.decode("utf-8").split("\r") if line]


def test_the_message_has_every_finding_with_its_numbers(inp: ResultInput) -> None:
    rows = [row for row in _segments(build_oru(inp, named(build_all(inp)), _study(), SENDER)) if row[0] == "OBX"]
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
    segments = _segments(build_oru(inp, named(built), _study(), SENDER))
    text = "\r".join("|".join(row) for row in segments)
    assert str(built["seg"][0].SOPInstanceUID) in text
    assert str(built["sr"][0].SOPInstanceUID) in text
    obr = next(row for row in segments if row[0] == "OBR")
    assert (obr[2], obr[3], obr[4], obr[18], obr[25]) == ("P-77", "F-88", "MRK^MR^L", "A-1", "P")
    pid = next(row for row in segments if row[0] == "PID")
    assert (pid[3], pid[5]) == ("P-1^^^HOSP", "Müller^Käthe")


def test_a_superseding_report_is_sent_as_a_correction(inp: ResultInput) -> None:
    later = replace(inp, context_digest="55" * 32, predecessor=Predecessor("1.2", "2.25.1", "2.25.2"))
    obr = next(row for row in _segments(build_oru(later, named(build_all(later)), _study(), SENDER)) if row[0] == "OBR")
    assert obr[25] == "C"
    assert control_id(later) != control_id(inp)


def test_a_retry_has_the_same_control_id_and_bytes(inp: ResultInput) -> None:
    assert control_id(inp) == control_id(replace(inp))
    assert control_id(inp).isalnum()
    assert len(control_id(inp)) == 20
    made = [build_oru(inp, named(build_all(inp)), _study(), SENDER) for _ in range(2)]
    assert made[0] == made[1]


def test_facts_of_notes_are_in_the_message_as_the_note_states_them(inp: ResultInput) -> None:
    text = build_oru(inp, named(build_all(inp)), _study(), SENDER).decode("utf-8")
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
    assert build_oru(inp, named(build_all(inp)), _study(), SENDER).startswith(b"MSH|^~\\&|NODE7|HOSPITAL|")
