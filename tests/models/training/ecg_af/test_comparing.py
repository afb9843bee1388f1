"""Other ways to tell the rhythm of single leads, compared by records that they had not seen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.signals.ecg.intervals import NAMES
from models.training.ecg_af import compare, comparing, training
from models.training.framework.fit import TrainingError
from tests.models.training.ecg_af.test_growing import labelled


def test_a_strip_is_described_by_all_of_it() -> None:
    one = labelled()[0]

    found = comparing.described(one)

    assert found.label == one.label
    assert found.numbers.size > len(NAMES)


def test_a_right_answer_without_doubt_costs_nothing_and_a_wrong_one_is_bounded() -> None:
    truth = np.array([0, 1, 2, 3])
    sure = np.eye(4)

    right = comparing.judged(truth, comparing.as_logs(sure))
    wrong = comparing.judged(truth, comparing.as_logs(sure[::-1]))

    assert right["challenge_f1"]["value"] == right["fibrillation_auc"] == 1
    assert right["log_loss"] < 0.01
    assert wrong["log_loss"] == pytest.approx(-np.log(1e-3), rel=0.01)


def test_strips_of_fewer_classes_are_refused() -> None:
    pytest.importorskip("sklearn")
    few = [comparing.described(one) for one in labelled()[:8]]

    with pytest.raises(TrainingError, match="all 4 classes"):
        comparing.log_probabilities(comparing.METHODS["extra_trees"], 0, few, few)


def test_every_way_is_measured_on_the_same_strips(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    strips = [replace(one, group=one.case) for one in labelled()]
    ways = {name: comparing.METHODS[name] for name in ("extra_trees", "logistic_regression_few_numbers")}
    monkeypatch.setattr(comparing, "load_data", lambda _: training.Data(strips, [], [], []))
    monkeypatch.setattr(comparing, "METHODS", ways)
    monkeypatch.setattr(comparing, "TOGETHER", {"both": tuple(ways)})

    found = compare(tmp_path, device="cpu", progress=False)

    assert found.keys() == {"model", "n", "networks", "members_as_shipped", *ways, "both"}
    assert found["n"] == len(strips)
    assert found["extra_trees"]["challenge_f1"]["value"] > 0.9
    json.dumps(found, allow_nan=False)
