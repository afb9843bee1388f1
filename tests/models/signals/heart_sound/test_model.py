"""The shipped heart sound model on generated and on real sounds, and what it declines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models import catalog
from models.contracts import BatchModel, InputDeclined, Waveform
from models.outputs import check_output
from models.signals.heart_sound.model import HeartSoundModel
from models.signals.heart_sound.parts import ABNORMAL, HEART_RATE, WARNING
from models.training.framework.metrics import auc
from models.training.heart_sound.data import FOLDER, HELD_OUT, read_part
from tests.models.signals.generated import ecg, heart_sound, sound

NOISE = np.random.default_rng(0).normal(size=20_000)


@pytest.fixture(scope="module")
def model() -> HeartSoundModel:
    loaded = catalog.load("heart-sound", "cpu")
    assert isinstance(loaded, HeartSoundModel)
    return loaded


def test_a_sound_gets_one_finding_with_its_probability_and_the_heart_rate(model: HeartSoundModel) -> None:
    samples, _ = heart_sound(6, 4000, 1, per_minute=75)

    prediction = model.predict(sound(samples, 4000))

    check_output(prediction)
    (finding,) = prediction.findings
    probability, rate = finding.measurements
    assert prediction.warnings == (WARNING,)
    assert finding.code == ABNORMAL
    assert finding.present == (probability.value >= model.card.metrics["operating"]["threshold"])
    assert probability.lower is not None
    assert probability.upper is not None
    assert 0 <= probability.lower <= probability.value <= probability.upper <= 1
    assert rate.name == HEART_RATE
    assert rate.value == pytest.approx(75, abs=4)


def test_several_sounds_at_once_get_the_answers_that_they_get_alone(model: HeartSoundModel) -> None:
    sources = [sound(heart_sound(seconds, 2000, 2)[0], 2000) for seconds in (3.5, 5.0, 6.0)]

    together = model.predict_many(sources)

    assert isinstance(model, BatchModel)
    for source, prediction in zip(sources, together, strict=True):
        assert prediction.scores["probability"] == pytest.approx(model.predict(source).scores["probability"], abs=1e-4)


def test_the_answer_hangs_neither_on_the_rate_nor_on_the_loudness(model: HeartSoundModel) -> None:
    slow, fast = (sound(heart_sound(5, rate_hz, 3)[0], rate_hz) for rate_hz in (2000.0, 8000.0))
    quiet = sound(0.1 * heart_sound(5, 2000, 3)[0], 2000)

    probability = model.predict(slow).scores["probability"]

    assert model.predict(quiet).scores["probability"] == pytest.approx(probability, abs=0.02)
    assert model.predict(fast).scores["probability"] == pytest.approx(probability, abs=0.15)


def test_the_trace_covers_a_short_sound_and_shows_the_windows_of_a_long_one(model: HeartSoundModel) -> None:
    (short,) = model.predict(sound(heart_sound(5, 2000, 4)[0], 2000)).traces
    (long,) = model.predict(sound(heart_sound(40, 2000, 5)[0], 2000)).traces

    assert short.label == "importance"
    assert short.start_s + short.step_s * (short.values.size - 1) == pytest.approx(5, abs=0.25)
    assert 0 <= short.values.min() <= short.values.max() <= 1
    assert long.label == "probability-over-time"
    assert long.start_s + long.step_s * (long.values.size - 1) <= 40


def voice() -> Waveform:
    time_s = np.arange(10_000) / 2000
    phase = 2 * np.pi * np.cumsum(140 * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * time_s))) / 2000
    loudness = 0.2 * np.clip(np.sin(2 * np.pi * 4 * time_s) + 0.3, 0, 1)
    return sound(loudness * sum(np.sin(k * phase) / k for k in range(1, 6)), 2000)


@pytest.mark.parametrize(
    ("waveform", "reason"),
    [
        (sound(np.zeros(10_000), 2000), "no signal|silent"),
        (sound(2e-4 * NOISE[:10_000], 2000), "silent"),
        (sound(0.1 * NOISE, 4000), "above 400 Hz"),
        (sound(np.convolve(0.1 * NOISE, np.ones(8) / 8, "same"), 2000), "steady noise|not like"),
        (sound(np.clip(5 * heart_sound(5, 2000, 6)[0], -0.5, 0.5), 2000), "clipped"),
        (sound(heart_sound(2, 2000, 6)[0], 2000), "lasts"),
        (sound(heart_sound(60, 500, 6)[0], 500), "samples a second"),
        (voice(), "not like"),
        (ecg(NOISE, 2000), "modality"),
    ],
)
def test_what_is_no_heart_sound_is_declined_with_the_reason(
    model: HeartSoundModel, waveform: Waveform, reason: str
) -> None:
    with pytest.raises(InputDeclined, match=reason):
        model.predict(waveform)


@pytest.mark.data
def test_held_out_sounds_are_told_apart(model: HeartSoundModel, real_data: Callable[[str], Path]) -> None:
    sounds = read_part(real_data(FOLDER), HELD_OUT)[::8]

    found = model.predict_many([sound(one.samples, one.rate_hz) for one in sounds])

    scores = [prediction.scores["probability"] for prediction in found]
    assert auc([one.abnormal for one in sounds], scores) > 0.75
