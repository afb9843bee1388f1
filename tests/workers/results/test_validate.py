"""Independent validators find no error in what the builders make, and find what is wrong in what is broken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID

from tests.workers.results.built import PROFILES, full_input, objects
from tests.workers.results.kinds import radiograph_input, waveform_input
from tests.workers.synthetic import ORIENTATIONS, Phantom, multi_frame, result_input, single_frames, write
from workers.reading.volume.load import read_series
from workers.results import BUILDERS, build_all, validate
from workers.results.profile import DEFAULT, Profile
from workers.results.validate import (
    DCENTVFY,
    DCIODVFY,
    PIXELMED_JAR,
    SR_VALIDATOR,
    TOLERATED,
    VALIDATORS,
    Issue,
    errors,
    validate_together,
)

pytestmark = [pytest.mark.peer, pytest.mark.long]


@pytest.fixture(autouse=True)
def _validators(peer: Callable[[str], str]) -> None:
    peer("dciodvfy")
    peer("dcentvfy")
    peer("java")
    if not PIXELMED_JAR.exists():
        peer("pixelmed.jar")


def _judge(paths: Sequence[Path], folder: Path, profiles: tuple[Profile, ...], slow: bool = True) -> list[str]:
    """Build everything of a series, write it beside the images, validate each and all together; return the errors."""
    paths = list(paths)
    written = [(item, item.write(folder)) for item in objects(full_input(read_series(paths), paths), profiles)]
    assert {item.kind for item, _ in written} == set(BUILDERS)
    found = [
        f"{item.name}: {issue.text}"
        for item, path in written
        for validator in VALIDATORS
        if slow or validator.name == DCIODVFY
        if validator.fits(*_sort(item.dataset()))
        for issue in errors(validate.run(validator, path))
    ]
    together = validate_together([*paths, *(path for _, path in written)])
    return found + [issue.text for issue in errors(together)]


def _sort(ds: Dataset) -> tuple[str, str]:
    return str(ds.SOPClassUID), str(ds.Modality)


@pytest.mark.data
def test_no_error_in_the_results_of_a_real_series(real_data: Callable[[str], Path], tmp_path: Path) -> None:
    series = sorted((real_data("dicom-mr-brain-btp") / "Study1" / "13_HCropVolume").iterdir())
    assert _judge(series, tmp_path, (DEFAULT,)) == []


def test_no_error_in_any_kind_and_profile_of_the_results_of_a_synthetic_series(tmp_path: Path) -> None:
    paths = write(tmp_path / "in", single_frames(Phantom(cosines=ORIENTATIONS["oblique"])))
    assert _judge(paths, tmp_path, PROFILES, slow=False) == []


def test_every_tolerated_error_still_occurs(tmp_path: Path) -> None:
    paths = write(tmp_path / "in", single_frames(Phantom()))
    inp = full_input(read_series(paths), paths)
    written = {item.name: item.write(tmp_path) for item in objects(inp, (Profile("labelmap"),))}
    issues = validate.validate(written["sr-default-1"])
    for name in ("seg-labelmap-1", "sr-labelmap-1"):
        issues += validate.run(VALIDATORS[0], written[name])
    for name, inp in (("radiograph", radiograph_input()), ("ecg", waveform_input())):
        [sr] = build_all(inp, DEFAULT, ["sr"])["sr"]
        sr.save_as(tmp_path / f"{name}.dcm", enforce_file_format=True)
        issues += validate.validate(tmp_path / f"{name}.dcm")
    assert {issue.clause for issue in issues if issue.clause} == {item.clause for item in TOLERATED}


def test_what_is_tolerated_of_a_label_map_is_not_of_another_object(tmp_path: Path) -> None:
    paths = write(tmp_path / "in", single_frames(Phantom()))
    inp = full_input(read_series(paths), paths)
    [labels] = build_all(inp, Profile("labelmap"), ["seg"])["seg"]
    [binary] = build_all(inp, DEFAULT, ["seg"])["seg"]
    for number, (ds, tolerated) in enumerate(((labels, True), (binary, False))):
        ds.SegmentSequence[0].SegmentNumber = 0
        path = tmp_path / f"{number}.dcm"
        ds.save_as(path, enforce_file_format=True)
        issues = [one for one in validate.run(VALIDATORS[0], path) if "not monotonically" in one.text]
        assert [bool(issue.clause) for issue in issues] == [tolerated]


def test_no_error_in_the_results_of_an_enhanced_image(tmp_path: Path) -> None:
    paths = write(tmp_path / "in", [multi_frame(Phantom(), [2, 1, 0, 3, 4, 5])])
    assert _judge(paths, tmp_path, (DEFAULT,), slow=False) == []


def test_no_error_in_the_results_of_a_source_that_says_little(tmp_path: Path) -> None:
    def bare(ds: Dataset) -> None:
        for keyword in ("PatientBirthDate", "PatientSex", "StudyID", "AccessionNumber", "Manufacturer"):
            del ds[keyword]
        del ds.SliceThickness

    paths = write(tmp_path / "in", single_frames(Phantom()), bare)
    assert _judge(paths, tmp_path, (DEFAULT,), slow=False) == []


def _report(folder: Path) -> Dataset:
    sources = read_series(write(folder / "in", single_frames(Phantom()))).sources
    [sr] = build_all(result_input(sources, Phantom().shape))["sr"]
    return sr


def test_both_validators_run_and_report_what_is_wrong(tmp_path: Path) -> None:
    sr = _report(tmp_path)
    del sr.CompletionFlag
    procedure = next(item for item in sr.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "121058")
    procedure.ConceptCodeSequence[0].CodeValue = "0"
    path = tmp_path / "broken.dcm"
    sr.save_as(path, enforce_file_format=True)
    assert {issue.tool for issue in errors(validate.validate(path))} == {DCIODVFY, SR_VALIDATOR}


def test_an_error_within_an_attribute_counts(tmp_path: Path) -> None:
    path = tmp_path / "odd.dcm"
    _report(tmp_path).save_as(path, enforce_file_format=True)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"COMPLETE", b"COMPLET?"))
    assert any("COMPLET?" in issue.text for issue in errors(validate.run(VALIDATORS[0], path)))


def test_objects_that_disagree_are_named(tmp_path: Path) -> None:
    paths = write(tmp_path / "in\nside", single_frames(Phantom()))
    sources = read_series(paths).sources
    [seg] = build_all(result_input(sources, Phantom().shape))["seg"]
    agreeing, other = tmp_path / "agreeing.dcm", tmp_path / "other.dcm"
    seg.save_as(agreeing, enforce_file_format=True)
    seg.PatientBirthDate, seg.SOPInstanceUID = "19491231", "2.25.1"
    seg.file_meta.MediaStorageSOPInstanceUID = UID("2.25.1")
    seg.save_as(other, enforce_file_format=True)
    assert errors(validate_together([*paths, agreeing])) == []
    said = errors(validate_together([*paths, agreeing, other]))
    assert {issue.tool for issue in said} == {DCENTVFY}
    assert all("PatientBirthDate" in issue.text and str(other) in issue.text for issue in said)


def test_one_object_is_compared_with_nothing(tmp_path: Path) -> None:
    assert validate_together(write(tmp_path, single_frames(Phantom()))[:1]) == []


def test_a_file_that_no_validator_understands_is_an_error_of_both(tmp_path: Path) -> None:
    ds = single_frames(Phantom())[0]
    ds.Modality = "SR"
    path = tmp_path / "image.dcm"
    ds.save_as(path, enforce_file_format=True)
    assert {issue.tool for issue in errors(validate.validate(path))} == {DCIODVFY, SR_VALIDATOR}


def test_a_validator_that_does_not_end_is_an_error_of_the_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sr.dcm"
    _report(tmp_path).save_as(path, enforce_file_format=True)
    monkeypatch.setattr(validate, "TIMEOUT", 0.001)
    assert validate.run(VALIDATORS[1], path) == [
        Issue(SR_VALIDATOR, "error", "the validator did not come to its end within 0.001 s")
    ]


def test_validators_that_are_not_there_are_named_with_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    assert validate.missing() == []
    monkeypatch.setenv("PATH", "/nonexistent")
    assert validate.missing() == [
        (DCIODVFY, "dicom3tools"),
        (SR_VALIDATOR, "pixelmed-apps"),
        (DCENTVFY, "dicom3tools"),
    ]


def test_the_documentation_names_every_tolerated_error_with_its_clause() -> None:
    document = (Path(__file__).resolve().parents[3] / "docs" / "results.md").read_text(encoding="utf-8")
    for item in TOLERATED:
        assert item.clause in " ".join(document.split())
