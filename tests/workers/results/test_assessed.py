"""What images and record say together stands apart in the report, and is read back before judging."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from highdicom.sr import srread
from pydicom import dcmread
from pydicom.dataset import Dataset

from models.facts import Quantity
from models.fusion.contracts import Assessment, Evidence, Link, Relation, Source
from tests.workers.results.assessments import FULL
from tests.workers.results.test_sr import FACTS
from tests.workers.synthetic import Phantom, prediction_for, result_input, single_frames, write
from workers.reading.volume.load import read_series
from workers.results import assessed, build_all, telling
from workers.results.common import ResultInput


@pytest.fixture
def inp(tmp_path: Path) -> ResultInput:
    sources = read_series(write(tmp_path, single_frames(Phantom()))).sources
    return result_input(sources, Phantom().shape, note_facts=FACTS, assessment=FULL)


def report(inp: ResultInput) -> Dataset:
    buffer = BytesIO()
    build_all(inp)["sr"][0].save_as(buffer, enforce_file_format=True)
    assert srread(BytesIO(buffer.getvalue())), "highdicom reads it"
    return dcmread(BytesIO(buffer.getvalue()))


def name(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeValue)


def containers(ds: Dataset) -> dict[str, Dataset]:
    return {name(item): item for item in ds.ContentSequence if item.ValueType == "CONTAINER"}


def below(item: Dataset, code: str) -> Iterator[Dataset]:
    return (child for child in item.get("ContentSequence", ()) if name(child) == code)


def test_findings_facts_and_assessment_are_three_containers(inp: ResultInput) -> None:
    found = containers(report(inp))
    assert list(found)[-3:] == ["C0034375", "55752-0", "ASSESSMENT"]
    assert "Brock" not in str(found["126010"])
    assert "Brock" not in str(found["55752-0"])


def test_a_score_is_a_number_with_its_unit_and_all_that_it_rests_on(inp: ResultInput) -> None:
    [item] = below(containers(report(inp))["ASSESSMENT"], "BROCK")
    assert item.ValueType == "NUM"
    [value] = item.MeasuredValueSequence
    assert (float(value.NumericValue), value.MeasurementUnitsCodeSequence[0].CodeValue) == (12.3457, "%")
    said = {name(child): str(child.TextValue) for child in item.ContentSequence}
    assert said["SCORE-MISSING"] == "family history"
    assert said["SCORE-RANGE"] == "family history: between 9 and 14.5"
    assert said["SCORE-SOURCE"].startswith("McWilliams")
    assert said["111005"] == "high"
    inputs = [str(child.TextValue) for child in below(item, "SCORE-INPUT")]
    assert inputs == [
        "age 76 a (image: hippocampus 1.5 ml [hippocampus-anterior])",
        "emphysema no (assumed, nobody stated it)",
    ]
    assert {child.RelationshipType for child in item.ContentSequence} == {"HAS PROPERTIES"}


def test_a_score_without_a_number_is_its_class_or_says_that_it_was_not_computed(inp: ResultInput) -> None:
    container = containers(report(inp))["ASSESSMENT"]
    assert [str(item.TextValue) for item in below(container, "LUNG-RADS")] == ["4A"]
    assert [str(item.TextValue) for item in below(container, "CURB-65")] == ["not computed"]
    [points] = below(container, "CHA2DS2-VASC")
    assert points.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue == "{score}"


def test_links_and_contradictions_are_inferred_from_their_evidence(inp: ResultInput) -> None:
    container = containers(report(inp))["ASSESSMENT"]
    [link] = below(container, "SUPPORTED-BY")
    assert str(link.TextValue) == (
        "note: memory loss (history) [2026-11-01, NOTE-1:12-24] supports Hippocampus, anterior part, left "
        "(weight 0.8): Memory complaints go with a small hippocampus."
    )
    [source] = link.ContentSequence
    assert (source.RelationshipType, name(source)) == ("INFERRED FROM", "EVIDENCE")
    [conflict] = below(container, "CONFLICT")
    assert len(conflict.ContentSequence) == 2


def test_triage_follow_up_and_what_was_missing_are_said(inp: ResultInput) -> None:
    container = containers(report(inp))["ASSESSMENT"]
    [triage] = below(container, "TRIAGE")
    assert str(triage.TextValue) == "ASAP"
    assert [str(item.TextValue) for item in triage.ContentSequence] == [
        "memory loss with a small hippocampus",
        "Atrophy, left",
    ]
    assert [str(item.TextValue) for item in below(container, "111053")] == list(FULL.follow_up)
    assert [str(item.TextValue) for item in below(container, "MISSING")] == ["no creatinine"]
    assert [str(item.TextValue) for item in below(container, "121077")] == list(FULL.summary)


def test_what_the_images_character_set_cannot_write_makes_the_report_unicode(inp: ResultInput) -> None:
    made = report(replace(inp, assessment=replace(FULL, summary=("记忆力减退",))))
    assert made.SpecificCharacterSet == "ISO_IR 192"
    assert [str(item.TextValue) for item in below(containers(made)["ASSESSMENT"], "121077")] == ["记忆力减退"]
    assert str(made.PatientName) == "Müller^Käthe"


def test_quantity_side_and_time_of_a_fact_are_properties_of_it(inp: ResultInput) -> None:
    fact = replace(FACTS[0], quantity=Quantity(6.0, "mm", 8.0, "<"), side="left", when="2024-03")
    [item] = containers(report(replace(inp, note_facts=(fact,))))["55752-0"].ContentSequence
    said = {name(child): str(child.TextValue) for child in item.ContentSequence if child.ValueType == "TEXT"}
    assert (said["NOTE-QUANTITY"], said["NOTE-SIDE"], said["NOTE-WHEN"]) == ("<6 to 8 mm", "left", "2024-03")


def test_an_empty_assessment_still_gives_its_priority(inp: ResultInput) -> None:
    container = containers(report(replace(inp, assessment=Assessment())))["ASSESSMENT"]
    assert [str(item.TextValue) for item in container.ContentSequence] == ["ROUTINE"]


def test_a_statement_about_a_finding_that_is_none_is_about_the_patient() -> None:
    link = Link(99, Relation.SUPPORTS, Evidence(Source.ORDER, "cough"), 0.5, "why")
    assert "supports the patient" in telling.link(prediction_for((6, 12, 10)), link)


def test_a_report_lists_so_much_evidence_and_no_more(inp: ResultInput) -> None:
    many = replace(FULL, links=FULL.links[:1] * 500, missing=("x",) * 500)
    container = assessed.assessment(inp.prediction, many)
    names = [name(item) for item in container.ContentSequence]
    assert names.count("SUPPORTED-BY") == telling.MAX_LINKS
    assert names.count("MISSING") == telling.MAX_SENTENCES


def test_a_number_that_is_none_is_not_written(inp: ResultInput) -> None:
    broken = replace(FULL, scores=(replace(FULL.scores[0], value=float("nan")),))
    [item] = below(containers(report(replace(inp, assessment=broken)))["ASSESSMENT"], "BROCK")
    assert item.ValueType == "TEXT"
