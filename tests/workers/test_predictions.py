from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from models import catalog
from models.contracts import Code, Finding, Measurement, Prediction, SegmentSpec, Side
from workers import predictions

ML = Code("mL", "UCUM", "milliliter")
VOLUME = Code("118565006", "SCT", "Volume")
HIPPOCAMPUS = Code("5366008", "SCT", "Hippocampus")


def prediction(labels: bool) -> Prediction:
    measured = Measurement(VOLUME, 1.5, ML, 1.2, 1.8, 0.95, "sum of voxels")
    finding = Finding("hippocampus", HIPPOCAMPUS, (measured,), Side.LEFT, 1, 0.9, "Hippocampus (left): 1.5 ml.")
    spec = SegmentSpec(1, "Hippocampus", HIPPOCAMPUS, HIPPOCAMPUS, HIPPOCAMPUS, (VOLUME,), (1, 2, 3))
    array = np.random.default_rng(0).integers(0, 2, (3, 4, 5), dtype=np.uint8) if labels else None
    return Prediction((finding, Finding("none", HIPPOCAMPUS)), array, (spec,), ("a limit",))


def test_a_prediction_comes_back_as_it_was(tmp_path: Path) -> None:
    before = prediction(labels=True)
    card = catalog.card("hippocampus")
    predictions.save(before, card, tmp_path / "p")
    after, after_card = predictions.read(tmp_path / "p")
    assert after_card == card
    assert after.findings == before.findings
    assert after.segments == before.segments
    assert after.warnings == before.warnings
    assert after.labels is not None
    assert before.labels is not None
    np.testing.assert_array_equal(after.labels, before.labels)


def test_a_prediction_that_draws_nothing_comes_back_too(tmp_path: Path) -> None:
    predictions.save(prediction(labels=False), catalog.card("hippocampus"), tmp_path / "p")
    assert predictions.read(tmp_path / "p")[0].labels is None


def test_a_finding_is_plain_json_for_the_records() -> None:
    finding = prediction(labels=False).findings[0]
    assert predictions.finding_from(json.loads(json.dumps(predictions.to_json(finding)))) == finding
