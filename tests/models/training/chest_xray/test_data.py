from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.training.chest_xray_pneumonia.data import likeness, read_parts
from models.training.chest_xray_severity.data import divided, read_cases, read_picture, training_pictures
from models.training.framework.data import DataError
from tests.models.imaging.chest_xray.chests import write_hannover_set, write_pneumonia_set


def test_copies_of_pictures_are_in_one_part_only(tmp_path: Path) -> None:
    write_pneumonia_set(tmp_path)
    path = tmp_path / "pneumoniamnist_train_val.npz"
    with np.load(path) as arrays:
        changed = {name: arrays[name].copy() for name in arrays}
    changed["train_images"][4] = changed["val_images"][2]
    changed["train_images"][6] = changed["train_images"][8]
    np.savez(path, **changed)

    parts = read_parts(tmp_path)

    assert parts.copies == {"of_held_out_pictures": 1, "within_training": 1}
    assert len(parts.train) + len(parts.validation) == 38
    every = [part.pixels for part in (parts.train, parts.validation, parts.held_out)]
    assert len(np.unique(np.concatenate(every), axis=0)) == 50
    assert parts.split.held_out == tuple(f"val-{i:04d}" for i in range(12))
    assert not set(parts.split.train) & set(parts.split.validation)


def test_the_division_is_the_same_every_time_and_balanced(tmp_path: Path) -> None:
    write_pneumonia_set(tmp_path, train=100)

    first, second = read_parts(tmp_path), read_parts(tmp_path)

    assert first.split == second.split
    assert np.mean(first.validation.labels) == pytest.approx(0.5, abs=0.05)


def test_likeness_finds_what_is_nearly_the_same(tmp_path: Path) -> None:
    write_pneumonia_set(tmp_path)
    train = read_parts(tmp_path).train.pixels
    noisy = train[3] + np.random.default_rng(0).normal(0, 0.005, train[3].shape).astype(np.float32)

    assert likeness(np.stack([noisy]), train)[0] > 0.95
    assert likeness(train[:5], train[5:]).max() < 0.95


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04nothing", b"\x93NUMPY"])
def test_a_file_that_is_not_the_set_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "pneumoniamnist.npz").write_bytes(content)

    with pytest.raises(DataError, match="pneumoniamnist"):
        read_parts(tmp_path)


def test_pictures_after_intensive_care_are_left_out(tmp_path: Path) -> None:
    write_hannover_set(tmp_path / "set")

    cases = read_cases(tmp_path / "set")

    assert {case.picture for case in cases} == {f"a{i:02d}" for i in range(20)}
    assert [case.severe for case in cases] == [bool(i % 2) for i in range(20)]
    assert {case.days for case in cases} == {None, 2.0}


def test_values_of_other_days_or_beyond_measurement_are_missing(tmp_path: Path) -> None:
    write_hannover_set(tmp_path / "set")

    by_picture = {case.picture: case for case in read_cases(tmp_path / "set")}

    assert by_picture["a01"].labs == {"crp": 151.0, "lymphocytes": 1.1}
    assert by_picture["a05"].labs == {"lymphocytes": 1.1}


def test_a_patient_is_in_one_part_and_held_out_ones_are_in_no_other_training(tmp_path: Path) -> None:
    write_hannover_set(tmp_path / "set")
    cases = read_cases(tmp_path / "set")

    split = divided(cases)

    assert len(split.held_out) == 4
    assert (
        sum(name in split.held_out for name in ("a01", "a03", "a05", "a07", "a09", "a11", "a13", "a15", "a17", "a19"))
        == 2
    )
    free = training_pictures(tmp_path / "set")
    assert not {name[1:] for name in free} & {name[1:] for name in split.held_out}
    assert any(name.startswith("b") for name in free)


def test_a_picture_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\nnothing")

    with pytest.raises(DataError, match="cannot be read"):
        read_picture(path)
    with pytest.raises(DataError, match=r"data\.csv"):
        read_cases(tmp_path)
