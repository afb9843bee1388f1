"""Losses, calibration, transfer, plots and records."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from models import cards, catalog, runtime
from models.training.framework import plots
from models.training.framework.calibration import Calibration, fit_calibration
from models.training.framework.division import Split
from models.training.framework.fit import TrainingError
from models.training.framework.losses import class_weights, multi_task, weighted_bce
from models.training.framework.metrics import ece
from models.training.framework.records import round_to_half, write_folder
from models.training.framework.transfer import freeze, load_matching, parameter_groups
from tests.models.training.framework.toys import network

RNG = np.random.default_rng(0)


def over_confident(count: int = 4000) -> tuple[Any, Any]:
    """Logits three times too large and moved by one, and what happened."""
    true = RNG.normal(size=count)
    return 3 * true + 1, RNG.random(count) < 1 / (1 + np.exp(-true))


def test_a_calibration_undoes_what_makes_logits_too_large() -> None:
    logits, truth = over_confident()

    found = fit_calibration(logits, truth)

    assert found.slope == pytest.approx(1 / 3, abs=0.03)
    assert found.intercept == pytest.approx(-1 / 3, abs=0.1)
    assert ece(truth, found.apply(logits)) < 0.03 < ece(truth, Calibration().apply(logits))
    assert Calibration(**found.as_dict()) == found
    assert fit_calibration(logits, truth, intercept=False).intercept == 0.0


def test_a_calibration_of_separated_cases_stays_finite() -> None:
    found = fit_calibration([-2.0, -1.0, 1.0, 2.0], [0, 0, 1, 1])

    assert 1 < found.slope < 100


def test_a_calibration_needs_both_classes() -> None:
    with pytest.raises(ValueError, match="both classes"):
        fit_calibration([0.1, 0.2], [1, 1])


def test_rare_classes_weigh_more_and_the_mean_weight_is_one() -> None:
    weights = class_weights([0] * 90 + [1] * 10, classes=3)

    assert weights[1] == pytest.approx(9 * float(weights[0]))
    assert (90 * weights[0] + 10 * weights[1]) / 100 == pytest.approx(1)
    assert weights[2] == 0


def test_positive_cases_weigh_what_is_asked() -> None:
    logits, target = torch.tensor([0.0, 0.0]), torch.tensor([1.0, 0.0])

    assert weighted_bce(logits, target, 3.0) == pytest.approx(2 * float(weighted_bce(logits, target)))
    assert weighted_bce(torch.tensor([9.0]), torch.tensor([1.0]), smoothing=0.1) > 0.4


def test_the_loss_of_several_heads_is_their_weighted_sum() -> None:
    loss = multi_task(
        {"a": (1.0, lambda output, batch: output.mean()), "b": (0.5, lambda output, batch: batch["x"].sum())}
    )

    assert loss({"a": torch.tensor([2.0]), "b": torch.zeros(1)}, {"x": torch.tensor([4.0])}) == pytest.approx(4.0)


def test_what_fits_is_loaded_and_the_rest_is_named() -> None:
    old, new = network(1), network(2)
    tensors = {f"net.{name}": value.clone() for name, value in runtime.named_tensors(old).items()}
    tensors["net.4.weight"] = torch.zeros(3, 8)

    left = load_matching(new, tensors, prefix="net.")

    assert left == ["4.weight"]
    assert torch.equal(runtime.named_tensors(new)["0.weight"], tensors["net.0.weight"])
    with pytest.raises(TrainingError, match="none of the checkpoint's"):
        load_matching(new, tensors)


def test_what_was_loaded_learns_more_slowly_and_what_is_frozen_not_at_all() -> None:
    net = network()

    frozen = freeze(net, {"0"})
    groups = parameter_groups(net, 1e-3, 0.1, fresh={"4"})

    assert frozen == 2
    assert [(len(group["params"]), group["lr"]) for group in groups] == [(2, 1e-3), (2, pytest.approx(1e-4))]
    with pytest.raises(TrainingError, match="no parameters called decoder"):
        freeze(net, {"decoder"})


def test_plots_are_small_pictures(tmp_path: Path) -> None:
    logits, truth = over_confident(500)
    probability = Calibration().apply(logits)

    plots.roc(tmp_path / "roc.png", truth, probability)
    plots.calibration(tmp_path / "calibration.png", truth, probability)
    plots.confusion(tmp_path / "confusion.png", [[90, 10], [5, 20]], ["normal", "abnormal"])
    plots.curves(tmp_path / "curves.png", [{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": 0.5, "auc": 0.8}])
    plots.by_case(tmp_path / "by_case.png", {"first": [0.9, 0.8, 0.95], "second": [0.7, 0.9, 0.9]}, "Dice")
    plots.agreement(tmp_path / "agreement.png", {"a": ([1, 2], [1.1, 1.9]), "b": ([3], [4])}, "ml", {"a": [0.2, 0.3]})
    plots.agreement(tmp_path / "nothing.png", {"a": ([], [])}, "mm")

    for name in ("roc", "calibration", "confusion", "curves", "by_case", "agreement", "nothing"):
        file = tmp_path / f"{name}.png"
        assert file.stat().st_size < 60_000
        with Image.open(file) as picture:
            assert picture.size == (360, 340)


def test_a_folder_of_weights_reads_as_the_catalogue_reads_it(tmp_path: Path) -> None:
    net, card = network(), catalog.card("hippocampus")

    written = write_folder(
        tmp_path, net, replace(card, weights_sha256=""), {"n": 3}, Split(("a",), ("b",), ("c",)), licence="CC"
    )

    assert cards.read_card(tmp_path).weights_sha256 == written.weights_sha256
    copy = network(5)
    runtime.load_into(copy, runtime.read_weights(tmp_path / cards.WEIGHTS_FILE, written.weights_sha256))
    assert torch.allclose(copy.eval()(torch.ones(1, 2)), net.eval()(torch.ones(1, 2)), atol=1e-2)
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["n"] == 3
    assert report["model"] == card.name
    assert json.loads((tmp_path / "split.json").read_text(encoding="utf-8"))["held_out"] == ["c"]
    assert (tmp_path / "LICENSE.txt").read_text(encoding="utf-8") == "CC\n"


def test_rounded_weights_are_those_that_a_file_of_weights_gives_back(tmp_path: Path) -> None:
    net = network()
    net.register_buffer("count", torch.tensor(3))
    whole = runtime.named_tensors(net)["0.weight"].clone()

    round_to_half(net)
    digest = runtime.save_weights(net, tmp_path / cards.WEIGHTS_FILE)

    back = runtime.read_weights(tmp_path / cards.WEIGHTS_FILE, digest)
    rounded = runtime.named_tensors(net)
    assert not torch.equal(rounded["0.weight"], whole)
    assert rounded["count"].dtype == torch.int64
    assert all(torch.equal(value, back[name].to(value.dtype)) for name, value in rounded.items())


def test_a_report_with_a_number_that_is_none_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        write_folder(tmp_path, network(), catalog.card("hippocampus"), {"auc": float("nan")}, Split((), (), ()))
