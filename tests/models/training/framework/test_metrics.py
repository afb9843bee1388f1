from __future__ import annotations

import json
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn import metrics as reference

from models.training.framework.metrics import (
    auc,
    average_precision,
    best_threshold,
    binary_report,
    bootstrap,
    ece,
    multiclass_report,
)

ROWS = st.lists(
    st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 1.0])), min_size=2, max_size=60
)


def columns(rows: list[tuple[bool, float]]) -> tuple[list[int], list[float]]:
    truth = [int(flag) for flag, _ in rows]
    assume(0 < sum(truth) < len(truth))
    return truth, [value for _, value in rows]


@given(ROWS)
def test_areas_agree_with_scikit_learn_also_with_ties(rows: list[tuple[bool, float]]) -> None:
    truth, probability = columns(rows)

    assert auc(truth, probability) == pytest.approx(reference.roc_auc_score(truth, probability))
    assert average_precision(truth, probability) == pytest.approx(reference.average_precision_score(truth, probability))


@given(ROWS, st.sampled_from([0.05, 0.3, 0.5, 0.95]))
def test_a_binary_report_agrees_with_scikit_learn(rows: list[tuple[bool, float]], threshold: float) -> None:
    truth, probability = columns(rows)
    called = [value >= threshold for value in probability]

    report = binary_report(truth, probability, threshold, resamples=2)

    assert report["confusion"] == reference.confusion_matrix(truth, called, labels=[0, 1]).tolist()
    assert report["accuracy"]["value"] == pytest.approx(reference.accuracy_score(truth, called), abs=1e-5)
    assert report["recall"]["value"] == pytest.approx(reference.recall_score(truth, called), abs=1e-5)
    assert report["brier"]["value"] == pytest.approx(reference.brier_score_loss(truth, probability), abs=1e-5)
    if any(called):
        assert report["precision"]["value"] == pytest.approx(reference.precision_score(truth, called), abs=1e-5)
        assert report["f1"]["value"] == pytest.approx(reference.f1_score(truth, called), abs=1e-5)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=3, max_size=50))
def test_a_report_of_several_classes_agrees_with_scikit_learn(rows: list[tuple[int, int]]) -> None:
    truth, called = [row[0] for row in rows], [row[1] for row in rows]
    probabilities = np.eye(3)[called] * 0.8 + 0.1

    report = multiclass_report(truth, probabilities, ["N", "A", "O"], resamples=2)

    assert report["confusion"] == reference.confusion_matrix(truth, called, labels=[0, 1, 2]).tolist()
    scores = reference.f1_score(truth, called, labels=[0, 1, 2], average=None, zero_division=np.nan)
    found = [report["classes"][name]["f1"]["value"] for name in ("N", "A", "O")]
    assert [np.nan if value is None else value for value in found] == pytest.approx(scores, abs=1e-5, nan_ok=True)


def test_the_calibration_error_is_the_mean_gap_over_bins() -> None:
    probability = [0.1] * 10 + [0.9] * 10
    truth = [1] * 3 + [0] * 7 + [1] * 9 + [0]

    assert ece(truth, probability) == pytest.approx(0.1)
    assert ece([1, 0], [1.0, 0.0]) == 0.0


@pytest.mark.parametrize("by", ["f1", "youden", "min_se_ppv"])
@given(rows=ROWS)
def test_no_threshold_is_better_than_the_best(
    by: Literal["f1", "youden", "min_se_ppv"], rows: list[tuple[bool, float]]
) -> None:
    truth, probability = columns(rows)

    def quality(threshold: float) -> float:
        called = np.array(probability) >= threshold
        true = np.array(truth, dtype=bool)
        hits = float((true & called).sum())
        sensitivity, precision = hits / sum(truth), hits / float(called.sum()) if called.any() else 0.0
        if by == "f1":
            return 2 * hits / float(called.sum() + true.sum())
        if by == "youden":
            return sensitivity - float((~true & called).sum()) / float((~true).sum())
        return min(sensitivity, precision)

    best = quality(best_threshold(truth, probability, by))
    assert best >= max(quality(value) for value in probability) - 1e-9


def test_a_threshold_needs_two_classes_and_a_known_measure() -> None:
    wrong: Any = "accuracy"
    with pytest.raises(ValueError, match="one class"):
        best_threshold([1, 1], [0.2, 0.3])
    with pytest.raises(ValueError, match="chosen by f1, youden"):
        best_threshold([1, 0], [0.2, 0.3], wrong)


def test_the_interval_of_few_patients_is_wider_than_that_of_as_many_cases() -> None:
    rng = np.random.default_rng(0)
    level = np.repeat(rng.normal(size=20), 10)

    cases = bootstrap(lambda index: float(level[index].mean()), np.arange(200), 0, 400)
    patients = bootstrap(lambda index: float(level[index].mean()), np.repeat(np.arange(20), 10), 0, 400)

    def width(figure: dict[str, float | None]) -> float:
        low, high = figure["ci_low"], figure["ci_high"]
        assert low is not None
        assert high is not None
        return high - low

    assert cases["value"] == patients["value"]
    assert width(patients) > 2 * width(cases)
    assert patients == bootstrap(lambda index: float(level[index].mean()), np.repeat(np.arange(20), 10), 0, 400)


def test_a_figure_that_is_not_defined_is_none_in_json() -> None:
    report = binary_report([0, 0, 0], [0.1, 0.2, 0.3], 0.5, resamples=5)

    assert report["auc"] == {"value": None, "ci_low": None, "ci_high": None}
    assert report["recall"]["value"] is None
    json.dumps(report, allow_nan=False)


def test_an_interval_leaves_out_resamples_without_a_positive_case() -> None:
    report = binary_report([1, 0, 0, 0], [0.9, 0.2, 0.3, 0.1], 0.5, resamples=200)

    assert report["auc"] == {"value": 1.0, "ci_low": 1.0, "ci_high": 1.0}


def test_probabilities_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        multiclass_report([0, 1], np.ones((2, 3)), ["a", "b"])
