"""Generated signals have what a reader would look for: waves, rhythm, murmur."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from node.simulator import signals

SEEDS = range(4)


def lead(made: signals.Ecg, name: str) -> npt.NDArray[np.float64]:
    row: npt.NDArray[np.float64] = made.array[made.leads.index(name)]
    return row


def around(made: signals.Ecg, name: str, low: float, high: float) -> npt.NDArray[np.float64]:
    """``[beat, sample]`` of each beat but the first and the last, from ``low`` to ``high`` seconds after it."""
    span = np.arange(round(low * made.rate_hz), round(high * made.rate_hz))
    at = np.rint(made.beats[1:-1] * made.rate_hz).astype(int)
    found: npt.NDArray[np.float64] = lead(made, name)[at[:, None] + span]
    return found


def irregularity(made: signals.Ecg) -> float:
    """How much distances of beats change from one to the next, against their mean."""
    distances = np.diff(made.beats)
    return float(np.sqrt(np.mean(np.diff(distances) ** 2)) / distances.mean())


@pytest.mark.parametrize("seed", SEEDS)
def test_sinus_rhythm_has_a_p_wave_before_and_a_t_wave_after_each_r_wave(seed: int) -> None:
    made = signals.ecg(seed)
    assert made.array.shape == (12, 5000)
    beat = around(made, "II", -0.3, 0.5).mean(axis=0)
    at = int(np.argmax(beat))
    assert abs(at - 0.3 * made.rate_hz) < 0.03 * made.rate_hz
    assert 0.7 < beat.max() - np.median(beat) < 2.5
    p_wave = beat[round(0.05 * made.rate_hz) : round(0.2 * made.rate_hz)]
    assert p_wave.max() - beat[: round(0.04 * made.rate_hz)].min() > 0.1
    assert beat[round(0.5 * made.rate_hz) : round(0.7 * made.rate_hz)].max() > np.median(beat) + 0.1


@pytest.mark.parametrize("seed", SEEDS)
def test_atrial_fibrillation_is_irregular_and_has_no_p_wave(seed: int) -> None:
    sinus, fibrillation = signals.ecg(seed, seconds=30.0), signals.ecg(seed, seconds=30.0, fibrillation=True)
    assert irregularity(sinus) < 0.08 < 0.15 < irregularity(fibrillation)
    waves = [around(made, "II", -0.25, -0.08).mean(axis=0) for made in (sinus, fibrillation)]
    assert np.ptp(waves[0]) > 2 * np.ptp(waves[1])


@pytest.mark.parametrize("seed", SEEDS)
def test_the_wave_of_the_atria_has_four_to_nine_turns_a_second(seed: int) -> None:
    rng, time = np.random.default_rng(seed), np.arange(0, 20, 1 / 250)
    power = np.abs(np.fft.rfft(signals.fibrillatory(rng, time))) ** 2
    assert 4 < np.fft.rfftfreq(len(time), 1 / 250)[int(np.argmax(power))] < 9


def test_limb_leads_obey_einthoven_and_goldberger() -> None:
    made = signals.ecg(3)
    np.testing.assert_allclose(lead(made, "I") + lead(made, "III"), lead(made, "II"), atol=1e-12)
    np.testing.assert_allclose(sum(lead(made, name) for name in ("aVR", "aVL", "aVF")), 0, atol=1e-12)


def test_the_r_wave_grows_from_v1_to_v4_and_the_s_wave_shrinks() -> None:
    beats = {name: around(signals.ecg(2), name, -0.1, 0.12).mean(axis=0) for name in ("V1", "V2", "V3", "V4")}
    highest = [float(beats[name].max()) for name in ("V1", "V2", "V3", "V4")]
    assert highest == sorted(highest)
    assert beats["V1"].min() < beats["V4"].min() < 0


@pytest.mark.parametrize("heart_rate", [45.0, 72.0, 140.0])
def test_the_heart_beats_as_often_as_asked(heart_rate: float) -> None:
    made = signals.ecg(1, seconds=60.0, heart_rate=heart_rate)
    assert len(made.beats) == pytest.approx(heart_rate, rel=0.06)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_murmur_fills_the_systole_with_high_sound_and_leaves_the_diastole(seed: int) -> None:
    shares = []
    for murmur in (False, True):
        sound = signals.heart_sound(seed, murmur=murmur)
        assert np.abs(sound).max() <= 1
        power = np.abs(np.fft.rfft(sound)) ** 2
        hertz = np.fft.rfftfreq(len(sound), 1 / 4000)
        shares.append(power[(hertz > 120) & (hertz < 300)].sum() / power.sum())
    assert shares[0] < 0.02 < 0.05 < shares[1]


def test_the_same_seed_gives_the_same_signal() -> None:
    np.testing.assert_array_equal(signals.ecg(5).array, signals.ecg(5).array)
    assert not np.array_equal(signals.ecg(5).array, signals.ecg(6).array)


def test_tones_rise() -> None:
    parts = np.array_split(signals.tones(), 8)
    crossings = [int((np.diff(np.signbit(part)) != 0).sum()) for part in parts]
    assert crossings == sorted(crossings)
    assert crossings[-1] == pytest.approx(2 * crossings[0], rel=0.1)
