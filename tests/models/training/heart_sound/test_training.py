"""Training of the heart sound model: what is read, divided, augmented and measured."""

from __future__ import annotations

import json
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from models import catalog
from models.calibrated import Operating
from models.training.framework.data import DataError
from models.training.heart_sound import fitting, measuring, training
from models.training.heart_sound.augmenting import FRAMES, augmented
from models.training.heart_sound.data import FOLDER, HELD_OUT, TRAIN, Sound, read_part, read_wav
from tests.models.signals.generated import heart_sound

CPU = torch.device("cpu")


def write(path: Path, values: np.ndarray[tuple[int], np.dtype[np.int16]], channels: int = 1) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(2000)
        file.writeframes(values.astype("<i2").tobytes())


def seen(count: int) -> list[fitting.Seen]:
    sounds = []
    for seed in range(count):
        samples, _ = heart_sound(5, 2000, seed, murmur=0.1 * (seed % 2))
        sounds.append(Sound(f"a{seed:04d}-0", f"a{seed:04d}", "ab"[seed % 3 == 0], samples, 2000, bool(seed % 2)))
    return fitting.see(sounds)


def test_label_and_database_come_from_the_name_and_samples_from_the_file(tmp_path: Path) -> None:
    (tmp_path / TRAIN).mkdir()
    write(tmp_path / TRAIN / "b0042-3-abnormal.wav", np.array([0, 16384, -32768], dtype=np.int16))

    (found,) = read_part(tmp_path, TRAIN)

    assert (found.recording, found.database, found.abnormal) == ("b0042", "b", True)
    assert found.samples.tolist() == [0, 0.5, -1]


def test_a_name_without_a_label_and_a_file_in_stereo_are_refused(tmp_path: Path) -> None:
    (tmp_path / TRAIN).mkdir()
    write(tmp_path / TRAIN / "b0042.wav", np.zeros(4, dtype=np.int16))
    write(tmp_path / "stereo.wav", np.zeros(4, dtype=np.int16), channels=2)

    with pytest.raises(DataError, match="label"):
        read_part(tmp_path, TRAIN)
    with pytest.raises(DataError, match="mono"):
        read_wav(tmp_path / "stereo.wav")
    with pytest.raises(DataError, match="audio-heart-sounds"):
        read_part(tmp_path / "nowhere", TRAIN)


def test_augmentation_hangs_on_its_generator_alone() -> None:
    (one,) = seen(1)

    first, again, other = (augmented(one.spectrogram, np.random.default_rng(seed)) for seed in (1, 1, 2))

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.shape == (32, FRAMES)
    assert np.isfinite(first).all()


def test_a_rare_label_of_a_database_weighs_more() -> None:
    items = [fitting.Seen(str(i), "a", np.zeros((1, 1), np.float32), i > 0) for i in range(10)]

    weights = fitting.balance(items)

    assert weights.mean() == pytest.approx(1)
    assert weights[0] == pytest.approx(3 * weights[1])


def test_macc_is_the_mean_of_sensitivity_and_specificity() -> None:
    truth = np.array([True, True, True, True, False, False])

    assert fitting.macc(truth, np.array([True, True, True, False, False, True])) == pytest.approx((0.75 + 0.5) / 2)


def test_figures_are_given_for_each_database_where_they_are_defined() -> None:
    items = [fitting.Seen(str(i), "ab"[i > 3], np.zeros((1, 1), np.float32), i % 2 == 0 or i > 3) for i in range(8)]
    logits = np.array([2.0, -2.0, 2.0, -2.0, 1.0, 1.0, -1.0, 1.0])

    report = measuring.report(logits, items, Operating(1, 0, 0.5))

    assert report["by_database"]["a"] == {
        "abnormal": 2, "normal": 2, "sensitivity": 1.0, "specificity": 1.0, "auc": 1.0
    }  # fmt: skip
    assert report["by_database"]["b"]["specificity"] is None
    assert report["by_database"]["b"]["sensitivity"] == 0.75
    assert report["macc"]["value"] == pytest.approx((5 / 6 + 1) / 2, abs=1e-4)


def test_a_few_steps_teach_a_network_to_hear_a_generated_murmur(tmp_path: Path) -> None:
    items = seen(28)

    fitted = fitting.train_one(items[:20], items[20:], tmp_path, seed=0, epochs=8, device=CPU, progress=False)

    logits = fitting.window_logits([fitted.network], items[20:], CPU)[0]
    assert np.mean((logits > 0) == [item.abnormal for item in items[20:]]) > 0.8


@pytest.mark.data
def test_no_recording_is_in_both_parts_and_the_recorded_division_is_what_lies_there(
    real_data: Callable[[str], Path],
) -> None:
    recorded = json.loads((catalog.weights_folder("heart-sound") / "split.json").read_text(encoding="utf-8"))

    parts = {part: read_part(real_data(FOLDER), part) for part in (TRAIN, HELD_OUT)}

    assert [one.case for one in parts[TRAIN]] == recorded["train"]
    assert [one.case for one in parts[HELD_OUT]] == recorded["held_out"]
    assert not {one.recording for one in parts[TRAIN]} & {one.recording for one in parts[HELD_OUT]}


@pytest.mark.data
def test_no_recording_trains_and_validates_the_same_network(real_data: Callable[[str], Path]) -> None:
    items = [
        fitting.Seen(one.case, one.database, np.zeros((1, 1), np.float32), one.abnormal)
        for one in read_part(real_data(FOLDER), TRAIN)
    ]

    for train, validation in training.in_folds(items):
        assert not {item.case.split("-")[0] for item in train} & {item.case.split("-")[0] for item in validation}
        assert abs(len(validation) - len(items) / 3) < 5
