"""A waveform on disk becomes channels with names, in millivolts or parts of full scale."""

from __future__ import annotations

import re
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    AmbulatoryECGWaveformStorage,
    BasicVoiceAudioWaveformStorage,
    CardiacElectrophysiologyWaveformStorage,
    ExplicitVRBigEndian,
    General32bitECGWaveformStorage,
    GeneralAudioWaveformStorage,
    GeneralECGWaveformStorage,
    ImplicitVRLittleEndian,
    MRImageStorage,
)

from models.contracts import InputDeclined, Prediction
from tests.workers.reading.radiographs import save
from tests.workers.reading.waveforms import ANY, LEADS, TWELVE, channel, code, group, needs, samples, waveform
from workers.errors import SeriesRefused
from workers.reading import inputs
from workers.reading.waveform.channels import lead
from workers.reading.waveform.load import LoadedWaveform, read_waveform, read_waveform_headers


def loaded(folder: Path, ds: Dataset, wanted: Any = ANY) -> LoadedWaveform:
    return read_waveform(save(folder, ds), wanted)


@pytest.mark.parametrize("scheme", ["MDC", "SCPECG"])
def test_a_twelve_lead_ecg_comes_in_millivolts_with_its_leads_named(scheme: str, tmp_path: Path) -> None:
    ds = waveform(group([channel(name, scheme=scheme) for name in TWELVE]))
    source = loaded(tmp_path, ds).source
    np.testing.assert_allclose(source.array, samples(12, 1000) * 2.5 / 1000, rtol=1e-6)
    assert tuple(item.name for item in source.channels) == TWELVE
    assert {item.unit for item in source.channels} == {"mV"}
    assert (source.rate_hz, source.seconds, source.modality) == (500.0, 2.0, "ECG")


@pytest.mark.parametrize("sop_class", [
    GeneralECGWaveformStorage, AmbulatoryECGWaveformStorage, CardiacElectrophysiologyWaveformStorage,
])  # fmt: skip
def test_other_recordings_of_the_heart_are_read(sop_class: str, tmp_path: Path) -> None:
    source = loaded(tmp_path, waveform(group(["II"]), sop_class=sop_class)).source
    assert source.array.shape == (1, 1000)


def test_samples_of_32_bits_are_read(tmp_path: Path) -> None:
    stored = samples(1, 100) * 100_000
    ds = waveform(group(["II"], stored, word="<i4", kind="SL"), sop_class=General32bitECGWaveformStorage)
    np.testing.assert_allclose(loaded(tmp_path, ds).source.array, stored * 2.5 / 1000, rtol=1e-6)


@pytest.mark.parametrize(
    ("unit", "meaning", "factor", "name"),
    [
        ("uV", "microvolt", 1e-3, "mV"),
        ("mV", "millivolt", 1.0, "mV"),
        ("V", "volt", 1e3, "mV"),
        ("UV", "microvolt", 1e-3, "mV"),
        ("", "millivolt", 1.0, "mV"),
        ("mm[Hg]", "millimetres of mercury", 1.0, "mm[Hg]"),
    ],
)
def test_units_become_millivolts(unit: str, meaning: str, factor: float, name: str, tmp_path: Path) -> None:
    item = channel("II", ChannelSensitivityUnitsSequence=code(unit, "UCUM", meaning))
    source = loaded(tmp_path, waveform(group([item]))).source
    np.testing.assert_allclose(source.array, samples(1, 1000) * 2.5 * factor, rtol=1e-5)
    assert source.channels[0].unit == name


def test_sensitivity_correction_and_baseline_count(tmp_path: Path) -> None:
    item = channel("II", ChannelSensitivityCorrectionFactor=2, ChannelBaseline=-300)
    source = loaded(tmp_path, waveform(group([item]))).source
    np.testing.assert_allclose(source.array, (samples(1, 1000) * 2.5 * 2 - 300) / 1000, rtol=1e-5, atol=1e-6)


def test_samples_without_a_sensitivity_have_no_unit(tmp_path: Path) -> None:
    source = loaded(tmp_path, waveform(group([channel("II", sensitivity=None)]))).source
    np.testing.assert_array_equal(source.array, samples(1, 1000))
    assert source.channels[0].unit == ""


