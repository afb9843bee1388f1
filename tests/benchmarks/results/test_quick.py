"""The benchmark of the results runs and counts right; how fast anything is, is no test's business."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.results.__main__ import main
from tests.benchmarks.results.contenders import CONTENDERS
from tests.benchmarks.results.measure import BARE, Figure
from tests.benchmarks.results.study import make
from workers.results.profile import Segmentation


def test_a_tiny_run_measures_every_kind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gc, "collect", lambda: 0)  # before each timing, of all that other tests have loaded
    target = tmp_path / "found.json"
    assert main(["--slices", "8", "--size", "32", "--rounds", "2", "--json", str(target)]) == 0
    found = json.loads(target.read_text(encoding="utf-8"))
    assert list(found["times"]) == ["binary", "fractional", "labelmap", "sr", BARE, "binary + sr"]
    for row in found["times"].values():
        assert row["ours_s"] > 0 < row["highdicom_s"]
        assert len(row["ratios"]) == 2
    assert found["sizes"]["binary"]["uncompressed_8_bit"] > 16 * 1024
    assert "| binary + sr |" in capsys.readouterr().out


def test_ratios_are_of_runs_of_one_round() -> None:
    figure = Figure("binary", (1.0, 9.0, 2.0), (2.0, 10.0, 1.0))
    assert figure.ratios == [0.5, 0.9, 2.0]
    assert figure.ratio == 0.9


@pytest.mark.parametrize("kind", ["binary", "fractional", "labelmap"])
def test_both_draw_the_same_frames(kind: Segmentation) -> None:
    inp = make(8, 32).read()
    ours, theirs = (contender.seg(inp, kind) for contender in CONTENDERS.values())
    assert ours.NumberOfFrames == theirs.NumberOfFrames > 1
    assert len(ours.SegmentSequence) == len(theirs.SegmentSequence)
    if kind == "binary":
        np.testing.assert_array_equal(ours.pixel_array, theirs.pixel_array)
