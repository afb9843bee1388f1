"""Denoising, spectrogram and scope of heart sounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.contracts import InputDeclined
from models.signals.filters import Array
from models.signals.heart_sound import denoise, reading, scope, spectrogram
from tests.models.signals.generated import heart_sound

RATE_HZ = denoise.RATE_HZ


def test_a_spike_is_taken_out_and_the_beats_stay() -> None:
    clean, _ = heart_sound(6, RATE_HZ, 0)
    spiky = clean.copy()
    spiky[5000] = 9.0

    found = denoise.remove_spikes(spiky)

    assert np.abs(found).max() <= np.abs(clean).max()
    assert np.mean(found[:4900] == clean[:4900]) > 0.99


def test_a_sound_without_spikes_stays_as_it_is() -> None:
    clean, _ = heart_sound(6, RATE_HZ, 1)

    assert np.array_equal(denoise.remove_spikes(clean), clean)


def test_steady_noise_is_made_quieter_than_the_beats() -> None:
    clean, _ = heart_sound(5, RATE_HZ, 2)
    noisy = clean + 0.05 * np.random.default_rng(0).normal(size=clean.size)

    found = denoise.subtract_noise(noisy)

    quiet = slice(int(1.0 * RATE_HZ), int(1.1 * RATE_HZ))
    loud = slice(int(0.3 * RATE_HZ), int(0.35 * RATE_HZ))
    assert found.shape == noisy.shape
    assert found[quiet].std() < 0.6 * noisy[quiet].std()
    assert found[loud].std() > 0.8 * clean[loud].std()


@settings(max_examples=30, deadline=None)
@given(arrays(np.float64, st.integers(100, 4000), elements=st.floats(-1, 1)), st.booleans())
def test_whatever_the_sound_it_comes_out_finite_and_of_the_same_length(samples: Array, subtract: bool) -> None:
    found = denoise.prepare(samples, RATE_HZ, subtract=subtract)

    assert found.shape == samples.shape
    assert np.isfinite(found).all()


@pytest.mark.parametrize("hertz", [40.0, 120.0, 300.0])
def test_a_tone_is_loudest_in_its_own_band(hertz: float) -> None:
    tone = np.sin(2 * np.pi * hertz * np.arange(10_000) / RATE_HZ)

    found = spectrogram.log_mel(tone)

    band = int(found.mean(axis=1).argmax())
    nearest = int(np.abs(np.fft.rfftfreq(spectrogram.TRANSFORM, 1 / RATE_HZ) - hertz).argmin())
    assert found.shape[0] == spectrogram.BANDS
    assert spectrogram.mel_filters()[band, nearest] > 0


def test_the_mel_scale_is_undone() -> None:
    hertz = np.array([25.0, 100.0, 400.0])

    assert spectrogram.mel_to_hertz(spectrogram.hertz_to_mel(hertz)) == pytest.approx(hertz)


def test_the_colour_of_a_microphone_makes_no_difference_to_what_the_network_sees() -> None:
    decibels = np.random.default_rng(0).normal(size=(32, 100)).astype(np.float32)
    colour = np.linspace(-20, 20, 32, dtype=np.float32)[:, None]

    assert spectrogram.centred(decibels + colour) == pytest.approx(spectrogram.centred(decibels), abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200_000))
def test_windows_cover_a_sound(length: int) -> None:
    starts = reading.window_starts(length)

    ends = [min(start + reading.WINDOW, length) for start in starts]
    assert starts[0] == 0
    assert ends[-1] == length
    assert all(later <= end for later, end in zip(starts[1:], ends, strict=False))


@pytest.mark.parametrize("per_minute", [50.0, 72.0, 110.0])
def test_the_heart_rate_is_that_of_the_first_sounds(per_minute: float) -> None:
    samples, _ = heart_sound(8, RATE_HZ, 3, per_minute=per_minute)

    found, periodicity = scope.rhythm(denoise.prepare(samples, RATE_HZ))

    assert found == pytest.approx(per_minute, rel=0.05)
    assert periodicity > 0.5


def test_a_loud_recording_that_is_not_clipped_is_not_called_so() -> None:
    samples, _ = heart_sound(8, 4000, 4)
    scaled = samples / np.abs(samples).max()

    scope.check_loudness(scaled, 4000)
    with pytest.raises(InputDeclined, match="clipped"):
        scope.check_loudness(np.clip(scaled, -0.2, 0.2), 4000)
