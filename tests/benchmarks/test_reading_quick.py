"""The benchmark of reading runs and compares equal volumes; how fast anything is, is no test's business."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("SimpleITK")

from tests.benchmarks import reading


def test_every_form_is_read_by_everybody_and_compared() -> None:
    found = reading.measure(1, reading.FORMS, slices=4, width=64)
    assert set(found["forms"]) == set(reading.FORMS)
    for form in found["forms"].values():
        assert form["ours_s"]["median"] > 0
        for name in ("SimpleITK", "SimpleITK, names in order"):
            ratio = form[name]["seconds"]["median"] / form["ours_s"]["median"]
            assert form[name]["ratio"]["median"] == pytest.approx(ratio, rel=0.2, abs=0.05)


def test_files_come_in_another_order_than_slices(tmp_path: Path) -> None:
    paths = reading.write_series(tmp_path / "series", "native", 8, 32)
    assert sorted(paths) != paths
    np.testing.assert_array_equal(reading.ours(paths), reading.simpleitk_in_order(paths))


def test_readers_that_differ_stop_the_benchmark() -> None:
    with pytest.raises(SystemExit, match="different values"):
        reading._check_equal([np.zeros((1, 2, 2), np.float32), np.ones((1, 2, 2), np.float32)])
