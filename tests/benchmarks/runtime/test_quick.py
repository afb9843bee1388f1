"""The benchmark of the runtime counts right; how fast anything is, is no test's business."""

from __future__ import annotations

import numpy as np
import pytest

from models.contracts import Radiograph
from tests.benchmarks.runtime import parts
from tests.benchmarks.runtime.batching import Images


def test_a_batch_gives_what_one_at_a_time_gives() -> None:
    model = Images("cpu")
    images = [Radiograph(np.random.default_rng(n).random((64, 64), dtype=np.float32), "DX") for n in range(3)]
    together = [prediction.findings[0].confidence for prediction in model.predict_many(images)]
    alone = [model.predict(image).findings[0].confidence for image in images]
    assert together == pytest.approx(alone, abs=1e-5)
    assert len({round(value or 0, 6) for value in together}) == 3, "the images are told apart"


def test_both_sides_of_the_batches_go_through_the_process_for_models() -> None:
    found = parts.batches(1, 8)
    assert found["device"] in ("cpu", "cuda:0")
    for side in found["of"].values():
        assert side["per_minute"] > 0
        assert 0 < side["busy_share"] <= 1


def test_a_spread_names_the_middle_and_the_ends() -> None:
    assert parts._spread([3.0, 1.0, 2.0]) == {"median": 2.0, "lowest": 1.0, "highest": 3.0}
