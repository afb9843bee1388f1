"""Both stages through the registry, on a generated data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.losses.dice import DiceCELoss

from models import catalog, runtime
from models.imaging.hippocampus import HippocampusModel
from models.training.framework.fit import CHECKPOINT_FILE, Fitted
from models.training.framework.recorder import LOG_FILE
from models.training.hippocampus import stages, train
from models.training.hippocampus.data import load_cases
from models.training.registry import evaluate
from models.training.registry import train as train_by_name
from tests.models.training.hippocampus.generated import labelled, write_data_set

CPU = torch.device("cpu")
Trained = tuple[Path, Path, dict[str, Any]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    data, out = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("out")
    write_data_set(data, range(1, 11))
    return data, out, train_by_name("hippocampus", data, out, seed=3, epochs=1, device="cpu", progress=False)


def test_a_training_leaves_a_folder_that_the_catalogue_loads(trained: Trained) -> None:
    _, out, report = trained

    model = catalog.load("hippocampus", "cpu", folder=out)

    assert isinstance(model, HippocampusModel)
    assert model.card.weights_sha256 == report["weights_sha256"]
    files = {path.name for path in out.iterdir()}
    assert {"model.safetensors", "card.json", "split.json", "report.json", "LICENSE.txt"} <= files
    assert {"dice.png", "volumes.png", "curves-selection.png", "curves-refit.png", "examples.png"} <= files


def test_each_stage_logs_its_epochs_and_only_the_first_one_validates(trained: Trained) -> None:
    first, second = ((trained[1] / name / LOG_FILE).read_text(encoding="utf-8") for name in ("selection", "refit"))

    assert first.splitlines()[0] == "epoch,loss,learning_rate,seconds,dice,dice_anterior,dice_posterior"
    assert second.splitlines()[0] == "epoch,loss,learning_rate,seconds"
    assert len(first.splitlines()) == len(second.splitlines()) == 2


def test_the_report_has_every_held_out_case_and_what_the_training_was(trained: Trained) -> None:
    _, out, report = trained

    written = json.loads((out / "report.json").read_text(encoding="utf-8"))
    split = json.loads((out / "split.json").read_text(encoding="utf-8"))

    assert sorted(written.pop("cases")) == split["held_out"]
    assert written == report
    assert (report["training"]["epochs"], report["training"]["refit_epochs"], report["training"]["seed"]) == (1, 1, 3)


def test_evaluating_the_weights_repeats_the_report_of_the_training(trained: Trained, tmp_path: Path) -> None:
    data, out, report = trained

    again = evaluate("hippocampus", data, device="cpu", weights=out, plots=tmp_path)

    assert again["held_out"]["parts"] == report["held_out"]["parts"]
    assert (tmp_path / "dice.png").read_bytes() == (out / "dice.png").read_bytes()


def test_a_training_that_is_resumed_gives_the_weights_of_one_that_was_not_cut_off(
    trained: Trained, tmp_path: Path
) -> None:
    data, _, report = trained
    cut_off = stage_one(data, stages.Run(tmp_path, CPU, seed=3, epochs=1))
    assert cut_off.best["epoch"] == 1
    assert (tmp_path / "selection" / CHECKPOINT_FILE).is_file()

    resumed = train(data, tmp_path, seed=3, epochs=1, device="cpu", progress=False, resume=True)

    assert resumed["weights_sha256"] == report["weights_sha256"]


def stage_one(data: Path, run: stages.Run) -> Fitted:
    """Train the first stage of a training that ends there."""
    cases, split = load_cases(data)
    return stages.select([cases[name] for name in split.train], [cases[name] for name in split.validation], run)


def test_the_same_seed_gives_identical_weights_and_another_seed_does_not(tmp_path: Path) -> None:
    cases = [labelled(number) for number in range(4)]

    def weights(seed: int, name: str) -> dict[str, torch.Tensor]:
        fitted = stages.select(cases, cases[:1], stages.Run(tmp_path / name, CPU, seed=seed, epochs=1))
        return runtime.named_tensors(fitted.network)

    first, second, other = weights(1, "first"), weights(1, "second"), weights(2, "other")

    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_the_second_stage_is_as_long_in_proportion_as_usual() -> None:
    run = stages.Run(Path(), CPU, seed=5, epochs=7)

    first, second = stages.selection_settings(run), stages.refit_settings(run)

    assert (first.epochs, second.epochs) == (7, 9)
    assert (first.batch, first.learning_rate, first.warmup_steps) == (2, 1.5e-3, 100)
    assert (second.learning_rate, second.warmup_steps) == (1e-3, 50)
    assert first.seed != second.seed


def test_the_loss_is_that_of_both_scales() -> None:
    network = stages.new_network().train()
    batch = {"input": torch.randn(2, 1, 16, 16, 16), "target": torch.randint(0, 3, (2, 1, 16, 16, 16))}
    single = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)

    output = stages.supervised(network, batch)

    full, half = (single(output[name], batch["target"]) for name in ("full", "half"))
    assert torch.allclose(stages.make_loss()(output, batch), 0.7 * full + 0.3 * half)


def test_what_ships_is_rounded_and_laid_out_as_its_file() -> None:
    network = stages.new_network()
    for parameter in network.parameters():
        if parameter.ndim == 5:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)

    shipped = stages.as_shipped(network, CPU)

    for name, value in runtime.named_tensors(shipped).items():
        assert value.is_contiguous(), name
        assert torch.equal(value, runtime.named_tensors(network)[name].half().float()), name
    assert not shipped.training


def test_the_network_takes_lengths_that_are_multiples_of_its_own() -> None:
    with torch.inference_mode():
        assert stages.new_network().eval()(torch.zeros(1, 1, 16, 24, 16)).shape == (1, 3, 16, 24, 16)
