"""Sensitivity at a number of false positives per scan, and errors of size."""

from __future__ import annotations

import numpy as np
import pytest

from models.contracts import ModelError
from models.training.lung_nodule.froc import LesionScore, ScanScore, curve, report, sensitivity, threshold_at
from models.training.lung_nodule.lesions import Inserted, Lesion
from models.training.lung_nodule.measured import Examined, Sized, detections, interval_factors, size_report, surest

SCANS = (
    ScanScore("a", (LesionScore(5.0, "solid", 0.9), LesionScore(12.0, "solid", 0.3)), (0.8, 0.2)),
    ScanScore("b", (LesionScore(25.0, "non-solid", -1.0),), (0.5, 0.4, 0.1)),
)


def test_a_threshold_lets_no_more_false_positives_through() -> None:
    for rate in (0.5, 1.0, 2.0):
        limit = threshold_at(SCANS, rate)
        assert sum(score > limit for scan in SCANS for score in scan.false) <= rate * len(SCANS)


def test_sensitivity_is_the_share_of_lesions_above_the_threshold() -> None:
    assert sensitivity(SCANS, threshold_at(SCANS, 0.5)) == pytest.approx(1 / 3)
    assert sensitivity(SCANS, threshold_at(SCANS, 2.0)) == pytest.approx(2 / 3)
    assert sensitivity(SCANS, 0.0) == pytest.approx(2 / 3)


def test_a_lesion_that_nothing_hit_is_never_found() -> None:
    assert curve(SCANS)[1][-1] == pytest.approx(2 / 3)


def test_the_report_counts_by_size_and_type() -> None:
    found = report(SCANS, (1.0,), 0.45, resamples=50)
    assert found["lesions"] == 3
    assert found["false_positives_per_scan"]["value"] == pytest.approx(1.0)
    assert found["sensitivity"]["under 6 mm"]["n"] == 1
    assert found["sensitivity"]["solid"]["operating"]["value"] == pytest.approx(0.5)
    assert found["sensitivity"]["non-solid"]["1 per scan"]["value"] == 0.0
    assert "part-solid" not in found["sensitivity"]


def inserted(long_mm: float) -> Inserted:
    return Inserted(Lesion((0.0, 0.0, 0.0), long_mm), long_mm, long_mm, long_mm**3 * 0.5236e-3, 0.0)


def examined(errors: list[float]) -> Examined:
    sized = {
        number: Sized(inserted(10.0), (10 + error, 9.0, 11.5), 9.0, (0.5, 0.4, 0.6), "solid", 0.0)
        for number, error in enumerate(errors)
    }
    logits = tuple(float(5 - number) for number in range(len(errors)))
    at = np.zeros((len(errors), 3))
    return Examined("x", tuple(inserted(10.0) for _ in errors), logits, tuple(range(len(errors))), at, sized, 1.0)


def test_a_second_detection_of_a_lesion_counts_neither_way() -> None:
    scan = Examined("x", (inserted(10.0),), (3.0, 2.0, 1.0), (0, 0, -1), np.zeros((3, 3)), {}, 1.0)
    assert detections([scan]) == ([3.0, 1.0], [1, 0])
    assert surest(scan, 0) == 3.0


def test_intervals_are_wide_enough_for_the_lesions_that_they_were_fitted_on() -> None:
    scans = [examined([0.5, -0.4, 0.9, 2.0, -1.0, 0.1, 0.3, -0.2, 0.6, 0.7])]
    factors = interval_factors(scans, -10.0)
    found = size_report(scans, -10.0, factors)
    assert found["all"]["long_axis_mm"]["interval_holds"] >= 0.9
    assert found["all"]["long_axis_mm"]["bias"]["value"] == pytest.approx(0.35, abs=1e-3)


def test_nothing_that_was_found_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(ModelError, match="train longer"):
        interval_factors([Examined("x", (), (), (), np.zeros((0, 3)), {}, 1.0)], 0.0)
