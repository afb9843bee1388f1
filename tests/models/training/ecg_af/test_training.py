"""Training of the rhythm model: what is read, divided, augmented, lost and measured."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from models import catalog
from models.signals.ecg.network import FIBRILLATION, NORMAL, OTHER, RhythmNetwork
from models.signals.ecg.preparing import RATE_HZ, prepare
from models.signals.ecg.reading import WINDOW
from models.signals.qrs import find_beats
from models.training.ecg_af import fitting, training
from models.training.ecg_af.augmenting import augmented
from models.training.ecg_af.data import (
    HELD_OUT_FOLDS,
    NOISE,
    NOT_FIBRILLATION,
    Strip,
    read_mat4,
    read_single,
)
from models.training.ecg_af.measuring import fit_operating, rhythm_report
from models.training.framework.data import DataError
from models.training.framework.fit import collate, seeded
from tests.models.signals.generated import lead_two, twelve_leads

CPU = torch.device("cpu")


def strip(seed: int, label: int, *, leads: int = 1, seconds: float = 30) -> Strip:
    lead, _ = lead_two(seconds, 300, seed, fibrillation=label == FIBRILLATION)
    raw = twelve_leads(lead, np.random.default_rng(seed)) if leads == 12 else lead[None]
    samples = prepare(raw, 300)
    return Strip(f"s{seed}", f"p{seed}", "", samples, find_beats(samples, RATE_HZ), label)


def mat4(values: np.ndarray[tuple[int], np.dtype[np.int16]], kind: int = 30) -> bytes:
    return struct.pack("<5i", kind, 1, values.size, 0, 4) + b"val\0" + values.astype("<i2").tobytes()


def test_a_record_of_the_challenge_is_read_as_it_was_written(tmp_path: Path) -> None:
    values = np.array([5, -3, 32767, -32768], dtype=np.int16)
    (tmp_path / "A.mat").write_bytes(mat4(values))

    assert np.array_equal(read_mat4(tmp_path / "A.mat"), values)


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b + b"\0\0", lambda b: mat4(np.zeros(4, np.int16), 50)])
def test_a_file_of_another_form_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    (tmp_path / "A.mat").write_bytes(damage(mat4(np.arange(4, dtype=np.int16))))

    with pytest.raises(DataError, match="MATLAB 4"):
        read_mat4(tmp_path / "A.mat")


def test_missing_data_is_said_with_the_name_of_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="ecg-af-cinc2017"):
        read_single(tmp_path)


def test_augmentation_hangs_on_its_generator_alone_and_keeps_most_of_the_strip() -> None:
    one = strip(1, FIBRILLATION)

    first, again, other = (augmented(one, 1, WINDOW, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))

    assert np.array_equal(first.signal, again.signal)
    assert np.array_equal(first.numbers, again.numbers)
    assert not np.array_equal(first.signal, other.signal)
    assert first.signal.shape == (1, WINDOW)
    assert first.length > 0.75 * one.samples.shape[1]
    assert not first.signal[:, first.length :].any()


def test_the_loss_of_twelve_leads_is_low_only_for_the_right_answer() -> None:
    logits = torch.tensor([[-5.0, 5.0, -5.0, 0.0], [5.0, -5.0, -5.0, 0.0], [-5.0, -5.0, 5.0, 0.0]])

    right = fitting.twelve_loss(logits, {"label": torch.tensor([FIBRILLATION, NOT_FIBRILLATION, NOT_FIBRILLATION])})
    wrong = fitting.twelve_loss(logits, {"label": torch.tensor([NOT_FIBRILLATION, FIBRILLATION, FIBRILLATION])})

    assert right < 0.5 < 5 < wrong


def test_a_noisy_strip_has_no_say_in_the_rhythm() -> None:
    logits = torch.zeros(2, 4, requires_grad=True)

    fitting.single_loss(logits, {"label": torch.tensor([NOISE, NORMAL])}).backward()  # type: ignore[no-untyped-call]

    assert logits.grad is not None
    assert not logits.grad[0, :3].any()
    assert logits.grad[0, 3] != 0
    assert logits.grad[1, :3].all()


def test_the_score_of_the_challenge_is_the_mean_f1_of_three_classes() -> None:
    truth = np.array([NORMAL, NORMAL, FIBRILLATION, OTHER, NOISE])

    assert fitting.challenge_f1(truth, truth) == 1
    assert fitting.challenge_f1(truth, np.array([NORMAL, OTHER, FIBRILLATION, OTHER, NOISE])) == pytest.approx(
        (2 / 3 + 1 + 2 / 3) / 3
    )


def test_probabilities_of_the_four_classes_exclude_each_other() -> None:
    found = fitting.probabilities(np.random.default_rng(0).normal(size=(7, 4)) * 5)

    assert found.sum(axis=1) == pytest.approx(np.ones(7))
    assert found.min() >= 0


def test_calibration_and_threshold_come_from_readable_strips() -> None:
    strips = [strip(seed, NORMAL if seed % 2 else FIBRILLATION, seconds=10) for seed in range(12)]
    strips.append(strip(99, NOISE, seconds=10))
    logits = np.array([[0, 4.0 if one.label == FIBRILLATION else -4.0, 0, -3] for one in strips])

    operating = fit_operating(logits, strips)
    report = rhythm_report(logits, strips)

    assert operating.probability(3.3) > operating.threshold > operating.probability(-4.7)
    assert report["classes"]["fibrillation"]["recall"]["value"] == 1


def test_a_few_steps_teach_a_network_to_tell_generated_fibrillation() -> None:
    strips = [strip(seed, FIBRILLATION if seed % 2 else NORMAL, seconds=10) for seed in range(16)]
    data = fitting.StripSet(strips, 1, 10 * int(RATE_HZ))
    generator = seeded(0)
    network = RhythmNetwork().train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        batch = collate([data.item(index, generator) for index in range(len(data))])
        loss = fitting.single_loss(fitting.forward(network, batch), batch)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        losses.append(float(loss.detach()))

    assert losses[-1] < 0.6 * losses[0]


def test_no_patient_trains_and_validates_the_same_network() -> None:
    strips = [strip(seed, NORMAL, seconds=10) for seed in range(9)]
    shared = [Strip(f"x{one.case}", one.group, "", one.samples, one.beats, one.label) for one in strips]

    parts = training.in_folds([*strips, *shared])

    validated = [one.case for _, validation in parts for one in validation]
    assert sorted(validated) == sorted(one.case for one in (*strips, *shared))
    for train, validation in parts:
        assert not {one.group for one in train} & {one.group for one in validation}


def test_each_strip_is_judged_by_the_network_that_did_not_train_on_it() -> None:
    strips = [strip(seed, NORMAL, seconds=10) for seed in range(6)]
    parts = training.in_folds(strips)
    networks = []
    for seed in range(len(parts)):
        torch.manual_seed(seed)
        networks.append(RhythmNetwork().eval())

    found = training.out_of_fold(networks, parts, strips, WINDOW, CPU)

    for network, (_, validation) in zip(networks, parts, strict=True):
        own = fitting.record_logits([network], validation, CPU)[0]
        places = [[one.case for one in strips].index(one.case) for one in validation]
        assert found[places] == pytest.approx(own, abs=1e-5)


@pytest.mark.data
def test_the_recorded_division_is_the_one_that_the_code_makes(real_data: Callable[[str], Path]) -> None:
    recorded = json.loads((catalog.weights_folder("ecg-af") / "split.json").read_text(encoding="utf-8"))

    found = training.load_data(real_data("ecg-af-cinc2017").parent)

    assert found.split().as_dict() == recorded
    assert {one.fold for one in found.twelve_held_out} == set(HELD_OUT_FOLDS)
    assert not {one.group for one in found.twelve} & {one.group for one in found.twelve_held_out}
