"""Results of radiographs, waveforms and the record: what stands in them, and what is not said of what was not found."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import Dataset, dcmread

from models.codes import NO_UNITS, PROBABILITY
from models.contracts import Code, Measurement, Trace
from models.fusion.assess import assess
from models.fusion.contracts import Case
from node.records.schema import Study
from node.settings import Hl7Section
from tests.workers.results.kinds import (
    COLUMNS,
    CONTRIBUTIONS,
    INPUTS,
    ROWS,
    ecg_object,
    radiograph_input,
    radiograph_object,
    record_input,
    sound_input,
    waveform_input,
)
from tests.workers.synthetic import Phantom, multi_frame
from workers.results import KINDS, build_all, view, wording
from workers.results.air.checklist import check
from workers.results.air.rule import code, descendants, named
from workers.results.common import ResultInput, image_uid
from workers.results.messages.oru import Letter, build_oru
from workers.results.pdf.text import sheet
from workers.results.profile import Profile
from workers.results.sr import build_sr
from workers.results.stretches import stretches
from workers.results.validate import errors, validate, validate_together

ABSENT = ("272519000", "SCT")
PNEUMONIA = ("233604007", "SCT")


def read_back(ds: Dataset) -> Dataset:
    """What a reader of the object sees."""
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    buffer.seek(0)
    return dcmread(buffer)


def report(inp: ResultInput) -> Dataset:
    return read_back(build_sr(inp))


def concepts(ds: Dataset, value: tuple[str, str]) -> list[Dataset]:
    return [item for item in descendants(ds) if code(item, "ConceptNameCodeSequence") == value]


def test_a_finding_that_is_there_has_a_measurement_group_with_its_probability_and_interval() -> None:
    [group] = named(descendants(report(radiograph_input())), "125007")
    [finding] = named(group.ContentSequence, "121071")
    [probability] = named(group.ContentSequence, "122157")
    assert code(finding, "ConceptCodeSequence") == PNEUMONIA
    assert float(probability.MeasuredValueSequence[0].NumericValue) == pytest.approx(0.87)
    assert len(probability.ContentSequence) == 3  # both ends of the interval, and of which probability it is


def test_what_was_not_found_is_a_question_with_the_answer_absent_and_nowhere_a_finding() -> None:
    sr = report(radiograph_input(0.03))
    [answer] = concepts(sr, PNEUMONIA)
    assert code(answer, "ConceptCodeSequence") == ABSENT
    assert float(named(answer.ContentSequence, "122157")[0].MeasuredValueSequence[0].NumericValue) == 0.03
    assert named(descendants(sr), "121071", "125007", "111012") == []


def test_a_radiograph_is_in_the_image_library_without_a_frame_of_reference() -> None:
    sr = report(radiograph_input())
    [library] = named(sr.ContentSequence, "111028")
    [image] = [item for item in descendants(library) if item.ValueType == "IMAGE"]
    assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.826.0.1.3680043.10.2.1"
    assert named(descendants(sr), "112227") == []


def test_an_ecg_is_referred_to_with_the_stretches_that_mattered_most() -> None:
    sr = report(waveform_input())
    times = [item for item in descendants(sr) if item.ValueType == "TCOORD"]
    assert {item.TemporalRangeType for item in times} == {"MULTISEGMENT"}
    low, high = times[0].ReferencedTimeOffsets[:2]
    assert low < 2.5 < high
    assert all(item.ContentSequence[0].ValueType == "WAVEFORM" for item in times)
    waveforms = [item for item in descendants(sr) if item.ValueType == "WAVEFORM"]
    listed = sr.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert {item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in waveforms} == {
        listed[0].ReferencedSOPInstanceUID
    }


def test_values_of_the_record_stand_in_the_report_with_what_each_did() -> None:
    [values] = concepts(report(record_input()), ("RECORD-VALUES", "99OVERREAD"))
    lactate, missing = values.ContentSequence[0], values.ContentSequence[2]
    assert code(lactate, "ConceptNameCodeSequence") == ("2524-7", "LN")
    assert float(lactate.MeasuredValueSequence[0].NumericValue) == 5.1
    assert float(lactate.ContentSequence[0].MeasuredValueSequence[0].NumericValue) == 0.92
    assert (missing.ValueType, missing.TextValue) == ("TEXT", "not in the record")


@pytest.mark.parametrize("name", INPUTS)
def test_results_of_every_kind_pass_the_checklist_and_dciodvfy(name: str, peer: object, tmp_path: Path) -> None:
    inp = INPUTS[name]()
    peer("dciodvfy")  # type: ignore[operator]
    for kind, objects in build_all(inp, kinds=KINDS[inp.kind]).items():
        for ds in objects:
            path = tmp_path / f"{kind}.dcm"
            ds.save_as(path, enforce_file_format=True)
            assert check(dcmread(path)) == []
            if kind != "sr":
                assert errors(validate(path)) == []


@pytest.mark.parametrize("name", ["radiograph, absent", "ecg", "record"])
def test_reports_follow_their_templates(name: str, peer: object, tmp_path: Path) -> None:
    peer("java")  # type: ignore[operator]
    path = tmp_path / "sr.dcm"
    build_sr(INPUTS[name]()).save_as(path, enforce_file_format=True)
    assert errors(validate(path)) == []


@pytest.mark.parametrize("form", [Profile(), Profile("fractional"), Profile("labelmap"), Profile(split_segments=True)])
def test_a_segmentation_of_a_radiograph_is_of_its_pixels(form: Profile) -> None:
    inp = radiograph_input(labels=True)
    [ds] = build_all(inp, form, ("seg",))["seg"]
    seg = hd.seg.Segmentation.from_dataset(read_back(ds), copy=False)
    assert "FrameOfReferenceUID" not in seg
    assert (seg.Rows, seg.Columns) == (ROWS, COLUMNS)
    pixels = seg.pixel_array.reshape(-1, ROWS, COLUMNS)[0]
    assert inp.prediction.labels is not None
    np.testing.assert_array_equal(pixels > 0, inp.prediction.labels[0] == 1)
    groups = seg.PerFrameFunctionalGroupsSequence[0]
    source = groups.DerivationImageSequence[0].SourceImageSequence[0]
    assert source.ReferencedSOPInstanceUID == inp.image.SOPInstanceUID


def test_labels_of_another_size_are_refused() -> None:
    inp = radiograph_input(labels=True)
    assert inp.prediction.labels is not None
    wrong = replace(inp, prediction=replace(inp.prediction, labels=inp.prediction.labels[:, 1:]))
    with pytest.raises(ValueError, match="do not fit an image"):
        build_all(wrong, kinds=("seg",))


def observed(inp: ResultInput) -> Iterator[tuple[str, str]]:
    """Identifier and value of each OBX of the message."""
    letter = Letter(None, Study(uid="1.2", accession_number="A-1"), Hl7Section())
    for segment in build_oru(inp, [], letter).decode().split("\r"):
        fields = segment.split("|")
        if fields[0] == "OBX":
            yield fields[3].partition("^")[0], fields[5]


def test_a_message_says_absent_in_answer_to_the_question_and_names_no_finding() -> None:
    found = list(observed(radiograph_input(0.03)))
    assert ("233604007", "272519000^Absent^SCT") in found
    assert "121071" not in dict(found)
    assert "111012" not in dict(found)
    assert dict(observed(radiograph_input()))["121071"].startswith("233604007^Pneumonia")


def test_a_message_has_the_records_values() -> None:
    found = dict(observed(record_input()))
    assert float(found["2524-7"]) == 5.1
    assert found["2019-8"] == "not in the record"


def test_a_page_tells_what_was_not_found_and_where_the_threshold_lies() -> None:
    said = sheet(record_input(0.05), record_input().image)
    findings = next(section for section in said.sections if section.title == "What the model reports")
    assert findings.table is not None
    assert findings.table.rows[0][0][0] == "Death in hospital: looked for, not found"
    model = next(section for section in said.sections if section.title == "Model")
    assert ("Operating point", "reported as present from a probability of 0.400") in model.pairs
    values = next(section for section in said.sections if section.title == "Values of the record")
    assert values.table is not None
    assert len(values.table.rows) == len(CONTRIBUTIONS)


def test_other_values_of_the_record_make_another_capture() -> None:
    inp = record_input()
    other = replace(inp.prediction, contributions=(replace(CONTRIBUTIONS[0], value=1.2), *CONTRIBUTIONS[1:]))
    assert image_uid(replace(inp, prediction=other), "sc") != image_uid(inp, "sc")
    assert image_uid(record_input(), "sc") == image_uid(inp, "sc")


def test_an_absent_finding_concludes_nothing_and_is_named() -> None:
    finding = radiograph_input(0.03).prediction.findings[0]
    made = assess(Case(findings=(finding,), model="m", modality="CR", body_part="CHEST"))
    assert (made.links, made.triage.critical_findings) == ((), ())
    assert "Looked for in the input and not found: Pneumonia." in made.summary


def test_stretches_are_those_above_half_of_the_highest_in_the_order_of_time() -> None:
    found = stretches(waveform_input().prediction)
    assert [(item.start_s + item.end_s) / 2 for item in found] == pytest.approx([2.5, 7.5], abs=0.11)


def test_no_importance_has_no_stretch() -> None:
    flat = Trace("t", "t", None, 0.0, 0.1, np.zeros(20, np.float32))
    nothing = Trace("t", "t", None, 0.0, 0.1, np.full(20, np.nan, np.float32))
    for trace in (flat, nothing, replace(flat, step_s=0.0)):
        assert stretches(replace(waveform_input().prediction, traces=(trace,))) == ()


def test_the_page_gets_pictures_only_of_what_has_pixels_or_samples() -> None:
    assert set(view.files(radiograph_input(labels=True))) == {
        ".view.json", ".image.png", ".over-0.png", ".over-1.png"
    }  # fmt: skip
    assert set(view.files(sound_input())) == {".view.json", ".image.png"}
    assert set(view.files(record_input())) == {".view.json"}


def test_images_and_results_agree_on_patient_study_and_equipment(peer: object, tmp_path: Path) -> None:
    peer("dcentvfy")  # type: ignore[operator]
    for number, (source, inp) in enumerate(
        ((radiograph_object(), radiograph_input()), (ecg_object(), waveform_input()))
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        objects = [source, *(ds for made in build_all(inp, kinds=KINDS[inp.kind]).values() for ds in made)]
        paths = [folder / f"{at}.dcm" for at in range(len(objects))]
        for ds, path in zip(objects, paths, strict=True):
            ds.save_as(path, enforce_file_format=True)
        assert errors(validate_together(paths)) == []


def test_a_segmentation_that_is_of_no_image_and_lies_nowhere_breaks_the_checklist() -> None:
    [seg] = build_all(radiograph_input(labels=True), kinds=("seg",))["seg"]
    del seg.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence
    assert "IMG-1" in {broken.rule.id for broken in check(seg)}


def test_a_report_that_lists_no_image_breaks_the_checklist_unless_it_is_of_none() -> None:
    sr = build_sr(radiograph_input())
    sr.ContentSequence = [item for item in sr.ContentSequence if not named([item], "111028")]
    assert "SR-13" in {broken.rule.id for broken in check(sr)}
    assert check(build_sr(record_input())) == check(build_sr(waveform_input())) == []


def test_a_model_of_the_record_runs_on_a_multi_frame_series_too() -> None:
    phantom = Phantom()
    inp = replace(record_input(), sources=(multi_frame(phantom, range(phantom.shape[0])),))
    built = build_all(inp, kinds=KINDS[inp.kind])
    assert sorted(built) == ["pdf", "sc", "sr"]
    assert [check(ds) for objects in built.values() for ds in objects] == [[], [], []]


def test_a_finding_has_its_own_operating_point_and_near_it_is_not_called_not_found() -> None:
    inp = radiograph_input(0.79)
    finding = replace(inp.prediction.findings[0], present=False)
    given = replace(inp.prediction, findings=(finding,), scores={"threshold.pneumonia": 0.9})
    assert wording.operating_point(given, inp.card, "pneumonia") == 0.9
    assert next(wording.sentences(given, finding, inp.card)) == "Pneumonia: below the operating point of 90 %"
    assert wording.operating_points(given, inp.card) == "reported as present from a probability of 0.900"
    far = replace(given, scores={"threshold": 0.9, "threshold.pneumonia": 0.95})
    assert wording.operating_point(far, inp.card, "other") == 0.9


def test_limits_without_a_share_of_certainty_are_a_range() -> None:
    loose = Measurement(PROBABILITY, 0.0004, NO_UNITS, 0.0001, 0.1, None, "range over three networks")
    assert wording.interval(loose).endswith("0.100 (range over three networks)")
    assert wording.quantity(loose) == "below 0.001"
    assert wording.interval(replace(loose, confidence=0.95)).endswith("(95 %)")
    assert wording.unit(Code("{H.B.}/min", "UCUM", "BPM")) == "/min"
