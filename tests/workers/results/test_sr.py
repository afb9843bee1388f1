"""The report says what the model found, what the notes state, and which is which; it is read back before judging."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from highdicom.sr import MeasurementReport, srread
from pydicom import dcmread
from pydicom.dataset import Dataset

from models.contracts import Code, Prediction
from models.facts import Experiencer
from tests.workers.synthetic import CARD, Phantom, result_input, single_frames, write
from workers.reading.volume.load import read_series
from workers.results import build_all
from workers.results.common import DISCLAIMER, OrderContext, Predecessor, ReportedFact, ResultInput, sr_uid
from workers.results.profile import Profile
from workers.results.sr import build_sr

HYPERTENSION = Code("38341003", "SCT", "Hypertensive disorder")

FACTS = (
    ReportedFact(
        HYPERTENSION,
        document_number="NOTE-1",
        section="history",
        historical=True,
        written_at=dt.datetime(2026, 11, 1, 8, 0, tzinfo=dt.UTC),
        start=12,
        end=24,
    ),
    ReportedFact(Code("25064002", "SCT", "Headache"), "symptom", negated=True, document_number="NOTE-1"),
    ReportedFact(Code("26929004", "SCT", "Alzheimer's disease"), experiencer=Experiencer.FAMILY, uncertain=True),
)


@pytest.fixture
def inp(tmp_path: Path) -> ResultInput:
    """Give the input of a small synthetic series."""
    sources = read_series(write(tmp_path, single_frames(Phantom()))).sources
    return result_input(sources, Phantom().shape)


def _written(ds: Dataset) -> Dataset:
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return dcmread(BytesIO(buffer.getvalue()))


def _report(inp: ResultInput) -> Dataset:
    return _written(build_all(inp)["sr"][0])


def _items(ds: Dataset, name: str) -> Iterator[Dataset]:
    """All items below ``ds`` whose concept name has the meaning ``name``."""
    for item in ds.get("ContentSequence", []):
        if item.get("ConceptNameCodeSequence") and item.ConceptNameCodeSequence[0].CodeMeaning == name:
            yield item
        yield from _items(item, name)


def _value(ds: Dataset, name: str) -> str:
    item = next(_items(ds, name))
    return str(item.ConceptCodeSequence[0].CodeMeaning if "ConceptCodeSequence" in item else item.TextValue)


def test_each_drawn_finding_is_a_group_that_names_its_segment_and_series(inp: ResultInput) -> None:
    built = build_all(inp)
    groups = list(_items(_written(built["sr"][0]), "Measurement Group"))
    assert [group.ContentTemplateSequence[0].TemplateIdentifier for group in groups] == ["1411", "1411", "1501"]
    assert not list(_items(groups[2], "Referenced Segment"))
    for number, group in enumerate(groups[:2], 1):
        reference = next(_items(group, "Referenced Segment")).ReferencedSOPSequence[0]
        assert reference.ReferencedSOPInstanceUID == built["seg"][0].SOPInstanceUID
        assert reference.ReferencedSegmentNumber == number
        assert inp.image.SeriesInstanceUID == next(_items(group, "Source Series for Segmentation")).UID
        assert _value(group, "Algorithm Name") == CARD.name
        assert _value(group, "Algorithm Version") == CARD.version


PROFILES = (
    Profile(),
    Profile(split_segments=True),
    Profile("fractional"),
    Profile("labelmap"),
    Profile("labelmap", split_segments=True),
)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.key or "default")
def test_each_profile_s_report_refers_to_its_own_segments(profile: Profile, inp: ResultInput) -> None:
    built = build_all(inp, profile)
    report = _written(built["sr"][0])
    segs = {str(seg.SOPInstanceUID): seg for seg in built["seg"]}
    for group in list(_items(report, "Measurement Group"))[:2]:
        reference = next(_items(group, "Referenced Segment")).ReferencedSOPSequence[0]
        seg = segs[reference.ReferencedSOPInstanceUID]
        assert reference.ReferencedSOPClassUID == seg.SOPClassUID
        (segment,) = (item for item in seg.SegmentSequence if item.SegmentNumber == reference.ReferencedSegmentNumber)
        assert segment.TrackingUID == next(_items(group, "Tracking Unique Identifier")).UID
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    listed = {
        str(item.ReferencedSOPInstanceUID) for s in study.ReferencedSeriesSequence for item in s.ReferencedSOPSequence
    }
    assert listed == {str(ds.SOPInstanceUID) for ds in inp.sources} | set(segs)
    assert "PertinentOtherEvidenceSequence" not in report


def test_profiles_have_reports_and_series_of_their_own(inp: ResultInput) -> None:
    reports = [build_all(inp, profile)["sr"][0] for profile in PROFILES]
    assert len({report.SOPInstanceUID for report in reports}) == len(PROFILES)
    assert len({report.SeriesInstanceUID for report in reports}) == len(PROFILES)
    assert reports[0].SOPInstanceUID == sr_uid(inp)


def test_segment_and_report_name_a_finding_by_the_same_tracking_identifiers(inp: ResultInput) -> None:
    built = build_all(inp)
    groups = list(_items(_written(built["sr"][0]), "Measurement Group"))
    for group, segment in zip(groups[:2], built["seg"][0].SegmentSequence, strict=True):
        assert segment.TrackingUID == next(_items(group, "Tracking Unique Identifier")).UID
        assert _value(group, "Tracking Identifier") == segment.TrackingID


def test_a_measurement_has_its_unit_and_how_far_its_interval_reaches(inp: ResultInput) -> None:
    volume = next(_items(_report(inp), "Volume"))
    measured = volume.MeasuredValueSequence[0]
    assert float(measured.NumericValue) == 1.5
    assert measured.MeasurementUnitsCodeSequence[0].CodeValue == "ml"
    assert measured.MeasurementUnitsCodeSequence[0].CodingSchemeDesignator == "UCUM"
    for name, distance in (
        ("+, range of upper measurement uncertainty", 0.2),
        ("-, range of lower measurement uncertainty", 0.1),
    ):
        bound = next(_items(volume, name))
        assert float(bound.MeasuredValueSequence[0].NumericValue) == pytest.approx(distance)
        assert bound.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue == "ml"
        assert bound.RelationshipType == "HAS PROPERTIES"
    assert "90% probability" in _value(volume, "Comment")


def test_every_number_of_a_group_has_content_for_viewers_that_look_for_it(inp: ResultInput) -> None:
    groups = list(_items(_report(inp), "Measurement Group"))
    numbers = [item for group in groups for item in group.ContentSequence if item.ValueType == "NUM"]
    assert len(numbers) == 5
    assert all(item.get("ContentSequence") for item in numbers)
    assert _value(numbers[1], "Equivalent Meaning of Concept Name") == "Certainty of Finding"


def test_the_side_is_a_laterality_of_the_finding_site(inp: ResultInput) -> None:
    left, unknown, whole = _items(_report(inp), "Measurement Group")
    assert (_value(whole, "Finding Site"), _value(whole, "Laterality")) == ("Hippocampus", "Left")
    assert _value(left, "Finding Site") == "Hippocampus"
    assert _value(left, "Laterality") == "Left"
    assert _value(unknown, "Finding Site") == "Brain"
    assert not list(_items(unknown, "Laterality"))


def test_the_side_of_something_that_is_no_place_is_said_beside_it(inp: ResultInput) -> None:
    lesion = replace(inp.prediction.findings[2], code=Code("52988006", "SCT", "Lesion"))
    report = _report(replace(inp, prediction=replace(inp.prediction, findings=(lesion,))))
    (group,) = _items(report, "Measurement Group")
    assert not list(_items(group, "Finding Site"))
    assert _value(group, "Laterality") == "Left"


def test_a_finding_that_is_only_said_is_a_qualitative_evaluation(inp: ResultInput) -> None:
    evaluations = next(_items(_report(inp), "Qualitative Evaluations"))
    (finding,) = evaluations.ContentSequence
    assert finding.ConceptCodeSequence[0].CodeMeaning == "Atrophy"
    assert _value(finding, "Laterality") == "Left"
    assert _value(finding, "Comment") == "Perhaps smaller than usual."
    assert float(next(_items(finding, "Certainty of Finding")).MeasuredValueSequence[0].NumericValue) == 40


def test_facts_of_notes_stand_apart_with_their_source_and_assertion(inp: ResultInput) -> None:
    report = _report(replace(inp, note_facts=FACTS))
    clinical = next(_items(report, "Clinical Information"))
    hypertension, headache, alzheimer = clinical.ContentSequence
    assert hypertension.ConceptCodeSequence[0].CodeValue == "38341003"
    assert hypertension.ConceptNameCodeSequence[0].CodeMeaning == "Problem"
    assert headache.ConceptNameCodeSequence[0].CodeMeaning == "Symptom"
    presences = [_value(item, "Presence of property") for item in clinical.ContentSequence]
    assert presences == ["Present", "Absent", "Undetermined"]
    assert [_value(item, "Temporal context") for item in (hypertension, headache)] == ["In the past", "Current"]
    assert _value(hypertension, "Subject relationship context") == "Subject of record"
    assert _value(alzheimer, "Subject relationship context") == "Person in family of subject"
    assert _value(hypertension, "Source") == "NOTE-1"
    assert _value(hypertension, "Comment") == "Clinical note, section history, characters 12 to 24"
    assert str(hypertension.ObservationDateTime) == "20261101080000+0000"
    found = next(_items(report, "Imaging Measurements"))
    assert not list(_items(found, "Problem"))


def test_without_notes_there_is_no_clinical_information(inp: ResultInput) -> None:
    assert not list(_items(_report(inp), "Clinical Information"))


def test_the_observer_is_the_model(inp: ResultInput) -> None:
    report = _report(inp)
    assert _value(report, "Observer Type") == "Device"
    assert _value(report, "Device Observer Name") == CARD.title
    uid = next(_items(report, "Device Observer UID")).UID
    retrained = _report(replace(inp, card=replace(CARD, weights_sha256="cd" * 32)))
    assert uid != next(_items(retrained, "Device Observer UID")).UID


def test_the_report_is_complete_unverified_preliminary_and_says_what_it_is_not(inp: ResultInput) -> None:
    report = _report(inp)
    flags = (report.CompletionFlag, report.VerificationFlag, report.PreliminaryFlag)
    assert flags == ("COMPLETE", "UNVERIFIED", "PRELIMINARY")
    comments = [str(item.TextValue) for item in _items(report, "Comment")]
    assert DISCLAIMER in comments
    assert "The side could not be told from the geometry." in comments


def test_the_image_library_lists_every_source_image(inp: ResultInput) -> None:
    report = _report(inp)
    library = next(_items(report, "Image Library"))
    listed = [str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for item in _items(library, "Source")]
    assert listed == [str(ds.SOPInstanceUID) for ds in inp.sources]
    (evidence,) = report.CurrentRequestedProcedureEvidenceSequence
    assert sum(len(series.ReferencedSOPSequence) for series in evidence.ReferencedSeriesSequence) == len(listed) + 1


def test_the_order_is_referenced_with_its_numbers(inp: ResultInput) -> None:
    order = OrderContext("ACC-1", "P-77", "F-88", Code("MRHEAD", "L", "MR Kopf"), "MR Kopf", "Gedächtnis")
    (request,) = _report(replace(inp, order=order)).ReferencedRequestSequence
    assert request.AccessionNumber == "ACC-1"
    assert request.PlacerOrderNumberImagingServiceRequest == "P-77"
    assert request.FillerOrderNumberImagingServiceRequest == "F-88"
    assert request.RequestedProcedureCodeSequence[0].CodeValue == "MRHEAD"
    assert request.ReasonForTheRequestedProcedure == "Gedächtnis"
    assert request.StudyInstanceUID == inp.image.StudyInstanceUID


def test_texts_of_an_order_that_no_attribute_can_hold_are_cut_and_numbers_are_left_out(inp: ResultInput) -> None:
    order = OrderContext("A" * 17, "P\\1", "F" * 65, Code("1", "L", ""), "MR\\Kopf", "line one\nline two " + "x" * 80)
    (request,) = _report(replace(inp, order=order)).ReferencedRequestSequence
    assert request.AccessionNumber == inp.image.AccessionNumber
    assert not request.PlacerOrderNumberImagingServiceRequest
    assert not request.FillerOrderNumberImagingServiceRequest
    assert request.RequestedProcedureDescription == "MR/Kopf"
    assert request.RequestedProcedureCodeSequence[0].CodeMeaning == "1"
    assert request.ReasonForTheRequestedProcedure.startswith("line one line two xxx")
    assert len(request.ReasonForTheRequestedProcedure) == 64


def test_new_notes_make_a_new_report_that_names_its_predecessor(inp: ResultInput) -> None:
    first = _report(inp)
    before = Predecessor(str(first.SOPClassUID), str(first.SOPInstanceUID), str(first.SeriesInstanceUID))
    second = _report(replace(inp, context_digest="55" * 32, note_facts=FACTS, predecessor=before))
    assert second.SOPInstanceUID != first.SOPInstanceUID
    assert second.SeriesInstanceUID == first.SeriesInstanceUID
    (study,) = second.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert "PredecessorDocumentsSequence" not in first


def test_a_retry_makes_the_same_bytes(inp: ResultInput) -> None:
    full = replace(inp, note_facts=FACTS)
    buffers = [BytesIO(), BytesIO()]
    for buffer in buffers:
        build_all(full)["sr"][0].save_as(buffer, enforce_file_format=True)
    assert buffers[0].getvalue() == buffers[1].getvalue()


def test_a_prediction_that_draws_nothing_makes_a_report_without_segments(inp: ResultInput) -> None:
    built = build_all(replace(inp, prediction=replace(inp.prediction, labels=None)))
    assert list(built) == ["sr"]
    groups = list(_items(_written(built["sr"][0]), "Measurement Group"))
    assert [group.ContentTemplateSequence[0].TemplateIdentifier for group in groups] == ["1501", "1501", "1501"]


def test_a_prediction_without_findings_is_reported_as_such(inp: ResultInput) -> None:
    report = _written(build_sr(replace(inp, prediction=Prediction(()))))
    evaluations = next(_items(report, "Qualitative Evaluations"))
    assert _value(evaluations, "Comment") == "The model reports no finding."
    assert _value(evaluations, "Algorithm Version") == CARD.version


def test_texts_that_the_source_cannot_write_put_the_report_into_utf_8(inp: ResultInput) -> None:
    facts = (ReportedFact(Code("38341003", "SCT", "高血压"), document_number="NOTE-1"),)
    report = _report(replace(inp, note_facts=facts))
    assert report.SpecificCharacterSet == "ISO_IR 192"
    assert str(report.PatientName) == "Müller^Käthe"
    assert next(_items(report, "Problem")).ConceptCodeSequence[0].CodeMeaning == "高血压"


def test_a_source_without_character_set_stays_ascii_unless_a_text_needs_more(tmp_path: Path) -> None:
    def ascii_only(ds: Dataset) -> None:
        del ds.SpecificCharacterSet
        ds.PatientName = "Mueller^Kaethe"

    sources = read_series(write(tmp_path, single_frames(Phantom()), ascii_only)).sources
    plain = result_input(sources, Phantom().shape)
    assert "SpecificCharacterSet" not in _report(plain)
    assert _report(replace(plain, institution="Universitätsklinik")).SpecificCharacterSet == "ISO_IR 192"


def test_a_broken_reference_of_the_source_is_not_inherited(tmp_path: Path) -> None:
    def break_reference(ds: Dataset) -> None:
        study, patient = Dataset(), Dataset()
        study.ReferencedSOPInstanceUID = patient.ReferencedSOPInstanceUID = "1.2.3"
        patient.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.1.1"
        ds.ReferencedStudySequence, ds.ReferencedPatientSequence = [study], [patient]

    sources = read_series(write(tmp_path, single_frames(Phantom()), break_reference)).sources
    for objects in build_all(result_input(sources, Phantom().shape)).values():
        ds = _written(objects[0])
        assert "ReferencedStudySequence" not in ds
        assert "ReferencedPatientSequence" in ds


CHARSETS = (
    "chrArab", "chrFren", "chrFrenMulti", "chrGerm", "chrGreek", "chrH31", "chrH32", "chrHbrw", "chrI2", "chrJapMulti",
    "chrKoreanMulti", "chrRuss", "chrX1", "chrX2",
)  # fmt: skip


@pytest.mark.data
@pytest.mark.parametrize("name", CHARSETS)
@pytest.mark.parametrize("text", ["", "意見 Ω"])
def test_names_in_any_character_set_are_the_same_in_both_results(
    name: str, text: str, real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    patient = dcmread(real_data("dicom-pydicom") / "charset_files" / f"{name}.dcm")

    def admit(ds: Dataset) -> None:
        ds.SpecificCharacterSet = patient.SpecificCharacterSet
        ds.PatientName = patient.PatientName
        ds.StudyDescription = ds.SeriesDescription = ""

    sources = read_series(write(tmp_path, single_frames(Phantom()), admit)).sources
    built = build_all(result_input(sources, Phantom().shape, institution=text))
    for ds in (_written(built["seg"][0]), _written(built["sr"][0])):
        assert _groups(ds) == _groups(patient)
        assert ds.get("InstitutionName", "") == text


def _groups(ds: Dataset) -> list[str]:
    """Components of the name's groups, without trailing empty ones."""
    name = ds.PatientName
    return [str(group).rstrip("^") for group in (name.alphabetic, name.ideographic, name.phonetic)]


def test_highdicom_reads_the_report_as_tid_1500(inp: ResultInput) -> None:
    buffer = BytesIO()
    build_all(replace(inp, note_facts=FACTS))["sr"][0].save_as(buffer, enforce_file_format=True)
    buffer.seek(0)
    content = srread(buffer).content
    assert isinstance(content, MeasurementReport)
    groups = content.get_volumetric_roi_measurement_groups()
    assert len(groups) == 2
    assert [float(group.get_measurements()[0].value) for group in groups] == [1.5, 1.25]
