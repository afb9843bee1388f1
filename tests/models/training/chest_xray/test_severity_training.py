"""The heads of the late fusion on generated pictures and values, from the data set's files to a loaded model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models import cards
from models.contracts import RecordValue
from models.imaging.chest_xray import severity
from models.imaging.chest_xray.heads import Heads
from models.training.chest_xray_pneumonia import scoping
from models.training.chest_xray_severity import compare, comparing, evaluate, fusing, train, trainer
from models.training.framework.metrics import auc
from tests.models.imaging.chest_xray.chests import chest, radiograph, write_hannover_set

RESAMPLES = 4
_NETWORK = severity.SeverityNetwork


def few_resamples() -> severity.SeverityNetwork:
    return _NETWORK(resamples=RESAMPLES)


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "RESAMPLES", RESAMPLES)
        patch.setattr(trainer, "DRAWN", 50)
        patch.setattr(fusing, "REPEATS", 2)
        patch.setattr(scoping, "TRIED", 5)
        for module in (trainer, severity):
            patch.setattr(module, "SeverityNetwork", few_resamples)
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    root = tmp_path_factory.mktemp("severity")
    write_hannover_set(root / "set", patients=40)
    return root / "set", root / "out", train(root / "set", root / "out", device="cpu", progress=False)


def test_a_training_leaves_a_folder_that_gives_the_same_figures(trained: tuple[Path, Path, dict[str, Any]]) -> None:
    data, out, report = trained

    again = evaluate(data, weights=out, device="cpu")

    assert again["held_out"] == report["held_out"]
    assert again["weights_sha256"] == cards.read_card(out).weights_sha256


def test_what_separates_the_generated_patients_is_found(trained: tuple[Path, Path, dict[str, Any]]) -> None:
    """CRP tells the generated outcome but for those who lack it; so does the view, which no head is given."""
    figures = trained[2]["cross_validation"]

    assert figures["auc"]["labs"]["value"] > 0.8
    assert figures["auc"]["both"]["value"] > 0.8
    assert figures["view_alone"]["value"] == 1
    assert figures["by_view"]["AP"]["both"] == {"n": 16, "severe": 16}
    assert cards.read_card(trained[1]).metrics["proven"] is True


def test_a_high_value_raises_the_answer_of_the_loaded_model(trained: tuple[Path, Path, dict[str, Any]]) -> None:
    card = cards.read_card(trained[1])
    wide = {"scope_limits": {"arrangement": 1e6, "distance": 1e6, "residual": 1e6}}
    loaded = severity.load(trained[1], "cpu")
    model = severity.SeverityModel(
        loaded._network, replace(card, metrics={**card.metrics, **wide}), torch.device("cpu")
    )
    source = radiograph(chest(64), age=60)

    low, high = (
        model.predict(
            replace(source, record=replace(source.record, values=(RecordValue("1988-5", crp, "mg/L", -1.0),)))
        )
        for crp in (20.0, 170.0)
    )

    assert high.scores["probability"] > low.scores["probability"] + 0.1
    assert high.contributions[0].weight > 0 > low.contributions[0].weight


def table(patients: int, seed: int = 0) -> fusing.Table:
    rng = np.random.default_rng(seed)
    truth = np.arange(patients) % 2
    features = rng.normal(size=(patients, 30)) + truth[:, None]
    labs = tuple({"crp": float(np.exp(3 + t + rng.normal()))} if i % 4 else {} for i, t in enumerate(truth))
    return fusing.Table(tuple(f"p{i // 2}" for i in range(patients)), features, labs, truth)


def test_no_patient_is_judged_by_a_fit_that_saw_it() -> None:
    some = table(40)

    for train_places, test_places in fusing.by_patient(some, seed=0):
        assert not {some.patients[i] for i in train_places} & {some.patients[i] for i in test_places}
    assert sorted(i for _, test_places in fusing.by_patient(some, 0) for i in test_places) == list(range(40))


def test_outcomes_without_cause_are_not_found() -> None:
    """Figures of noise are near one half: nothing leaks from the fits to the judged cases, in either direction."""
    found: dict[str, list[float]] = {"image": [], "labs": [], "both": []}
    for seed in range(8):
        rng = np.random.default_rng(seed)
        some = table(60, seed)
        labs = tuple(some.labs[i] for i in rng.permutation(60))
        noise = fusing.Table(some.patients, rng.normal(size=(60, 30)), labs, some.truth)
        for name, values in fusing.out_of_fold(noise, 0).items():
            found[name].append(auc(noise.truth, values))

    for name, figures in found.items():
        assert np.mean(figures) == pytest.approx(0.5, abs=0.1), name


def test_resampled_patients_come_with_all_their_pictures_and_both_outcomes() -> None:
    some = table(24)

    for drawn in fusing.resampled(some, seed=0, count=10):
        assert set(drawn.truth) == {0, 1}
        counts = {name: drawn.patients.count(name) for name in set(drawn.patients)}
        assert all(count % 2 == 0 for count in counts.values())


def test_heads_as_tensors_answer_as_the_fit_does() -> None:
    some = table(40)
    usual, spread = fusing.usual_labs(some)
    fit = fusing.fit(some, usual, spread, 0)
    heads = Heads(30, 5, resamples=0)
    fusing.fill(heads, [fit], usual, spread)
    labs = torch.from_numpy(fusing.standard_labs(some, usual, spread)).float()
    known = torch.tensor([bool(values) for values in some.labs])

    parts = heads(torch.from_numpy(some.features).float(), labs, known)

    assert parts.answer[:, 0].numpy() == pytest.approx(fit.logits(some, usual, spread)["both"], abs=1e-4)


def test_what_was_tried_is_measured_on_the_training_patients(trained: tuple[Path, Path, dict[str, Any]]) -> None:
    found = compare(trained[0], device="cpu", progress=False)

    assert found.keys() == {"model", "patients", *comparing.VARIANTS, "pneumonia_log_odds_without_a_fit"}
    assert found["as_shipped"]["auc"] == trained[2]["cross_validation"]["auc"]
    assert found["patients"] == trained[2]["cross_validation"]["patients"]
    json.dumps(found, allow_nan=False)


def test_grey_values_are_means_over_squares() -> None:
    network = few_resamples().eval()
    pixels = np.arange(2 * 28 * 28, dtype=np.float32).reshape(2, 28, 28)

    found = comparing.features_of(network, pixels, torch.device("cpu"))

    assert found["grey"].shape == (2, 14 * 14)
    assert found["grey"][0, 0] == pixels[0, :2, :2].mean()
    assert {name: values.shape[1] for name, values in found.items()} == {
        "trunks": 320, "arrangement": 64, "pneumonia": 1, "grey": 196
    }  # fmt: skip
