"""Tracking identifiers follow one thing through the studies of a patient, and never two things."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace

import pytest
from pydicom.dataset import Dataset

from models.contracts import Code, Finding, Measurement, Prediction, Side
from tests.workers.synthetic import CARD, MILLILITRE, VOLUME, Phantom, result_input, single_frames, write
from workers.reading.volume.load import read_series
from workers.results import build_all
from workers.results.common import ResultInput

NODULE = Code("786838002", "SCT", "Pulmonary nodule")


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, ...]:
    """Give the headers of a small series."""
    return tuple(read_series(write(tmp_path_factory.mktemp("series"), single_frames(Phantom()))).sources)


def _other(series: Sequence[Dataset], **attributes: str) -> tuple[Dataset, ...]:
    """Copy a series into another one, of another study if ``attributes`` say so."""
    copies = deepcopy(list(series))
    for number, ds in enumerate(copies):
        ds.SeriesInstanceUID = "1.2.826.0.1.3680043.10.1.9"
        ds.SOPInstanceUID = f"1.2.826.0.1.3680043.10.1.9.{number + 1}"
        for keyword, value in attributes.items():
            setattr(ds, keyword, value)
    return tuple(copies)


def _follow_up(series: Sequence[Dataset], **attributes: str) -> tuple[Dataset, ...]:
    """Copy a series into a later study of the patient."""
    return _other(series, StudyInstanceUID="1.2.826.0.1.3680043.10.1.8", StudyDate="20270301", **attributes)


def _finding(label: str = "nodule", side: Side | None = None, lesion: str = "") -> Finding:
    return Finding(label, NODULE, (Measurement(VOLUME, 1.5, MILLILITRE),), side, lesion=lesion)


def _tracked(sources: Sequence[Dataset], *findings: Finding, version: str = "1.0.0") -> list[tuple[str, str]]:
    """Tracking Identifier and UID of each measurement group in the report of ``findings``."""
    inp = result_input(sources, Phantom().shape, prediction=Prediction(findings), card=replace(CARD, version=version))
    (report,) = build_all(inp)["sr"]
    measurements = next(item for item in report.ContentSequence if _code(item) == "126010")
    return [(_value(group, "112039"), _value(group, "112040")) for group in measurements.ContentSequence]


def _code(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeValue)


def _value(group: Dataset, code: str) -> str:
    item = next(item for item in group.ContentSequence if _code(item) == code)
    return str(item.get("TextValue") or item.get("UID"))


@pytest.mark.parametrize(
    "finding", [_finding(side=Side.LEFT), _finding(lesion="N1"), _finding(side=Side.RIGHT, lesion="N2")]
)
def test_the_same_thing_is_the_same_in_a_later_study(series: tuple[Dataset, ...], finding: Finding) -> None:
    assert _tracked(series, finding) == _tracked(_follow_up(series), finding)


def test_a_new_version_of_the_model_goes_on_tracking(series: tuple[Dataset, ...]) -> None:
    finding = _finding(side=Side.LEFT)
    assert _tracked(series, finding) == _tracked(_follow_up(series), finding, version="2.0.0")


def test_the_other_side_and_another_lesion_are_other_things(series: tuple[Dataset, ...]) -> None:
    findings = [_finding(side=side, lesion=lesion) for side in (None, *Side) for lesion in ("", "N1", "N2")]
    tracked = _tracked(series, *findings)
    assert len({identifier for identifier, _ in tracked}) == len(findings)
    assert len({uid for _, uid in tracked}) == len(findings)


@pytest.mark.parametrize("attributes", [{"PatientID": "P-2"}, {"IssuerOfPatientID": "OTHER"}, {"PatientID": ""}])
def test_another_patient_s_is_another_thing(series: tuple[Dataset, ...], attributes: dict[str, str]) -> None:
    finding = _finding(side=Side.LEFT, lesion="N1")
    here, there = _tracked(series, finding), _tracked(_follow_up(series, **attributes), finding)
    assert here[0][1] != there[0][1]


def test_without_side_and_lesion_nothing_is_followed_from_series_to_series(series: tuple[Dataset, ...]) -> None:
    here, there = _tracked(series, _finding()), _tracked(_other(series), _finding())
    assert here[0][1] != there[0][1]
    assert here == _tracked(series, _finding(), version="2.0.0")


@pytest.mark.parametrize("side", [None, Side.LEFT])
@pytest.mark.parametrize("patient", ["P-1", ""])
def test_things_that_the_model_does_not_tell_apart_are_not_taken_for_one(
    series: tuple[Dataset, ...], side: Side | None, patient: str
) -> None:
    sources = _other(series, PatientID=patient)
    tracked = _tracked(sources, _finding(side=side), _finding(side=side))
    assert len({identifier for identifier, _ in tracked}) == 2
    assert len({uid for _, uid in tracked}) == 2
    later_sources = _follow_up(series, PatientID=patient, SeriesInstanceUID="1.2.3")
    later = _tracked(later_sources, _finding(side=side), _finding(side=side))
    assert not {uid for _, uid in tracked} & {uid for _, uid in later}


def test_both_sides_are_told_apart_where_the_patient_has_no_identifier(series: tuple[Dataset, ...]) -> None:
    sources = _other(series, PatientID="")
    left, right = _tracked(sources, _finding(side=Side.LEFT), _finding(side=Side.RIGHT))
    assert left[1] != right[1]


def test_segments_of_both_sides_are_tracked_with_their_findings(series: tuple[Dataset, ...]) -> None:
    inp: ResultInput = result_input(series, Phantom().shape)
    left, right, *_ = inp.prediction.findings
    findings = (replace(left, label="part", side=Side.LEFT), replace(right, label="part", side=Side.RIGHT))
    inp = replace(inp, prediction=replace(inp.prediction, findings=findings))
    built = build_all(inp)
    segments = [(str(item.TrackingID), str(item.TrackingUID)) for item in built["seg"][0].SegmentSequence]
    measurements = next(item for item in built["sr"][0].ContentSequence if _code(item) == "126010")
    groups = [(_value(group, "112039"), _value(group, "112040")) for group in measurements.ContentSequence]
    assert segments == groups
    assert len(set(segments)) == 2
