"""The ORU^R01 that goes out: read back by our own reader and by hl7apy."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message
from hypothesis import given
from hypothesis import strategies as st

from node.hl7.message import Hl7Message, Segment, parse
from node.hl7.outbound import (
    Concept,
    OruFact,
    OruObservation,
    OruPatient,
    OruReport,
    Reference,
    build_oru,
)
from node.hl7.writing import decimal, timestamp, xpn

ML = Concept("mL", "UCUM", "milliliter")
VOLUME = Concept("118565006", "SCT", "Volume")
AT = dt.datetime(2026, 1, 5, 8, 30, tzinfo=dt.UTC)
REPORT = OruReport(
    patient=OruPatient("4711", "HOSP", "Doe^Jane^Q^Dr^Jr", "19700102", "F"),
    study_uid="1.2.840.99",
    observed_at=AT,
    model="hippocampus",
    model_version="1.0.0",
    disclaimer="Not a medical device.",
    accession_number="A1",
    observations=(
        OruObservation(VOLUME, "NM", 1.4567891, ML, "left", "L", "2.0-3.5"),
        OruObservation(
            Concept("F", "99OVERREAD", "Finding"), "CWE", Concept("45504001", "SCT", "Atrophy"), sub_id="left"
        ),
    ),
    facts=(
        OruFact(Concept("386807006", "SCT", "Memory impairment"), "symptom", "present", "D1^EHR", 17, 28, "history"),
        OruFact(Concept("128613002", "SCT", "Seizure disorder"), "problem", "negated", "D1^EHR", 200, 208),
    ),
    lines=("Left hippocampus: 1.46 ml | below range & asymmetric.",),
    references=(Reference("SEG", "1.2.3.4"), Reference("SR", "1.2.3.5")),
    receiving_application="RIS",
    receiving_facility="HOSP",
)
CONTEXT = {
    "ORC": {"2": "P7^RIS", "3": "A1^RIS", "12": "77^Order^Olga"},
    "OBR": {"2": "P7^RIS", "3": "A1^RIS", "4": "24590-2^MR Brain^LN", "16": "77^Order^Olga", "18": "A1"},
    "PV1": "PV1|1|O|RAD^^^HOSPITAL",
}


def built(report: OruReport = REPORT) -> Hl7Message:
    return parse(build_oru(report, "CTRL1", AT))


def obx_of(message: Hl7Message, identifier: str) -> list[Segment]:
    return [obx for obx in message.all("OBX") if obx.get(3) == identifier]


@pytest.mark.parametrize("report", [REPORT, replace(REPORT, context=CONTEXT), replace(REPORT, facts=(), lines=())])
@pytest.mark.parametrize("level", [VALIDATION_LEVEL.STRICT, VALIDATION_LEVEL.TOLERANT])
def test_hl7apy_finds_nothing_wrong(report: OruReport, level: int) -> None:
    text = build_oru(report, "CTRL1", AT).decode()
    message = parse_message(text, validation_level=level, find_groups=True)
    assert message.validate()
    assert message.msh.msh_9.to_er7() == "ORU^R01^ORU_R01"
    assert message.msh.msh_12.to_er7() == "2.5.1"
    groups = message.oru_r01_patient_result.oru_r01_order_observation
    assert len(groups) == (2 if report.facts else 1)


def test_the_header_says_who_what_and_in_which_set() -> None:
    message = built()
    assert (message.header.type, message.header.control_id, message.header.charset) == (
        "ORU^R01",
        "CTRL1",
        "UNICODE UTF-8",
    )
    msh = message.segments[0]
    assert [msh.raw(n) for n in (3, 5, 6, 7)] == ["OVERREAD", "RIS", "HOSP", "20260105083000+0000"]


def test_the_patient_is_said() -> None:
    pid = built().require("PID")
    assert (pid.get(3), pid.get(3, 4), pid.raw(5)) == ("4711", "HOSP", "Doe^Jane^Q^Jr^Dr")
    assert (pid.get(7), pid.get(8)) == ("19700102", "F")


def test_the_study_is_named_as_ihe_does() -> None:
    (obx,) = obx_of(built(), "113014")
    assert (obx.get(2), obx.get(5), obx.get(11)) == ("ST", "1.2.840.99", "O")


def test_a_value_has_its_unit_flag_range_and_status() -> None:
    (obx,) = obx_of(built(), "118565006")
    assert (obx.get(2), obx.get(5), obx.raw(6)) == ("NM", "1.45679", "mL^milliliter^UCUM")
    assert (obx.get(4), obx.get(7), obx.get(8), obx.get(11)) == ("left", "2.0-3.5", "L", "P")


def test_references_model_disclaimer_and_text_are_there() -> None:
    message = built()
    assert obx_of(message, "SEG-UID")[0].get(5) == "1.2.3.4"
    assert obx_of(message, "SR-UID")[0].get(5) == "1.2.3.5"
    assert obx_of(message, "MODEL")[0].get(5) == "hippocampus 1.0.0"
    assert obx_of(message, "DISCLAIMER")[0].get(5) == "Not a medical device."
    assert obx_of(message, "59776-5")[0].get(5) == REPORT.lines[0]


def test_facts_of_notes_are_a_group_of_their_own_with_their_source() -> None:
    message = built()
    names = [segment.name for segment in message.segments]
    second = message.segments[len(names) - 1 - names[::-1].index("OBR") :]
    assert second[0].get(4) == "NOTE-FACTS"
    first_fact = {obx.get(3): obx.get(5) for obx in second[1:] if obx.get(4) == "fact1"}
    assert first_fact == {
        "NOTE-SYMPTOM": "386807006",
        "NOTE-ASSERTION": "present",
        "NOTE-DOCUMENT": "D1^EHR",
        "NOTE-SPAN": "17-28",
        "NOTE-SECTION": "history",
    }
    assert [obx.get(5) for obx in second if obx.get(3) == "NOTE-ASSERTION"] == ["present", "negated"]


def test_what_the_order_said_is_copied() -> None:
    message = built(replace(REPORT, context=CONTEXT))
    orc, obr = message.require("ORC"), message.require("OBR")
    assert (orc.raw(1), orc.raw(2), orc.raw(3), orc.raw(12)) == ("RE", "P7^RIS", "A1^RIS", "77^Order^Olga")
    assert (obr.raw(2), obr.raw(3), obr.raw(4), obr.raw(16)) == (
        "P7^RIS",
        "A1^RIS",
        "24590-2^MR Brain^LN",
        "77^Order^Olga",
    )
    assert (obr.get(18), obr.get(25)) == ("A1", "P")
    assert message.require("PV1").get(3) == "RAD"


def test_without_an_order_the_accession_number_stands_for_it() -> None:
    message = built()
    assert message.first("PV1") is None
    obr = message.require("OBR")
    assert (obr.raw(2), obr.raw(3), obr.get(4), obr.get(18)) == ("", "A1", "AI-IMAGE-ANALYSIS", "A1")


def test_a_correction_says_so() -> None:
    message = built(replace(REPORT, status="C"))
    assert {obr.get(25) for obr in message.all("OBR")} == {"C"}
    assert obx_of(message, "118565006")[0].get(11) == "C"


@given(text=st.text(), name=st.text(), number=st.text(alphabet="0123^|&~\\\r\n A"))
def test_hostile_texts_break_no_segment(text: str, name: str, number: str) -> None:
    safe = "".join(c for c in text if not 0xD800 <= ord(c) < 0xE000)
    person = "".join(c for c in name if not 0xD800 <= ord(c) < 0xE000)
    report = replace(
        REPORT, patient=OruPatient(number, number, person), lines=(safe,), disclaimer=safe, accession_number=number
    )
    message = parse(build_oru(report, "CTRL1", AT))
    assert [s.name for s in message.segments] == [s.name for s in built().segments]


def test_the_same_report_is_the_same_message() -> None:
    assert build_oru(REPORT, "CTRL1", AT) == build_oru(REPORT, "CTRL1", AT)


@pytest.mark.parametrize("control_id", ["", "x" * 21, "a|b", "a\rb"])
def test_a_control_id_that_does_not_fit_is_refused(control_id: str) -> None:
    with pytest.raises(ValueError, match="control id"):
        build_oru(REPORT, control_id, AT)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        decimal(value)


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e30, max_value=1e30))
def test_a_number_is_digits_and_comes_back(value: float) -> None:
    text = decimal(value)
    assert set(text) <= set("-.0123456789")
    assert float(text) == pytest.approx(value, rel=1e-5)
    assert Decimal(text) == Decimal(text)


@pytest.mark.parametrize(("value", "text"), [(0.0, "0"), (1.0, "1"), (1.5e-7, "0.00000015"), (1e20, "1" + "0" * 20)])
def test_numbers_have_no_exponent(value: float, text: str) -> None:
    assert decimal(value) == text


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Doe^Jane", "Doe^Jane"),
        ("Doe^Jane^Q^Dr^Jr", "Doe^Jane^Q^Jr^Dr"),
        ("Yamada^Tarou=山田^太郎", "Yamada^Tarou^^^^^^A~山田^太郎^^^^^^I"),
        ("O|Neil^A&B", "O\\F\\Neil^A\\T\\B"),
        ("", ""),
        ("==", ""),
    ],
)
def test_a_dicom_name_becomes_an_hl7_name(name: str, written: str) -> None:
    assert xpn(name) == written


def test_times_carry_their_offset() -> None:
    zone = dt.timezone(dt.timedelta(hours=5, minutes=45))
    assert timestamp(dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=zone)) == "20260102030405+0545"
    with pytest.raises(ValueError, match="aware"):
        timestamp(dt.datetime(2026, 1, 2))
