from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models import catalog, runtime
from models.imaging import hippocampus as imaging_hippocampus
from models.imaging.networks import UNetShape, build_unet
from models.training import hippocampus, hippocampus_data, progress
from models.training.augmentation import Augmentation, sample_patch
from models.training.data import DataError, LabelledVolume, find_cases, read_labelled, split_by_group
from models.training.framework.recorder import LOG_FILE
from models.training.loop import EpochRow, LoopSettings, learning_rate_factor
from models.training.metrics import conformal_factor, coverage, dice, summarise
from models.training.registry import evaluate, train
from tests.models.phantoms import blob

SMALL = UNetShape(classes=3, filters=(4, 8, 8))


class Silent:
    """Observer that keeps the rows."""

    def __init__(self) -> None:
        self.rows: list[EpochRow] = []

    def epoch(self, row: EpochRow) -> None:
        self.rows.append(row)

    def improved(self, network: torch.nn.Module, row: EpochRow) -> None:
        pass


def labelled(case: str, seed: int) -> LabelledVolume:
    volume = blob((24, 30, 24), seed=seed)
    labels = np.zeros(volume.array.shape, dtype=np.uint8)
    labels[8:16, 8:15, 8:16] = 1
    labels[8:16, 15:22, 8:16] = 2
    return LabelledVolume(case, volume, labels)


def write_data_set(folder: Path, numbers: Iterator[int] | range) -> None:
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for number in numbers:
        item = labelled(f"hippocampus_{number:03d}", number)
        name = f"{item.case}.nii.gz"
        for part, array in (("images", item.volume.array), ("labels", item.labels)):
            image: Any = nibabel.Nifti1Image  # its constructor carries no types
            nibabel.save(image(np.transpose(array)[:, ::-1], np.eye(4)), folder / part / name)


