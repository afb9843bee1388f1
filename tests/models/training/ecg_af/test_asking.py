"""What the whole model declines, and what it warns of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from models.contracts import InputDeclined, Prediction, Waveform
from models.signals.ecg.model import RhythmModel
from models.signals.ecg.network import FIBRILLATION, NORMAL
from models.signals.ecg.parts import TWELVE_LEADS
from models.training.ecg_af import asking
from models.training.ecg_af.data import CINC_RATE_HZ, NOISE, SINGLE_FOLDER, SINGLE_LABELS, Strip, read_single
from tests.models.training.ecg_af.test_training import mat4, strip


class Decliner:
    """Declines whatever is flat."""

    def predict(self, source: Waveform) -> Prediction:
        if not np.ptp(source.array):
            raise InputDeclined("flat")
        return Prediction(())


def records(*kinds: tuple[str, float]) -> Iterator[tuple[str, Waveform]]:
    for name, height in kinds:
        (_, waveform), *_ = asking.twelve_waveforms([strip(1, NORMAL, leads=12, seconds=10)])
        array = (waveform.array * height).astype(np.float32)
        yield name, Waveform(array, waveform.rate_hz, waveform.channels, "ECG")


def test_declined_records_are_counted_by_class() -> None:
    model = cast(RhythmModel, Decliner())

    found = asking.declined(model, records(("a", 1.0), ("a", 0.0), ("b", 1.0)), 3, progress=False)

    assert found == {"a": {"n": 2, "declined": 1}, "b": {"n": 1, "declined": 0}}


def test_single_leads_are_asked_about_as_they_were_recorded(tmp_path: Path) -> None:
    folder = tmp_path / SINGLE_FOLDER
    folder.mkdir()
    values = np.arange(3600, dtype=np.int16)
    (folder / "A00001.mat").write_bytes(mat4(values))
    (folder / SINGLE_LABELS).write_text("record,label\nA00001,~\n", encoding="utf-8")
    strips = read_single(tmp_path)

    [(name, waveform)] = asking.single_waveforms(tmp_path, strips)

    assert strips[0].label == NOISE
    assert name == "noise"
    assert waveform.rate_hz == CINC_RATE_HZ
    assert waveform.array[0] == pytest.approx(values / 1000.0)


def test_exchanging_the_arms_twice_gives_the_leads_back_and_keeps_einthovens_law() -> None:
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(2, 50))
    limbs = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    samples = np.stack([*limbs, *rng.normal(size=(6, 50))])

    exchanged = asking.with_arms_exchanged(samples)

    by_name = dict(zip(TWELVE_LEADS, exchanged, strict=True))
    assert np.array_equal(asking.with_arms_exchanged(exchanged), samples)
    assert by_name["II"] - by_name["I"] == pytest.approx(by_name["III"])
    assert -(by_name["I"] + by_name["II"]) / 2 == pytest.approx(by_name["aVR"])
    assert np.array_equal(exchanged[5:], samples[5:])


def test_generated_records_are_warned_of_only_once_the_arms_are_exchanged() -> None:
    strips: list[Strip] = [strip(seed, FIBRILLATION, leads=12, seconds=10) for seed in range(4)]

    found = asking.exchanged_arms(strips)

    assert found["n"] == 4
    assert found["warned_of_as_they_are"] == 0
    assert found["warned_of_when_exchanged"] > 0
