"""Cases, patches, and labelled volumes in NIfTI."""

from __future__ import annotations

import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.training.framework.data import DataError, find_cases, read_labelled
from models.training.framework.division import split_by_group
from models.training.hippocampus.augmentation import Augmentation, sample_patch
from models.training.hippocampus.data import PATCH, SPLIT_SEED, Patches, load_cases, make_example, subject_of
from tests.models.training.hippocampus.generated import labelled, write_data_set


def test_without_nibabel_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nibabel", None)

    with pytest.raises(DataError, match=r"pip install 'overread\[train\]'"):
        read_labelled(tmp_path / "a.nii.gz", tmp_path / "b.nii.gz", "a")


def test_a_folder_without_volumes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no images"):
        find_cases(tmp_path)


def test_an_image_without_labels_is_refused(tmp_path: Path) -> None:
    write_data_set(tmp_path, range(1, 3))
    (tmp_path / "labels" / "hippocampus_002.nii.gz").unlink()

    with pytest.raises(DataError, match="hippocampus_002"):
        find_cases(tmp_path)


def test_too_few_cases_are_refused(tmp_path: Path) -> None:
    write_data_set(tmp_path, range(1, 3))

    with pytest.raises(DataError, match="too few"):
        load_cases(tmp_path)


def test_a_nifti_volume_comes_back_in_patient_coordinates(tmp_path: Path) -> None:
    write_data_set(tmp_path, range(1, 2))
    (image, label), original = find_cases(tmp_path)["hippocampus_001"], labelled(1)

    item = read_labelled(image, label, "hippocampus_001")

    assert np.array_equal(item.labels[:, ::-1], original.labels)
    assert np.array_equal(item.volume.geometry.affine @ [1, 2, 3, 1], [-3, -2, 1, 1])


@given(numbers=st.sets(st.integers(1, 200), min_size=20, max_size=120), seed=st.integers(0, 5))
def test_a_subject_lies_in_one_part_and_no_case_is_lost(numbers: set[int], seed: int) -> None:
    cases = [f"hippocampus_{number:03d}" for number in numbers]

    split = split_by_group(cases, subject_of, seed)

    parts = [split.train, split.validation, split.held_out]
    assert sorted(case for part in parts for case in part) == sorted(cases)
    subjects = [{subject_of(case) for case in part} for part in parts]
    assert all(not first & second for first, second in combinations(subjects, 2))
    assert split == split_by_group(reversed(cases), subject_of, seed)


def test_cases_2k_minus_1_and_2k_are_one_subject() -> None:
    assert SPLIT_SEED == 4  # the shipped weights know every other division's held-out part
    assert subject_of("hippocampus_007") == subject_of("hippocampus_008")
    assert subject_of("hippocampus_008") != subject_of("hippocampus_009")


def test_a_patch_has_its_size_and_repeats_with_its_seed() -> None:
    patches = Patches([labelled(1)])

    def draw(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        item = patches.item(0, torch.Generator().manual_seed(seed))
        return item["input"], item["target"]

    first, again, other = draw(1), draw(1), draw(2)

    assert first[0].shape == first[1].shape == (1, *PATCH)
    assert torch.isfinite(first[0]).all()
    assert set(first[1].flatten().tolist()) <= {0, 1, 2}
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], other[0])


def test_without_augmentation_of_shape_a_patch_keeps_the_labels() -> None:
    example = make_example(labelled(1))
    still = Augmentation(rotation_deg=0, scale=0, shift=0, elastic=0, flip_last=False)

    _, labels = sample_patch(example.image, example.onehot, (24, 30, 24), still, torch.Generator().manual_seed(0))

    assert torch.equal(labels[0], example.onehot.argmax(0))
