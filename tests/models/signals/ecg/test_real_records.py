"""The shipped rhythm model on real records that it was not trained on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models import catalog
from models.contracts import Channel, Waveform
from models.signals.ecg.model import RhythmModel
from models.signals.ecg.network import FIBRILLATION
from models.training.ecg_af.data import SINGLE_FOLDER, TWELVE_FOLDER, read_mat4, read_twelve
from models.training.framework.metrics import auc
from tests.models.signals.generated import TWELVE, ecg
from tests.models.signals.wfdb import read_16, read_212

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def model() -> RhythmModel:
    loaded = catalog.load("ecg-af", "cpu")
    assert isinstance(loaded, RhythmModel)
    return loaded


@pytest.fixture(scope="module")
def held_out() -> list[str]:
    split = json.loads((catalog.weights_folder("ecg-af") / "split.json").read_text(encoding="utf-8"))
    assert not set(split["held_out"]) & set(split["train"])
    return [str(case) for case in split["held_out"]]


def test_held_out_twelve_lead_records_are_told_apart(
    model: RhythmModel, held_out: list[str], real_data: Callable[[str], Path]
) -> None:
    strips = [strip for strip in read_twelve(real_data(TWELVE_FOLDER)) if strip.case in held_out][::4]

    found = [
        float(prediction.scores["probability"])
        for prediction in model.predict_many(
            [
                Waveform(strip.samples.astype(np.float32), 100.0, tuple(Channel(n, None, "mV") for n in TWELVE), "ECG")
                for strip in strips
            ]
        )
    ]

    assert len(strips) > 8
    assert auc([strip.label == FIBRILLATION for strip in strips], found) > 0.9


def test_most_held_out_single_leads_are_read_as_they_are_labelled(
    model: RhythmModel, held_out: list[str], real_data: Callable[[str], Path]
) -> None:
    folder = real_data(SINGLE_FOLDER)
    labels = dict(line.split(",") for line in (folder / "subset.csv").read_text(encoding="utf-8").splitlines())
    chosen = [case for case in held_out if labels.get(case) in {"N", "A"}][::12]

    right = 0
    for case in chosen:
        prediction = model.predict(ecg(read_mat4(folder / f"{case}.mat") / 1000.0, 300.0))
        right += prediction.findings[0].present == (labels[case] == "A")

    assert len(chosen) > 8
    assert right >= 0.75 * len(chosen)


def test_half_an_hour_of_sinus_rhythm_with_premature_beats_is_not_fibrillation(
    model: RhythmModel, real_data: Callable[[str], Path]
) -> None:
    signals, rate_hz = read_212(real_data("ecg-wfdb-samples") / "100.dat", 2, 360.0)

    (finding,) = model.predict(ecg(signals, rate_hz, ("MLII", "V5"))).findings

    assert not finding.present
    assert finding.measurements[2].value == pytest.approx(75.5, abs=1)


def test_an_infarction_in_sinus_rhythm_is_not_fibrillation(
    model: RhythmModel, real_data: Callable[[str], Path]
) -> None:
    signals = read_16(real_data("ecg-wfdb-samples") / "s0010_re.dat", 12, 2000.0)

    (finding,) = model.predict(ecg(signals, 1000.0, TWELVE)).findings

    assert not finding.present
