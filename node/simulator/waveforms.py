"""Generated waveform objects: ECGs, heart sounds, a voice (PS3.3 A.34, C.10.9). Nobody was recorded."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    AmbulatoryECGWaveformStorage,
    BasicVoiceAudioWaveformStorage,
    GeneralAudioWaveformStorage,
    GeneralECGWaveformStorage,
    TwelveLeadECGWaveformStorage,
)

from node.simulator import signals
from node.simulator.ris import Person
from node.simulator.studies import GeneratedStudy, begun, instance

#: Microvolts of one step of a stored ECG sample.
STEP_UV = 2.5

#: Codes of the leads (PS3.16 CID 3001, ISO/IEEE 11073-10102).
LEAD_CODES: Mapping[str, str] = MappingProxyType(
    {
        "I": "2:1", "II": "2:2", "III": "2:61", "aVR": "2:62", "aVL": "2:63", "aVF": "2:64",
        "V1": "2:3", "V2": "2:4", "V3": "2:5", "V4": "2:6", "V5": "2:7", "V6": "2:8",
    }
)  # fmt: skip
LEAD_MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "aVR": "aVR, augmented voltage, right",
        "aVL": "aVL, augmented voltage, left",
        "aVF": "aVF, augmented voltage, foot",
    }
)

Samples = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Recording:
    """What a waveform object is made of.

    Parameters
    ----------
    samples
        ``[channel, sample]``: mV, or parts of full scale for sound.
    channels
        Code, scheme and meaning of each channel's source.
    """

    sop_class: UID
    modality: str
    description: str
    samples: Samples
    rate_hz: float
    channels: tuple[tuple[str, str, str], ...]
    label: str
    filters_hz: tuple[float, float]


def twelve_leads(seed: int, finding: bool) -> Recording:
    """Ten seconds of twelve leads at 500 Hz; with atrial fibrillation as the finding."""
    return _ecg(TwelveLeadECGWaveformStorage, "12-lead ECG", signals.ecg(seed, fibrillation=finding), signals.TWELVE)


def single_lead(seed: int, finding: bool) -> Recording:
    """Thirty seconds of lead I at 300 Hz, as a pocket recorder makes them; with atrial fibrillation as the finding."""
    made = signals.ecg(seed, seconds=30.0, rate_hz=300.0, fibrillation=finding)
    return _ecg(GeneralECGWaveformStorage, "Single-lead ECG", made, ("I",))


def ambulatory(seed: int, finding: bool) -> Recording:
    """Five minutes of leads II and V5 at 250 Hz; the finding is atrial fibrillation in the second half."""
    halves = [
        signals.ecg(seed + part, seconds=150.0, rate_hz=250.0, fibrillation=finding and part == 1) for part in (0, 1)
    ]
    samples = np.concatenate([half.array for half in halves], axis=1)
    beats = np.concatenate([halves[0].beats, halves[1].beats + 150.0])
    whole = signals.Ecg(samples, halves[0].leads, 250.0, beats)
    return _ecg(AmbulatoryECGWaveformStorage, "Ambulatory ECG", whole, ("II", "V5"))


def heart_sound(seed: int, finding: bool) -> Recording:
    """Ten seconds of heart sounds at 4000 Hz; with a systolic murmur as the finding."""
    sound = signals.heart_sound(seed, murmur=finding)
    source = (("109114", "DCM", "Phonocardiogram"),)
    return Recording(
        GeneralAudioWaveformStorage, "AU", "Heart sounds", sound[None], 4000.0, source, "PCG", (20.0, 1000.0)
    )


def voice(seed: int, finding: bool) -> Recording:
    """Three seconds of tones at 8000 Hz in the place of a dictation; there is nothing to find."""
    source = (("109111", "DCM", "Operator's narrative"),)
    return Recording(
        BasicVoiceAudioWaveformStorage,
        "AU",
        "Dictation",
        signals.tones()[None],
        8000.0,
        source,
        "VOICE",
        (50.0, 3400.0),
    )


def study(
    make: Callable[[int, bool], Recording],
    seed: int,
    *,
    person: Person,
    accession_number: str,
    at: dt.datetime,
    finding: bool,
) -> GeneratedStudy:
    """Make a study of one waveform object; the same arguments give the same bytes."""
    made = make(seed, finding)
    entropy = f"{made.description}|{seed}|{finding}|{person.issuer}|{person.id}|{accession_number}|{at.isoformat()}"
    common = begun(entropy, person, accession_number, at)
    common.Modality = made.modality
    common.StudyDescription = common.SeriesDescription = f"{made.description}, generated"
    common.AcquisitionDateTime = at.strftime("%Y%m%d%H%M%S")
    for keyword in ("AcquisitionDate", "AcquisitionTime"):
        del common[keyword]
    common.AcquisitionContextSequence = []
    if made.modality == "ECG" and len(made.channels) == 12:
        common.AcquisitionContextSequence = [_placement()]
    ds = instance(common, entropy, 0, made.sop_class)
    ds.WaveformSequence = [_group(made)]
    return GeneratedStudy(str(ds.StudyInstanceUID), str(ds.SeriesInstanceUID), accession_number, (ds,))


def _ecg(sop_class: UID, description: str, made: signals.Ecg, leads: Sequence[str]) -> Recording:
    samples = made.array[[made.leads.index(lead) for lead in leads]]
    channels = tuple((LEAD_CODES[lead], "MDC", LEAD_MEANINGS.get(lead, f"Lead {lead}")) for lead in leads)
    return Recording(sop_class, "ECG", description, samples, made.rate_hz, channels, "RHYTHM", (0.05, 150.0))


def _placement() -> Dataset:
    """Where the electrodes were (PS3.16 TID 3401)."""
    item = Dataset()
    item.ValueType = "CODE"
    item.ConceptNameCodeSequence = [_code("10:11345", "MDC", "Electrode Placement")]
    item.ConceptCodeSequence = [_code("10:11265", "MDC", "Standard 12-lead positions: electrodes placed individually")]
    return item


def _group(made: Recording) -> Dataset:
    is_voice = made.sop_class == BasicVoiceAudioWaveformStorage
    is_ecg = made.modality == "ECG"
    group = Dataset()
    group.WaveformOriginality = "ORIGINAL"
    group.NumberOfWaveformChannels, group.NumberOfWaveformSamples = made.samples.shape
    group.SamplingFrequency = made.rate_hz
    group.MultiplexGroupLabel = made.label
    group.ChannelDefinitionSequence = [
        _channel(made, number, source, bits=8 if is_voice else 16) for number, source in enumerate(made.channels, 1)
    ]
    group.WaveformBitsAllocated, group.WaveformSampleInterpretation = (8, "UB") if is_voice else (16, "SS")
    scale = 1000 / STEP_UV if is_ecg else 127 if is_voice else 32767
    stored = np.rint(made.samples.T * scale) + (128 if is_voice else 0)
    word = "u1" if is_voice else "<i2"
    group.add_new("WaveformData", "OB" if is_voice else "OW", np.ascontiguousarray(stored).astype(word).tobytes())
    return group


def _channel(made: Recording, number: int, source: tuple[str, str, str], bits: int) -> Dataset:
    item = Dataset()
    item.WaveformChannelNumber = number
    item.ChannelLabel = source[2][:16] if made.modality != "ECG" else ""
    item.ChannelSourceSequence = [_code(*source)]
    if made.modality == "ECG":
        item.ChannelLabel = next(lead for lead, code in LEAD_CODES.items() if code == source[0])
        item.ChannelSensitivity = STEP_UV
        item.ChannelSensitivityUnitsSequence = [_code("uV", "UCUM", "microvolt")]
        item.ChannelSensitivityCorrectionFactor, item.ChannelBaseline = 1, 0
    item.ChannelSampleSkew = 0
    item.WaveformBitsStored = bits
    item.FilterLowFrequency, item.FilterHighFrequency = made.filters_hz
    return item


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