@pytest.fixture(scope="module", autouse=True)
def small_network() -> Iterator[None]:
    """Train a network that is small enough for a test."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (imaging_hippocampus, hippocampus):
            patch.setattr(module, "NETWORK", SMALL)
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, object]]:
    data, out = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("out")
    write_data_set(data, range(1, 11))
    return data, out, train("hippocampus", data, out, seed=3, epochs=1, device="cpu", progress=False)


def test_a_training_leaves_a_folder_that_the_catalogue_loads(trained: tuple[Path, Path, dict[str, object]]) -> None:
    _, out, report = trained

    model = catalog.load("hippocampus", "cpu", folder=out)

    assert isinstance(model, imaging_hippocampus.HippocampusModel)
    assert model.card.weights_sha256 == report["weights_sha256"]
    files = {path.name for path in out.iterdir()}
    assert {"model.safetensors", "card.json", "split.json", "report.json", "log.csv"} <= files


def test_a_training_logs_each_epoch(trained: tuple[Path, Path, dict[str, object]]) -> None:
    lines = (trained[1] / LOG_FILE).read_text(encoding="utf-8").splitlines()

    assert lines[0].startswith("epoch,loss,learning_rate,seconds,validation_dice_")
    assert [line.split(",")[0] for line in lines[1:]] == ["1", "2"]


def test_evaluating_the_weights_repeats_the_report_of_the_training(
    trained: tuple[Path, Path, dict[str, object]],
) -> None:
    data, out, report = trained

    again = evaluate("hippocampus", data, device="cpu", weights=out)

    held_out = report["held_out"]
    assert isinstance(held_out, dict)
    assert again["held_out"]["parts"] == held_out["parts"]


def test_the_same_seed_gives_identical_weights_and_another_seed_does_not() -> None:
    cases = [labelled(f"hippocampus_{number:03d}", number) for number in range(4)]

    def weights(seed: int) -> dict[str, torch.Tensor]:
        network = hippocampus.fit_network(
            cases, cases[:1], seed=seed, epochs=1, device=torch.device("cpu"), observer=Silent()
        )
        return runtime.named_tensors(network)

    first, second, other = weights(1), weights(1), weights(2)

    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_without_tensorboard_the_csv_log_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "summary_writer", lambda _folder: None)

    with progress.recording(tmp_path, tmp_path / "w", ["a"], 1, progress=True) as recorder:
        recorder.epoch(EpochRow(1, 0.5, 1e-3, 2.0, (0.25,)))

    assert "0.25" in (tmp_path / LOG_FILE).read_text(encoding="utf-8")


def test_without_nibabel_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "nibabel", None)

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
        hippocampus_data.load_cases(tmp_path)


def test_a_nifti_volume_comes_back_in_patient_coordinates(tmp_path: Path) -> None:
    write_data_set(tmp_path, range(1, 2))
    (image, label), original = find_cases(tmp_path)["hippocampus_001"], labelled("hippocampus_001", 1)

    item = read_labelled(image, label, "hippocampus_001")

    assert np.array_equal(item.labels[:, ::-1], original.labels)
    assert np.array_equal(item.volume.geometry.affine @ [1, 2, 3, 1], [-3, -2, 1, 1])


@given(numbers=st.sets(st.integers(1, 200), min_size=20, max_size=120), seed=st.integers(0, 5))
def test_a_subject_lies_in_one_part_and_no_case_is_lost(numbers: set[int], seed: int) -> None:
    cases = [f"hippocampus_{number:03d}" for number in numbers]

    split = split_by_group(cases, hippocampus_data.subject_of, seed)

    parts = [split.train, split.validation, split.held_out]
    assert sorted(case for part in parts for case in part) == sorted(cases)
    subjects = [{hippocampus_data.subject_of(case) for case in part} for part in parts]
    assert all(not first & second for first, second in combinations(subjects, 2))
    assert split == split_by_group(reversed(cases), hippocampus_data.subject_of, seed)


def test_cases_2k_minus_1_and_2k_are_one_subject() -> None:
    assert hippocampus_data.subject_of("hippocampus_007") == hippocampus_data.subject_of("hippocampus_008")
    assert hippocampus_data.subject_of("hippocampus_008") != hippocampus_data.subject_of("hippocampus_009")


def test_a_patch_has_its_size_and_repeats_with_its_seed() -> None:
    example = hippocampus_data.make_example(labelled("hippocampus_001", 1))

    def draw(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        generator = torch.Generator().manual_seed(seed)
        return sample_patch(example.image, example.onehot, (32, 48, 32), Augmentation(), generator)

    first, again, other = draw(1), draw(1), draw(2)

    assert first[0].shape == first[1].shape == (1, 32, 48, 32)
    assert torch.isfinite(first[0]).all()
    assert set(first[1].flatten().tolist()) <= {0, 1, 2}
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], other[0])


def test_without_augmentation_of_shape_a_patch_keeps_the_labels() -> None:
    example = hippocampus_data.make_example(labelled("hippocampus_001", 1))
    still = Augmentation(rotation_deg=0, scale=0, shift=0, elastic=0, flip_last=False)

    _, labels = sample_patch(example.image, example.onehot, (24, 30, 24), still, torch.Generator().manual_seed(0))

    assert torch.equal(labels[0], example.onehot.argmax(0))


def test_the_network_takes_lengths_that_are_multiples_of_its_own() -> None:
    network = build_unet(SMALL).eval()

    with torch.inference_mode():
        assert network(torch.zeros(1, 1, 16, 24, 16)).shape == (1, 3, 16, 24, 16)


def test_the_learning_rate_warms_up_and_falls() -> None:
    settings = LoopSettings(epochs=10, steps_per_epoch=100)
    factors = [learning_rate_factor(step, settings) for step in range(1000)]

    assert factors[0] < 0.02
    assert max(factors) == pytest.approx(1, abs=0.01)
    assert factors[-1] == pytest.approx(0.01, abs=0.001)


def test_dice_of_equal_disjoint_and_empty_masks() -> None:
    mask = np.zeros((3, 3), dtype=bool)
    mask[0] = True

    assert dice(mask, mask) == 1
    assert dice(mask, ~mask) == 0
    assert dice(mask & False, mask & False) == 1
    assert dice(mask, np.ones((3, 3), dtype=bool)) == pytest.approx(0.5)


def test_the_summary_names_mean_and_spread() -> None:
    summary = summarise([0.8, 0.9, 1.0])

    assert summary["n"] == 3
    assert summary["mean"] == pytest.approx(0.9)
    assert summary["sd"] == pytest.approx(0.1)
    assert summary["ci_low"] <= summary["mean"] <= summary["ci_high"]
    with pytest.raises(ValueError, match="nothing"):
        summarise([])


def test_the_conformal_factor_covers_new_cases_of_the_same_kind() -> None:
    rng = np.random.default_rng(0)
    scales = rng.uniform(0.5, 2, 2000)
    errors = rng.normal(0, scales)

    factor = conformal_factor(errors[:1000].tolist(), scales[:1000].tolist(), 0.95)

    half = factor * scales[1000:]
    assert coverage(errors[1000:].tolist(), (-half).tolist(), half.tolist()) == pytest.approx(0.95, abs=0.03)


def test_with_few_cases_the_conformal_factor_is_the_largest_ratio() -> None:
    assert conformal_factor([0.1, -0.4, 0.2], [1, 1, 1], 0.95) == pytest.approx(0.4)
