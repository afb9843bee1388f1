"""A small training on generated pictures, from the data set's file to a folder that the catalogue loads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from models import cards
from models.imaging.chest_xray import pneumonia
from models.training.chest_xray_pneumonia import augmentation, evaluate, scoping, stages, train, trainer
from tests.models.imaging.chest_xray.chests import chest, radiograph, write_hannover_set, write_pneumonia_set


@pytest.fixture(scope="module", autouse=True)
def few_networks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "MEMBERS", 2)
        patch.setattr(trainer, "SCRATCH_MEMBERS", 1)
        patch.setattr(trainer, "DRAWN", 50)
        patch.setattr(scoping, "TRIED", 5)
        for module in (pneumonia, trainer):
            patch.setattr(module, "PneumoniaNetwork", two_members)
        yield


_NETWORK = pneumonia.PneumoniaNetwork


def two_members(members: int = 2) -> pneumonia.PneumoniaNetwork:
    return _NETWORK(members)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    root = tmp_path_factory.mktemp("chests")
    write_pneumonia_set(root / "pneumonia", train=64, held_out=20)
    write_hannover_set(root / "cxr-covid-hannover", patients=10)
    out = root / "out"
    return root / "pneumonia", out, train(root / "pneumonia", out, seed=1, epochs=2, device="cpu", progress=False)


def test_a_training_leaves_a_folder_that_gives_the_same_figures(trained: tuple[Path, Path, dict[str, Any]]) -> None:
    data, out, report = trained

    again = evaluate(data, weights=out, device="cpu")

    assert again["held_out"] == report["held_out"]
    assert again["scope"] == report["scope"]
    assert again["weights_sha256"] == report["weights_sha256"] == cards.read_card(out).weights_sha256
    assert {path.name for path in out.glob("*.png")} == {"roc.png", "calibration.png", "confusion.png", "curves.png"}
    assert json.loads((out / "report.json").read_text(encoding="utf-8"))["held_out"] == report["held_out"]


def test_both_starts_are_reported(trained: tuple[Path, Path, dict[str, Any]]) -> None:
    stage = trained[2]["second_stage"]

    assert len(stage["from_first_stage"]["auc"]) == 2
    assert len(stage["from_nothing"]["auc"]) == 1
    assert 0 < stage["from_nothing"]["mean_loss_validation"] < 1


def test_the_card_names_what_was_used(trained: tuple[Path, Path, dict[str, Any]]) -> None:
    card = cards.read_card(trained[1])

    assert "20, held out" in card.data
    assert "radiographs of the COVID-19 Image Repository" in card.data
    assert card.metrics["held_out"] == trained[2]["held_out"]


def test_the_trained_model_tells_a_patch_from_none(trained: tuple[Path, Path, dict[str, Any]]) -> None:
    """Two epochs do not calibrate; that a patch is likelier than none is what they teach."""
    card = cards.read_card(trained[1])
    wide = {"scope_limits": {"arrangement": 1e6, "distance": 1e6, "residual": 1e6}}
    model = pneumonia.load(trained[1], "cpu")
    loose = pneumonia.PneumoniaModel(
        model._network, replace(card, metrics={**card.metrics, **wide}), torch.device("cpu")
    )

    with_patch, without = (
        [loose.predict(radiograph(chest(112, patch=patch, seed=5000 + i))).scores["probability"] for i in range(6)]
        for patch in (True, False)
    )

    assert sum(with_patch) > sum(without)


def test_a_picture_is_changed_by_the_generator_alone_and_stays_standardised() -> None:
    picture = torch.from_numpy(chest(28))

    first, same, other = (augmentation.changed(picture, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))

    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    for seed in range(30):
        found = augmentation.changed(picture, torch.Generator().manual_seed(seed))
        assert float(found.mean()) == pytest.approx(0, abs=1e-4)
        assert float(found.std(correction=0)) == pytest.approx(1, abs=1e-3)


def test_every_arrangement_is_asked_for() -> None:
    pictures = stages.Arranged(torch.from_numpy(chest(28)).numpy()[None])
    generator = torch.Generator().manual_seed(0)

    assert {int(pictures.item(0, generator)["target"]) for _ in range(100)} == set(range(8))
