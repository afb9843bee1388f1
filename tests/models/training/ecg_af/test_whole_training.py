"""The training of the rhythm model as one command on a few generated records, from files to figures that repeat."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models import cards
from models.signals.ecg import model
from models.training.ecg_af import evaluate, measuring, train, training
from models.training.ecg_af.data import SINGLE_FOLDER, SINGLE_LABELS, TWELVE_FOLDER
from models.training.framework import recorder
from tests.models.signals.generated import lead_two, twelve_leads
from tests.models.training.ecg_af.test_training import mat4

MEMBERS = 2
OF_EACH_CLASS = 6
SECONDS = 12.0


def write_single(folder: Path) -> None:
    folder.mkdir()
    rows = [["record", "label"]]
    for number in range(4 * OF_EACH_CLASS):
        label, name = "NAO~"[number % 4], f"A{number:05d}"
        lead, _ = lead_two(SECONDS, 300, number, fibrillation=label in "AO")
        noise = np.random.default_rng(number).normal(size=lead.size) * (2.0 if label == "~" else 0.0)
        (folder / f"{name}.mat").write_bytes(mat4(np.clip(1000 * (lead + noise), -32000, 32000).astype(np.int16)))
        rows.append([name, label])
    with (folder / SINGLE_LABELS).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def write_twelve(folder: Path, count: int = 14) -> None:
    folder.mkdir()
    rows: list[list[object]] = [["ecg_id", "patient_id", "strat_fold", "labels"]]
    signals = []
    for number in range(count):
        lead, _ = lead_two(10, 100, number, fibrillation=number % 2 == 1)
        signals.append(twelve_leads(lead, np.random.default_rng(number)).T)
        rows.append([number, number, 9 if number < 4 else 1, "AFIB" if number % 2 else "NORM"])
    np.savez(folder / "ptbxl_100hz.npz", ecg=np.stack(signals), ecg_id=np.arange(count), fs=100)
    with (folder / "ptbxl_labels.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """Fewer members, coarse intervals, one thread."""
    former = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "MEMBERS", MEMBERS)
        for module in (training, model):
            patch.setattr(module, "RhythmEnsemble", partial(model.RhythmEnsemble, MEMBERS))
        for name in ("binary_report", "multiclass_report", "bootstrap"):
            patch.setattr(measuring, name, partial(getattr(measuring, name), resamples=10))
        patch.setattr(recorder, "summary_writer", lambda folder: None)
        yield
    torch.set_num_threads(former)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    pytest.importorskip("sklearn")
    data, out = tmp_path_factory.mktemp("ecg"), tmp_path_factory.mktemp("out")
    write_single(data / SINGLE_FOLDER)
    write_twelve(data / TWELVE_FOLDER)
    return data, out, train(data, out, epochs=1, device="cpu", progress=False)


def test_a_training_leaves_a_folder_with_card_report_and_plots(trained: tuple[Path, Path, dict[str, Any]]) -> None:
    _, out, report = trained

    assert cards.read_card(out).weights_sha256 == report["weights_sha256"]
    assert {path.name for path in out.iterdir()} >= {
        "card.json", "confusion.png", "model.safetensors", "report.json", "roc-single.png", "roc-twelve.png",
        "split.json",
    }  # fmt: skip
    assert report["transfer"].keys() >= {"single_networks_on_lead_I", "from_single", "from_nothing"}
    json.dumps(report, allow_nan=False)


def test_an_evaluation_of_the_folder_repeats_the_figures_of_the_training(
    trained: tuple[Path, Path, dict[str, Any]],
) -> None:
    data, out, report = trained

    again = evaluate(data, weights=out, device="cpu")

    for part in ("held_out", "validation"):
        assert again[part]["single"]["rhythm"] == report[part]["single"]["rhythm"]
        for kind in ("single", "twelve"):
            measured, stated = (found[part][kind]["fibrillation"] for found in (again, report))
            assert measured["confusion"] == stated["confusion"]
            assert measured["brier"]["value"] == pytest.approx(stated["brier"]["value"], abs=1e-4)  # the card rounds
    assert again["exchanged_arms"]["n"] == 14
    assert sum(row["n"] for row in again["declined"]["twelve"].values()) == 4