@pytest.mark.parametrize(("kind", "convert"), [("MB", "ulaw2lin"), ("AB", "alaw2lin")])
def test_companded_sound_is_expanded_as_python_does_it(kind: str, convert: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        audioop = pytest.importorskip("audioop")  # left out of Python 3.13
    codes = np.arange(256)
    expected = np.frombuffer(getattr(audioop, convert)(codes.astype(np.uint8).tobytes(), 2), dtype="<i2") / 32768
    item = group([channel("", sensitivity=None, WaveformBitsStored=8)], codes[None], word="u1", kind=kind, rate=8000.0)
    ds = waveform(item, sop_class=BasicVoiceAudioWaveformStorage, Modality="AU")
    np.testing.assert_allclose(loaded(tmp_path, ds).source.array[0], expected, atol=1e-7)


@pytest.mark.parametrize(
    ("word", "kind", "stored", "bits", "expected"),
    [
        ("<i2", "SS", [-32768, 0, 16384, 32767], 16, [-1, 0, 0.5, 32767 / 32768]),
        ("<u2", "US", [0, 32768, 49152], 16, [-1, 0, 0.5]),
        ("u1", "UB", [0, 128, 192], 8, [-1, 0, 0.5]),
        ("i1", "SB", [-128, 0, 64], 8, [-1, 0, 0.5]),
        ("<i2", "SS", [-2048, 0, 1024, 4000], 12, [-1, 0, 0.5, 1]),
    ],
)
def test_sound_is_a_part_of_full_scale(
    word: str, kind: str, stored: list[int], bits: int, expected: list[float], tmp_path: Path
) -> None:
    source = code("109114", "DCM", "Phonocardiogram")
    item = channel("", unit="Pa", WaveformBitsStored=bits, ChannelSourceSequence=source)
    ds = waveform(group([item], np.array([stored]), word=word, kind=kind), sop_class=GeneralAudioWaveformStorage)
    found = loaded(tmp_path, ds).source
    np.testing.assert_allclose(found.array[0], expected, atol=1e-7)
    assert (found.channels[0].name, found.channels[0].unit) == ("PCG", "")


def test_padding_is_not_a_number(tmp_path: Path) -> None:
    stored = samples(2, 50)
    stored[1, 10:20] = -32768
    item = group(["I", "II"], stored)
    item.add_new("WaveformPaddingValue", "OW", np.array([-32768], "<i2").tobytes())
    array = loaded(tmp_path, waveform(item)).source.array
    assert np.isnan(array).sum() == 10
    assert np.isnan(array[1, 10:20]).all()


@pytest.mark.parametrize("attribute", ["ChannelSampleSkew", "ChannelTimeSkew"])
def test_channels_that_were_sampled_one_after_another_are_brought_together(attribute: str, tmp_path: Path) -> None:
    time = np.arange(500)
    stored = np.stack([time * 4, (time + 0.5) * 4]).astype(np.int64)  # the second begins half a sample later
    definitions = [channel("I"), channel("II")]
    setattr(definitions[1], attribute, 0.5 if attribute == "ChannelSampleSkew" else 0.001)
    found = loaded(tmp_path, waveform(group(definitions, stored)))
    np.testing.assert_allclose(found.source.array[1, 1:], found.source.array[0, 1:], atol=1e-5)
    assert np.isnan(found.source.array[1, 0])  # before the first sample there is none
    assert found.bring_back(Prediction(())).warnings == (
        "The channels were not sampled together: they were moved by up to 1 ms.",
    )


def test_the_group_with_the_wanted_channels_is_read_and_of_these_the_longest(tmp_path: Path) -> None:
    beats, rhythm = group(TWELVE, samples(12, 600)), group(TWELVE, samples(12, 5000))
    other = group(["V1"], samples(1, 9000))
    found = loaded(tmp_path, waveform(beats, rhythm, other), needs(TWELVE, ("II",)))
    assert found.source.array.shape == (12, 5000)
    assert found.source.attributes["MultiplexGroup"] == "2"


def test_where_the_twelve_leads_are_too_short_the_rhythm_strip_is_read(tmp_path: Path) -> None:
    leads, strip = group(TWELVE, samples(12, 1250)), group(["II"], samples(1, 5000))
    found = loaded(tmp_path, waveform(leads, strip), needs(TWELVE, ("II",), seconds=(5.0, 60.0)))
    assert found.source.array.shape == (1, 5000)


def test_of_several_recordings_the_last_is_read_with_a_warning(tmp_path: Path) -> None:
    paths = save(tmp_path, *(waveform(group(["II"], samples(1, 100 * n)), number=n) for n in (2, 3, 1)))
    found = read_waveform(paths, ANY)
    assert found.source.array.shape == (1, 300)
    assert found.warnings == ("The series has 3 recordings: the last was read.",)
    (header,) = read_waveform_headers(paths[::-1], ANY)
    assert header.SOPInstanceUID == found.sources[0].SOPInstanceUID
    for ds in (header, found.sources[0]):
        assert "WaveformData" not in ds.WaveformSequence[0]
        assert len(ds.WaveformSequence[0].ChannelDefinitionSequence) == 1


def test_limb_leads_that_were_not_stored_follow_from_the_first_two(tmp_path: Path) -> None:
    eight = ("I", "II", *(f"V{n}" for n in range(1, 7)))
    found = loaded(tmp_path, waveform(group(eight)))
    array = dict(zip((item.name for item in found.source.channels), found.source.array, strict=True))
    assert set(array) == set(TWELVE)
    np.testing.assert_allclose(array["I"] + array["III"], array["II"], atol=1e-5)
    np.testing.assert_allclose(array["aVR"] + array["aVL"] + array["aVF"], 0, atol=1e-5)
    np.testing.assert_allclose(array["aVL"], (array["I"] - array["III"]) / 2, atol=1e-5)
    assert "III, aVR, aVL, aVF" in found.warnings[0]


def test_a_single_lead_gets_no_others(tmp_path: Path) -> None:
    found = loaded(tmp_path, waveform(group(["I", "II"])))
    assert [item.name for item in found.source.channels] == ["I", "II"]


def test_a_writer_that_gives_every_channel_one_code_is_read_by_its_labels(tmp_path: Path) -> None:
    definitions = [channel("I", ChannelLabel=label) for label in ("Lead I", "LEAD_II", "avr", "V5")]
    found = loaded(tmp_path, waveform(group(definitions)))
    assert [item.name for item in found.source.channels] == ["I", "II", "aVR", "V5"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Lead I (Einthoven)", "I"),
        ("AVF", "aVF"),
        ("MDC_ECG_LEAD_V3", "V3"),
        ("lead v6", "V6"),
        ("MLII", "MLII"),
        ("pcg", "PCG"),
        ("Pleth", ""),
        ("", ""),
    ],
)
def test_labels_are_understood_as_leads_where_they_are(text: str, name: str) -> None:
    assert lead(text) == name


