"""Variants of the heart sound model, and what the sub-database tells alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from models.training.heart_sound import compare, comparing, measuring
from models.training.heart_sound.data import Sound
from models.training.heart_sound.fitting import Seen
from tests.models.signals.generated import heart_sound


def sounds(count: int) -> list[Sound]:
    made = []
    for seed in range(count):
        samples, _ = heart_sound(5, 2000, seed, murmur=0.1 * (seed % 2))
        made.append(Sound(f"a{seed:04d}-0", f"a{seed:04d}", "a", samples, 2000, bool(seed % 2)))
    return made


def test_variants_are_trained_and_measured_on_the_same_sounds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(comparing, "read_part", lambda data, part: sounds(12))

    found = compare(tmp_path, epochs=1, device="cpu", progress=False)

    assert found.keys() == {"model", *comparing.VARIANTS}
    for name in comparing.VARIANTS:
        assert found[name]["epochs"] == found[name]["kept_epoch"] == 1
        assert found[name]["n"] == 4
    json.dumps(found, allow_nan=False)
    assert not list(tmp_path.iterdir())


def test_the_rule_of_the_sub_database_hears_nothing() -> None:
    items = [
        Seen(str(i), "ae"[i % 2], np.zeros((1, 1), np.float32), abnormal)
        for i, abnormal in enumerate([True, False, True, False, False, True])
    ]

    assert measuring.database_alone(items)["value"] == pytest.approx(2 / 3, abs=1e-4)
