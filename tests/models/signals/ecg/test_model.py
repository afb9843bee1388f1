"""The shipped rhythm model on generated electrocardiograms, and what it declines."""

from __future__ import annotations

import numpy as np
import pytest

from models import catalog
from models.contracts import BatchModel, Finding, InputDeclined, Radiograph, Waveform
from models.outputs import check_output
from models.signals.ecg.model import RhythmModel
from models.signals.ecg.parts import FIBRILLATION, LABEL, VENTRICULAR_RATE
from tests.models.signals.generated import TWELVE, ecg, lead_two, twelve_leads


@pytest.fixture(scope="module")
def model() -> RhythmModel:
    loaded = catalog.load("ecg-af", "cpu")
    assert isinstance(loaded, RhythmModel)
    return loaded


def twelve(seed: int, *, fibrillation: bool, rate_hz: float = 500.0, seconds: float = 10.0) -> Waveform:
    lead, _ = lead_two(seconds, rate_hz, seed, fibrillation=fibrillation)
    return ecg(twelve_leads(lead, np.random.default_rng(seed)), rate_hz, TWELVE)


def single(seed: int, *, fibrillation: bool, rate_hz: float = 300.0, seconds: float = 30.0) -> Waveform:
    lead, _ = lead_two(seconds, rate_hz, seed, fibrillation=fibrillation)
    return ecg(lead, rate_hz)


def only(model: RhythmModel, waveform: Waveform) -> Finding:
    prediction = model.predict(waveform)
    check_output(prediction)
    (finding,) = prediction.findings
    return finding


@pytest.mark.parametrize("rate_hz", [125.0, 250.0, 1000.0])
def test_fibrillation_in_one_lead_is_found_and_a_sinus_rhythm_is_not_at_any_rate(
    model: RhythmModel, rate_hz: float
) -> None:
    sick = only(model, single(1, fibrillation=True, rate_hz=rate_hz))
    well = only(model, single(1, fibrillation=False, rate_hz=rate_hz))

    assert sick.present
    assert not well.present
    assert sick.code == FIBRILLATION
    assert sick.label == well.label == LABEL
    assert well.confidence is not None
    assert sick.confidence is not None
    assert sick.confidence > 0.6 > 0.3 > well.confidence


def test_fibrillation_in_twelve_leads_is_found_and_a_sinus_rhythm_is_not(model: RhythmModel) -> None:
    assert only(model, twelve(2, fibrillation=True)).present
    assert not only(model, twelve(2, fibrillation=False)).present


def test_the_finding_has_the_ventricular_rate_and_the_range_of_the_networks(model: RhythmModel) -> None:
    lead, beats = lead_two(30, 300, 3)

    finding = only(model, ecg(lead, 300))

    probability, rate = finding.measurements
    assert probability.lower is not None
    assert probability.upper is not None
    assert probability.lower <= probability.value <= probability.upper
    assert rate.name == VENTRICULAR_RATE
    assert rate.value == pytest.approx(60 / np.diff(beats).mean(), rel=0.02)


def test_several_records_at_once_get_the_answers_that_they_get_alone(model: RhythmModel) -> None:
    sources = [twelve(4, fibrillation=True), single(5, fibrillation=False), single(6, fibrillation=True, seconds=14)]

    together = model.predict_many(sources)

    assert isinstance(model, BatchModel)
    for source, prediction in zip(sources, together, strict=True):
        alone = model.predict(source)
        assert prediction.scores["probability"] == pytest.approx(alone.scores["probability"], abs=1e-4)
        assert prediction.findings[0].text == alone.findings[0].text


def test_the_unit_and_the_offset_of_a_record_make_no_difference(model: RhythmModel) -> None:
    lead, _ = lead_two(20, 300, 7, fibrillation=True)

    plain, other = model.predict(ecg(lead, 300)), model.predict(ecg(250 * lead + 4000, 300))

    assert other.scores["probability"] == pytest.approx(plain.scores["probability"], abs=0.01)


