"""Small made-up waveforms in files: header and samples, with whatever a test changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import TwelveLeadECGWaveformStorage

from models.contracts import InputKind, InputRequirements, WaveformNeeds
from tests.workers.synthetic import meta

ANY = InputRequirements(modalities=(), kind=InputKind.WAVEFORM)
LEADS = {"I": 1, "II": 2, "III": 61, "aVR": 62, "aVL": 63, "aVF": 64, **{f"V{n}": n + 2 for n in range(1, 7)}}
TWELVE = tuple(LEADS)


def needs(*channels: tuple[str, ...], seconds: tuple[float, float] = (0.0, 1e6)) -> InputRequirements:
    """A card that reads ECGs with these sets of channels."""
    return InputRequirements(
        modalities=("ECG",), kind=InputKind.WAVEFORM, waveform=WaveformNeeds(channels=channels, seconds=seconds)
    )


def code(value: str, scheme: str, meaning: str) -> list[Dataset]:
    """A sequence of one code."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return [item]


def channel(
    name: str, *, scheme: str = "MDC", unit: str = "uV", sensitivity: float | None = 2.5, **changes: Any
) -> Dataset:
    """One definition of a channel; an unknown name is only a label."""
    item = Dataset()
    if name in LEADS:
        prefix = {"MDC": "2:", "SCPECG": "5.6.3-9-"}[scheme]
        item.ChannelSourceSequence = code(f"{prefix}{LEADS[name]}", scheme, f"Lead {name}")
    else:
        item.ChannelLabel = name
    if sensitivity is not None:
        item.ChannelSensitivity, item.ChannelSensitivityCorrectionFactor, item.ChannelBaseline = sensitivity, 1, 0
        item.ChannelSensitivityUnitsSequence = code(unit, "UCUM", unit)
    item.WaveformBitsStored = 16
    for keyword, value in changes.items():
        setattr(item, keyword, value)
    return item


def samples(channels: int, count: int) -> npt.NDArray[np.int64]:
    """``[channel, sample]`` values, no two channels alike."""
    return np.arange(channels * count).reshape(channels, count) * 7 % 2001 - 1000


def group(
    names: Sequence[str] | Sequence[Dataset],
    stored: npt.NDArray[np.int64] | None = None,
    *,
    rate: float = 500.0,
    word: str = "<i2",
    kind: str = "SS",
    **changes: Any,
) -> Dataset:
    """One multiplex group of named or defined channels."""
    stored = samples(len(names), 1000) if stored is None else stored
    item = Dataset()
    item.WaveformOriginality, item.SamplingFrequency = "ORIGINAL", rate
    item.NumberOfWaveformChannels, item.NumberOfWaveformSamples = stored.shape
    item.ChannelDefinitionSequence = [name if isinstance(name, Dataset) else channel(name) for name in names]
    item.WaveformBitsAllocated, item.WaveformSampleInterpretation = np.dtype(word).itemsize * 8, kind
    data = np.ascontiguousarray(stored.T).astype(word).tobytes()
    item.add_new("WaveformData", "OB" if np.dtype(word).itemsize == 1 else "OW", data + b"\0" * (len(data) % 2))
    for keyword, value in changes.items():
        setattr(item, keyword, value)
    return item


def waveform(
    *groups: Dataset, number: int = 1, sop_class: str = TwelveLeadECGWaveformStorage, **changes: Any
) -> Dataset:
    """An instance of these groups."""
    ds = Dataset()
    ds.file_meta = meta(sop_class, f"1.2.826.0.1.3680043.10.3.3.{number}")
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, ds.file_meta.MediaStorageSOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.826.0.1.3680043.10.3.1", "1.2.826.0.1.3680043.10.3.2"
    ds.PatientName, ds.PatientID, ds.Modality = "Doe^Jane", "P-1", "ECG"
    ds.StudyDate, ds.StudyTime, ds.AcquisitionDateTime = "20261120", "101500", f"202611201015{number:02}"
    ds.InstanceNumber, ds.WaveformSequence = number, list(groups)
    for keyword, value in changes.items():
        setattr(ds, keyword, value)
    return ds
