from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from models.training.framework import fit as fitting
from models.training.framework import recorder
from models.training.framework.fit import (
    CHECKPOINT_FILE,
    FitSettings,
    Fitted,
    TrainingError,
    batches,
    collate,
    draw,
    fit,
    learning_rate_factor,
    seeded,
    steps_in_epoch,
)
from models.training.framework.transfer import freeze
from tests.models.training.framework.toys import Points, auc_on, loss, network

TRAIN, VALIDATION = Points(120, 0), Points(80, 1)
CPU = torch.device("cpu")
SETTINGS = FitSettings(epochs=6, batch=16, learning_rate=1e-2, warmup_steps=5, ema_decay=0.9)


@pytest.fixture(autouse=True)
def no_board(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorBoard takes a second to import; one test looks at it."""
    monkeypatch.setattr(recorder, "summary_writer", lambda folder: None)


def validate(kept: torch.nn.Module) -> Mapping[str, float]:
    return auc_on(VALIDATION, kept)


def trained(out: Path, settings: FitSettings = SETTINGS, *, resume: bool = False) -> Fitted:
    return fit(network(), TRAIN, loss, validate, settings, out, torch.device("cpu"), progress=False, resume=resume)


class Interrupted(Exception):
    pass


def test_a_training_learns_and_keeps_the_best_weights(tmp_path: Path) -> None:
    fitted = trained(tmp_path)

    with torch.no_grad():
        after = validate(fitted.network)["auc"]
    assert after == fitted.best["auc"] == max(row["auc"] for row in fitted.history)
    assert after > 0.9
    assert not fitted.network.training


def test_a_resumed_training_gives_the_same_weights_as_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole")
    calls = 0

    def cut_off(kept: torch.nn.Module) -> Mapping[str, float]:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise Interrupted
        return validate(kept)

    with pytest.raises(Interrupted):
        fit(network(), TRAIN, loss, cut_off, SETTINGS, tmp_path / "cut", torch.device("cpu"), progress=False)
    torch.rand(7)  # whatever else drew random numbers in between
    resumed = trained(tmp_path / "cut", resume=True)

    assert [row["loss"] for row in resumed.history] == [row["loss"] for row in whole.history]
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name


def test_a_finished_training_is_not_trained_again(tmp_path: Path) -> None:
    first = trained(tmp_path)

    second = trained(tmp_path, resume=True)

    assert second.history == first.history
    assert torch.equal(first.network(VALIDATION.inputs), second.network(VALIDATION.inputs))


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    trained(tmp_path, replace(SETTINGS, epochs=1))

    with pytest.raises(TrainingError, match="another epochs, learning_rate"):
        trained(tmp_path, replace(SETTINGS, learning_rate=1e-3), resume=True)
    assert (tmp_path / CHECKPOINT_FILE).is_file()


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    first, second = trained(tmp_path / "a"), trained(tmp_path / "b")
    other = trained(tmp_path / "c", replace(SETTINGS, seed=1))

    assert torch.equal(first.network(VALIDATION.inputs), second.network(VALIDATION.inputs))
    assert not torch.equal(first.network(VALIDATION.inputs), other.network(VALIDATION.inputs))


def test_a_training_stops_when_it_gets_no_better(tmp_path: Path) -> None:
    figures = iter([0.5, 0.7, 0.6, 0.65, 0.7, 0.9])

    fitted = fit(
        network(),
        TRAIN,
        loss,
        lambda kept: {"auc": next(figures)},
        replace(SETTINGS, patience=3),
        tmp_path,
        torch.device("cpu"),
        progress=False,
    )

    assert [row["epoch"] for row in fitted.history] == [1, 2, 3, 4, 5]
    assert fitted.best["epoch"] == 2


def test_a_figure_to_lower_selects_the_lowest(tmp_path: Path) -> None:
    figures = iter([0.5, 0.3, 0.4])
    settings = replace(SETTINGS, epochs=3, monitor="error", mode="min")

    def error(kept: torch.nn.Module) -> Mapping[str, float]:
        return {"error": next(figures)}

    fitted = fit(network(), TRAIN, loss, error, settings, tmp_path, torch.device("cpu"), progress=False)

    assert fitted.best["epoch"] == 2


def test_an_epoch_without_validation_is_logged_without_its_figures(tmp_path: Path) -> None:
    trained(tmp_path, replace(SETTINGS, epochs=3, validate_every=2))

    with (tmp_path / recorder.LOG_FILE).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [bool(row["auc"]) for row in rows] == [False, True, True]
    assert all(float(row["loss"]) > 0 for row in rows)


def test_a_balanced_epoch_has_all_classes_equally_often() -> None:
    labels = [1] * 30 + [0] * 970

    order = draw(len(labels), labels, torch.Generator().manual_seed(0))

    counts = Counter(labels[index] for index in order)
    assert len(order) == 1000
    assert counts[1] == pytest.approx(500, abs=60)


def test_an_epoch_that_is_not_balanced_has_every_case_once() -> None:
    assert sorted(draw(50, None, torch.Generator().manual_seed(0))) == list(range(50))


def test_balanced_training_is_what_the_setting_says(tmp_path: Path) -> None:
    rare, seen = Points(200, 3, share=0.05), Counter[float]()

    def counted(output: torch.Tensor, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        seen.update(batch["target"].tolist())
        return loss(output, batch)

    settings = replace(SETTINGS, epochs=2, balanced=True)
    fit(network(), rare, counted, validate, settings, tmp_path, torch.device("cpu"), progress=False)

    assert seen[1.0] / seen.total() == pytest.approx(0.5, abs=0.1)


def test_frozen_weights_and_means_stay(tmp_path: Path) -> None:
    start = network()
    freeze(start, {"0", "1"})
    before = {name: value.clone() for name, value in start.state_dict().items()}

    fitted = fit(start, TRAIN, loss, validate, SETTINGS, tmp_path, torch.device("cpu"), progress=False)

    after = fitted.network.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before if name[0] in "01")
    assert not torch.equal(after["4.weight"], before["4.weight"])


def test_a_loss_that_is_no_number_stops_the_training(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="lower the learning rate"):
        fit(
            network(),
            TRAIN,
            lambda output, batch: output.sum() * float("nan"),
            validate,
            SETTINGS,
            tmp_path,
            torch.device("cpu"),
            progress=False,
        )


def test_a_validation_without_the_figure_that_selects_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="gives auc, not 'f1'"):
        trained(tmp_path, replace(SETTINGS, monitor="f1"))


def test_the_forward_pass_may_take_more_than_one_input_in_half_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "bfloat16_pays", lambda device: True)
    kinds = set()

    def both(output: Mapping[str, torch.Tensor], batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        kinds.add(output["logit"].dtype)
        return loss(output["logit"], batch)

    fitted = fit(
        network(),
        TRAIN,
        both,
        validate,
        replace(SETTINGS, bfloat16=True),
        tmp_path,
        torch.device("cpu"),
        progress=False,
        forward=lambda module, batch: {"logit": module(batch["input"])},
    )

    assert kinds == {torch.float32}
    assert fitted.best["auc"] > 0.8


def test_without_a_validation_the_weights_of_the_last_epoch_are_kept(tmp_path: Path) -> None:
    def run(*, resume: bool = False) -> Fitted:
        return fit(network(), TRAIN, loss, None, SETTINGS, tmp_path, CPU, progress=False, resume=resume)

    fitted, again = run(), run(resume=True)

    assert fitted.best == fitted.history[-1]
    assert fitted.best["epoch"] == SETTINGS.epochs
    kept = torch.load(tmp_path / CHECKPOINT_FILE, weights_only=True)["kept"]
    assert all(torch.equal(value, kept[name]) for name, value in fitted.network.state_dict().items())
    assert all(torch.equal(value, kept[name]) for name, value in again.network.state_dict().items())


@pytest.mark.parametrize(
    ("cases", "batch", "steps"), [(10, 2, 5), (11, 2, 5), (11, 4, 3), (9, 4, 2), (1, 4, 1), (3, 1, 3)]
)
def test_an_epoch_has_the_steps_that_the_schedule_counts(cases: int, batch: int, steps: int) -> None:
    settings = replace(SETTINGS, batch=batch)

    assert steps_in_epoch(cases, batch) == steps
    assert len(list(batches(Points(cases, 0), settings, 1, CPU))) == steps


def test_channels_last_trains_on_weights_and_images_that_are_laid_out_so(tmp_path: Path) -> None:
    seen: list[bool] = []

    class Pictures(Points):
        def item(self, index: int, generator: torch.Generator) -> Mapping[str, torch.Tensor]:
            item = super().item(index, generator)
            return {**item, "input": item["input"].reshape(2, 1, 1).expand(2, 3, 3).clone()}

    def forward(module: torch.nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        seen.append(batch["input"].is_contiguous(memory_format=torch.channels_last))
        output: torch.Tensor = module(batch["input"])
        return output

    layers = (torch.nn.Conv2d(2, 4, 3), torch.nn.Flatten(), torch.nn.Linear(4, 1), torch.nn.Flatten(0))
    net = torch.nn.Sequential(*layers)
    settings = replace(SETTINGS, epochs=1, channels_last=True)

    fit(net, Pictures(20, 0), loss, None, settings, tmp_path, CPU, progress=False, forward=forward)

    weight = next(net.parameters())
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert not weight.is_contiguous()
    assert seen == [True, True]


@pytest.mark.parametrize("pays", [True, False])
def test_bfloat16_is_computed_where_it_pays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pays: bool) -> None:
    monkeypatch.setattr(fitting, "bfloat16_pays", lambda device: pays)
    kinds = set()

    def forward(module: torch.nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        output: torch.Tensor = module(batch["input"])
        kinds.add(output.dtype)
        return output

    settings = replace(SETTINGS, epochs=1, bfloat16=True)
    fit(network(), TRAIN, loss, None, settings, tmp_path, CPU, progress=False, forward=forward)

    assert kinds == {torch.bfloat16 if pays else torch.float32}


def test_the_learning_rate_rises_and_falls() -> None:
    rates = [learning_rate_factor(step, 100, 10) for step in range(100)]

    assert rates[0] < rates[5] < rates[10] == 1.0
    assert all(later <= former for former, later in pairwise(rates[10:]))
    assert 0.01 <= rates[-1] < 0.02


def test_cases_are_stacked_by_the_names_of_their_parts() -> None:
    items = [TRAIN.item(index, seeded(0)) for index in range(3)]

    batch = collate(items)

    assert {name: tuple(value.shape) for name, value in batch.items()} == {"input": (3, 2), "target": (3,)}


@pytest.mark.parametrize("wrong", [{"mode": "best"}, {"epochs": 0}, {"batch": 0}])
def test_settings_that_train_nothing_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        replace(SETTINGS, **wrong)  # type: ignore[arg-type]


def test_the_log_goes_to_tensorboard_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()

    trained(tmp_path, replace(SETTINGS, epochs=1))

    assert list((tmp_path / recorder.TENSORBOARD_FOLDER).glob("events*"))