def test_importance_lies_where_the_fibrillation_is(model: RhythmModel) -> None:
    first, _ = lead_two(15, 300, 8)
    second, _ = lead_two(15, 300, 9, fibrillation=True)

    (trace,) = model.predict(ecg(np.concatenate([first, second]), 300)).traces

    times = trace.start_s + trace.step_s * np.arange(trace.values.size)
    before, after = trace.values[times < 14], trace.values[times > 16]
    assert times[-1] <= 30
    assert trace.values.max() <= 1
    assert after.mean() > 2 * before.mean()


def test_a_lead_that_is_off_is_left_out_and_named(model: RhythmModel) -> None:
    waveform = twelve(10, fibrillation=True)
    waveform.array[6:8] = 0

    prediction = model.predict(waveform)

    assert prediction.findings[0].present
    assert any("V1, V2" in warning for warning in prediction.warnings)


def test_exchanged_arm_electrodes_are_warned_of(model: RhythmModel) -> None:
    right = twelve(11, fibrillation=False)
    wrong = twelve(11, fibrillation=False)
    wrong.array[:6] = wrong.array[[0, 2, 1, 4, 3, 5]]
    wrong.array[0] *= -1

    assert not any("exchanged" in warning for warning in model.predict(right).warnings)
    assert any("exchanged" in warning for warning in model.predict(wrong).warnings)


def test_a_long_record_says_how_much_of_it_is_fibrillation_and_when(model: RhythmModel) -> None:
    rate_hz = 250.0
    lead, _ = lead_two(900, rate_hz, 12)
    sick, _ = lead_two(180, rate_hz, 13, fibrillation=True)
    lead[int(300 * rate_hz) : int(480 * rate_hz)] = sick

    prediction = model.predict(ecg(lead, rate_hz, ("MLII",)))

    (finding,), (trace,) = prediction.findings, prediction.traces
    assert finding.present
    assert finding.measurements[1].value == pytest.approx(100 * 180 / 900, abs=4)
    times = trace.start_s + trace.step_s * np.arange(trace.values.size)
    inside = (times > 300) & (times < 480)
    assert trace.values[inside].min() > 0.5 > trace.values[~inside].max()


def test_fibrillation_of_one_window_of_a_long_record_is_not_stated(model: RhythmModel) -> None:
    rate_hz = 250.0
    lead, _ = lead_two(600, rate_hz, 14)
    sick, _ = lead_two(30, rate_hz, 15, fibrillation=True)
    lead[int(300 * rate_hz) : int(330 * rate_hz)] = sick

    assert not only(model, ecg(lead, rate_hz)).present


NOISE = np.random.default_rng(0).normal(size=9000)


@pytest.mark.parametrize(
    ("waveform", "reason"),
    [
        (ecg(0.3 * NOISE, 300), "noisy|not like|heart beats"),
        (ecg(np.zeros(9000), 300), "no signal"),
        (ecg(NOISE[:900], 300), "lasts"),
        (ecg(NOISE, 50), "samples a second"),
        (ecg(NOISE, 300, ("Resp",)), "channels"),
        (Waveform(NOISE[None].astype(np.float32), 2000, ecg(NOISE, 300).channels, "AU"), "modality"),
        (Radiograph(np.zeros((9, 9), np.float32), "CR"), "radiograph"),
    ],
)
def test_what_the_model_was_not_made_for_is_declined_with_the_reason(
    model: RhythmModel, waveform: Waveform, reason: str
) -> None:
    with pytest.raises(InputDeclined, match=reason):
        model.predict(waveform)


def test_a_record_that_is_mostly_noise_is_declined_for_a_day_too(model: RhythmModel) -> None:
    with pytest.raises(InputDeclined, match="clean enough"):
        model.predict(ecg(np.random.default_rng(1).normal(size=200 * 300), 300))
