"""`overread results validate`: what it says of good, broken and hostile files, and its exit status."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from tests.node.commands.conftest import run
from tests.workers.synthetic import Phantom, result_input, single_frames, write
from workers.reading.volume.load import read_series
from workers.results import build_all


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Give a folder with a series of images and the segmentation of them."""
    folder = tmp_path / "study"
    sources = read_series(write(folder / "images", single_frames(Phantom()))).sources
    [seg] = build_all(result_input(sources, Phantom().shape), kinds=["seg"])["seg"]
    seg.save_as(folder / "seg.dcm", enforce_file_format=True)
    return folder


def change(path: Path, how: Callable[[Dataset], None]) -> None:
    """Change an object on disk."""
    from pydicom import dcmread

    ds = dcmread(path)
    how(ds)
    ds.save_as(path)


def answer(*words: str | Path) -> tuple[int, dict[str, Any]]:
    """Exit status and JSON of the command."""
    said = run("results", "validate", *words, "--json")
    return said.exit_code, json.loads(said.stdout)


@pytest.mark.peer
def test_a_study_without_errors_is_said_to_be_well(study: Path, peer: Callable[[str], str]) -> None:
    peer("dciodvfy")
    peer("dcentvfy")
    code, said = answer(study)
    assert (code, said["ok"]) == (0, True)
    [seg] = said["objects"]
    assert (seg["kind"], seg["errors"], seg["air"]) == ("SEG", [], [])
    assert "dciodvfy" in seg["validators"]
    [together] = said["sets"]
    assert (together["objects"], together["errors"]) == (7, [])
    assert (said["only_compared"], said["skipped"]) == (6, 0)


@pytest.mark.peer
def test_what_disagrees_with_its_study_is_an_error(study: Path, peer: Callable[[str], str]) -> None:
    peer("dcentvfy")
    change(study / "seg.dcm", lambda ds: setattr(ds, "PatientBirthDate", "19491231"))
    code, said = answer(study)
    assert code == 1
    assert all("PatientBirthDate" in issue["text"] for issue in said["sets"][0]["errors"])
    assert said["sets"][0]["errors"]


@pytest.mark.peer
def test_images_that_disagree_with_each_other_are_a_warning_only(study: Path, peer: Callable[[str], str]) -> None:
    peer("dcentvfy")
    change(study / "images" / "0003.dcm", lambda ds: setattr(ds, "SeriesDescription", "another"))
    code, said = answer(study)
    assert code == 0
    assert any(issue["text"].startswith("between images: ") for issue in said["sets"][0]["warnings"])


def test_a_broken_rule_is_an_error_that_the_table_names_with_its_source(study: Path) -> None:
    def forget(ds: Dataset) -> None:
        ds.SegmentSequence[0].TrackingUID = None

    change(study / "seg.dcm", forget)
    said = run("results", "validate", study)
    assert said.exit_code == 1
    assert "SEG-2" in said.stdout
    assert "AIR SEG-2: segment 1 has no Tracking ID or no Tracking UID (AIR tracking identifiers" in said.stdout


def test_images_are_judged_when_they_are_named_or_all_are_wanted(study: Path) -> None:
    image = study / "images" / "0000.dcm"
    assert len(answer(study, "--all")[1]["objects"]) == 7
    [judged] = answer(image)[1]["objects"]
    assert (judged["kind"], judged["air"]) == ("MR Image", [])


def test_a_truncated_object_is_an_error_that_says_so(study: Path) -> None:
    data = (study / "seg.dcm").read_bytes()
    (study / "seg.dcm").write_bytes(data[: len(data) // 2])
    code, said = answer(study / "seg.dcm")
    assert code == 1
    assert "cut off" in said["objects"][0]["unreadable"]


def test_an_object_nested_without_end_is_an_error_and_no_traceback(study: Path) -> None:
    nested = b"\x40\x00\x30\xa7SQ\x00\x00\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    with (study / "seg.dcm").open("ab") as stream:
        stream.write(nested * 5000)
    code, said = answer(study / "seg.dcm")
    assert code == 1
    assert said["objects"][0]["unreadable"]


def test_files_that_are_no_dicom_are_counted_and_left_out(study: Path) -> None:
    (study / "LICENSE.txt").write_text("not DICOM", encoding="utf-8")
    said = run("results", "validate", study)
    assert "1 files are no DICOM objects" in said.stdout


@pytest.mark.parametrize("name", ["LICENSE.txt", "nowhere"])
def test_a_path_without_a_dicom_object_is_an_error_of_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / "LICENSE.txt").write_text("not DICOM", encoding="utf-8")
    said = run("results", "validate", tmp_path / name)
    assert said.exit_code == 2
    assert said.stderr.startswith("overread: ")
    assert said.stderr.count("\n") == 1


def test_a_validator_that_is_missing_is_named_with_its_package(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    said = run("results", "validate", study)
    assert said.exit_code == 0
    assert "dciodvfy is not installed (Debian: dicom3tools)" in said.stdout
    assert "none" in said.stdout  # no validator judged the segmentation
