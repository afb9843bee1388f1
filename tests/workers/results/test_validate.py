"""Independent validators find no error in what the builders make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from tests.workers.results.test_sr import FACTS
from tests.workers.synthetic import ORIENTATIONS, Phantom, multi_frame, result_input, single_frames, write
from workers.load import read_series
from workers.results import build_all
from workers.results.common import OrderContext, Predecessor, ResultInput
from workers.results.validate import DCIODVFY, PIXELMED_JAR, SR_VALIDATOR, TOLERATED, errors, validate

pytestmark = pytest.mark.peer


@pytest.fixture(autouse=True)
def _validators(peer: Callable[[str], str]) -> None:
    peer("dciodvfy")
    peer("java")
    if not PIXELMED_JAR.exists():
        peer("pixelmed.jar")


def _full(inp: ResultInput) -> ResultInput:
    """Everything that a report can hold."""
    predecessor = Predecessor("1.2.840.10008.5.1.4.1.1.88.34", "2.25.1", "2.25.2")
    order = OrderContext("ACC-1", "P-1", "F-1", None, "MR head", "memory loss")
    return replace(inp, note_facts=FACTS, order=order, predecessor=predecessor, institution="Klinik")


def _judge(inp: ResultInput, folder: Path, *, sr: bool = True) -> list[str]:
    """Build, write, validate; return the errors."""
    found = []
    for kind, ds in build_all(inp).items():
        if kind == "sr" and not sr:
            continue
        path = folder / f"{kind}.dcm"
        ds.save_as(path, enforce_file_format=True)
        found += [f"{kind}: {issue.text}" for issue in errors(validate(path))]
    return found


@pytest.mark.data
@pytest.mark.parametrize("series", ["Study1/13_HCropVolume", "Study2/14_HCropVolume"])
def test_no_error_in_the_results_of_a_real_series(
    series: str, real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    loaded = read_series(sorted((real_data("dicom-mr-brain-btp") / series).iterdir()))
    assert _judge(_full(result_input(loaded.sources, loaded.volume.array.shape)), tmp_path) == []


def test_no_error_in_the_results_of_a_synthetic_series(tmp_path: Path) -> None:
    phantom = Phantom(cosines=ORIENTATIONS["oblique"])
    sources = read_series(write(tmp_path / "in", single_frames(phantom))).sources
    assert _judge(_full(result_input(sources, phantom.shape)), tmp_path) == []


def test_no_error_in_a_report_without_a_segmentation(tmp_path: Path) -> None:
    sources = read_series(write(tmp_path / "in", single_frames(Phantom()))).sources
    inp = result_input(sources, Phantom().shape)
    assert _judge(replace(inp, prediction=replace(inp.prediction, labels=None)), tmp_path) == []


def test_no_error_in_the_segmentation_of_an_enhanced_image(tmp_path: Path) -> None:
    phantom = Phantom()
    sources = read_series(write(tmp_path / "in", [multi_frame(phantom, [2, 1, 0, 3, 4, 5])])).sources
    assert _judge(result_input(sources, phantom.shape), tmp_path, sr=False) == []


def test_no_error_in_the_segmentation_of_a_source_that_says_little(tmp_path: Path) -> None:
    def bare(ds: Dataset) -> None:
        for keyword in ("PatientBirthDate", "PatientSex", "StudyID", "AccessionNumber", "Manufacturer"):
            del ds[keyword]
        del ds.SliceThickness

    sources = read_series(write(tmp_path / "in", single_frames(Phantom()), bare)).sources
    assert _judge(result_input(sources, Phantom().shape), tmp_path, sr=False) == []


def test_both_validators_run_and_report_what_is_wrong(tmp_path: Path) -> None:
    sources = read_series(write(tmp_path / "in", single_frames(Phantom()))).sources
    sr = build_all(result_input(sources, Phantom().shape))["sr"]
    del sr.CompletionFlag
    procedure = next(item for item in sr.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "121058")
    procedure.ConceptCodeSequence[0].CodeValue = "0"
    path = tmp_path / "broken.dcm"
    sr.save_as(path, enforce_file_format=True)
    issues = validate(path)
    assert {issue.tool for issue in errors(issues)} == {DCIODVFY, SR_VALIDATOR}
    assert {issue.clause for issue in issues if issue.clause} == {item.clause for item in TOLERATED}


def test_the_documentation_names_every_tolerated_error_with_its_clause() -> None:
    document = (Path(__file__).resolve().parents[3] / "docs" / "results.md").read_text(encoding="utf-8")
    for item in TOLERATED:
        assert item.clause in " ".join(document.split())


def test_a_file_that_no_validator_understands_is_an_error_of_both(tmp_path: Path) -> None:
    ds = single_frames(Phantom())[0]
    ds.Modality = "SR"
    path = tmp_path / "image.dcm"
    ds.save_as(path, enforce_file_format=True)
    assert {issue.tool for issue in errors(validate(path))} == {DCIODVFY, SR_VALIDATOR}
