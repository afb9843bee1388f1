from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from models import catalog
from models.contracts import (
    Code,
    Contribution,
    Finding,
    Measurement,
    Prediction,
    ScalarMap,
    SegmentSpec,
    Side,
    Trace,
)
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


def test_what_explains_an_answer_comes_back_too(tmp_path: Path) -> None:
    values = np.linspace(0, 1, 7, dtype=np.float32)
    heat = ScalarMap("heat", "Heat map", VOLUME, ML, np.ones((1, 2, 3), np.float32))
    before = Prediction(
        (Finding("absent", HIPPOCAMPUS, present=False),),
        maps=(heat,),
        traces=(
            Trace("saliency", "Importance", None, 0.25, 0.5, values),
            Trace("lead", "Lead II", 1, 0.0, 1.0, values),
        ),
        contributions=(
            Contribution(Code("2524-7", "LN", "Lactate"), 0.75, 4.5, Code("mmol/L", "UCUM", "mmol/L"), "high"),
            Contribution(Code("2160-0", "LN", "Creatinine"), -0.25),
        ),
        scores={"probability": 0.125, "out_of_scope": 3.5},
    )
    predictions.save(before, catalog.card("hippocampus"), tmp_path / "p")
    after, _ = predictions.read(tmp_path / "p")
    assert after.findings == before.findings
    assert after.contributions == before.contributions
    assert dict(after.scores) == before.scores
    assert [item.label for item in after.maps] == ["heat"]
    for one, other in zip(after.traces, before.traces, strict=True):
        assert (one.label, one.name, one.channel, one.start_s, one.step_s) == (
            other.label,
            other.name,
            other.channel,
            other.start_s,
            other.step_s,
        )
        np.testing.assert_allclose(one.values, other.values, atol=1e-3)


def test_a_file_of_an_older_version_is_read_without_what_it_does_not_have(tmp_path: Path) -> None:
    predictions.save(prediction(labels=True), catalog.card("hippocampus"), tmp_path / "p")
    raw = (tmp_path / "p").read_bytes()
    end = 8 + int.from_bytes(raw[:8], "little")
    said = {
        name: value
        for name, value in json.loads(raw[8:end]).items()
        if name not in ("traces", "contributions", "scores")
    }
    head = json.dumps(said).encode()
    (tmp_path / "p").write_bytes(len(head).to_bytes(8, "little") + head + raw[end:])
    after, _ = predictions.read(tmp_path / "p")
    assert (after.traces, after.contributions, dict(after.scores)) == ((), (), {})
    assert after.labels is not None