def test_every_code_of_the_context_group_has_one_name() -> None:
    for name, number in LEADS.items():
        assert lead(name) == name, number


@pytest.mark.parametrize(
    ("ds", "reason"),
    [
        (waveform(group(["II"], NumberOfWaveformSamples=4_000_000)), "shorter than channels and samples"),
        (waveform(group(["II"], NumberOfWaveformSamples=4_000_000_000)), "too many to read"),
        (waveform(group(["II"], NumberOfWaveformSamples=0)), "missing or zero"),
        (waveform(group(["II"], SamplingFrequency=0)), "Sampling Frequency"),
        (waveform(group(["II"], kind="XX")), "interpretation XX are not read"),
        (waveform(group(["II"], ChannelDefinitionSequence=[])), "one item for each channel"),
        (waveform(group(["II"], WaveformData=b"")), "shorter"),
        (waveform(), "no Waveform Sequence"),
        (waveform(*[group(["II"], samples(1, 4))] * 65), "65 multiplex groups"),
        (waveform(group(["II"]), sop_class=MRImageStorage), "no waveform that is read"),
        (waveform(group(["II"]), SeriesInstanceUID=""), "SeriesInstanceUID is missing"),
        (waveform(group([channel("I"), channel("II", ChannelSampleSkew=5000)])), "skew is longer"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(ds: Dataset, reason: str, tmp_path: Path) -> None:
    with pytest.raises(SeriesRefused, match=reason):
        loaded(tmp_path, ds)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_other_transfer_syntaxes_give_the_same_samples(syntax: str, tmp_path: Path) -> None:
    item = group(["I", "II"], word=">i2" if syntax == ExplicitVRBigEndian else "<i2")
    ds = waveform(item)
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    np.testing.assert_allclose(loaded(tmp_path, ds).source.array, samples(2, 1000) * 2.5 / 1000, rtol=1e-6)


@given(at=st.integers(132, 1300), value=st.binary(min_size=1, max_size=6))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_read_or_refused_and_nothing_else(at: int, value: bytes, tmp_path: Path) -> None:
    (path,) = save(tmp_path, waveform(group(["I", "II"], samples(2, 64))))
    data = bytearray(path.read_bytes())
    data[at : at + len(value)] = value
    path.write_bytes(data)
    try:
        source = read_waveform([path], ANY).source
    except InputDeclined:
        return
    assert source.array.shape[0] == len(source.channels)


def test_the_table_of_readers_reads_waveforms(tmp_path: Path) -> None:
    paths = save(tmp_path, waveform(group(TWELVE)))
    found = inputs.read(paths, needs(TWELVE))
    assert found.planes
    assert inputs.headers(paths, needs(TWELVE))[0].SOPInstanceUID == dcmread(paths[0]).SOPInstanceUID


@pytest.mark.data
def test_a_real_ecg_has_the_samples_that_dcmtk_shows(
    real_data: Callable[[str], Path], peer: Callable[[str], str]
) -> None:
    path = real_data("dicom-pydicom") / "test_files" / "waveform_ecg.dcm"
    source = read_waveform([path], needs(TWELVE)).source
    assert tuple(item.name for item in source.channels) == TWELVE
    assert (source.rate_hz, source.seconds) == (1000.0, 10.0)
    assert source.attributes["MultiplexGroupLabel"] == "RHYTHM"
    stored = _dumped(peer("dcmdump"), path).reshape(10000, 12).T
    np.testing.assert_allclose(source.array, stored * 1.25 / 1000, atol=1e-6)  # Channel Sensitivity 1.25 uV
    by_name = dict(zip(TWELVE, source.array, strict=True))
    np.testing.assert_allclose(by_name["I"] + by_name["III"], by_name["II"], atol=0.003)  # Einthoven, to two steps


def _dumped(program: str, path: Path) -> npt.NDArray[np.int16]:
    """Samples of the first group as dcmdump prints them."""
    made = subprocess.run([program, "+L", "+P", "WaveformData", str(path)], check=True, capture_output=True, text=True)
    words = re.findall(r"[0-9a-f]{4}", made.stdout.split("OW", 1)[1].split("#", 1)[0])
    return np.array([int(word, 16) for word in words], dtype=np.uint16).astype(np.int16)
