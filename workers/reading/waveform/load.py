"""A series of waveforms becomes a :class:`models.contracts.Waveform` and the header that results are built from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag
from pydicom.uid import (
    AmbulatoryECGWaveformStorage,
    BasicVoiceAudioWaveformStorage,
    CardiacElectrophysiologyWaveformStorage,
    ExplicitVRBigEndian,
    General32bitECGWaveformStorage,
    GeneralAudioWaveformStorage,
    GeneralECGWaveformStorage,
    HemodynamicWaveformStorage,
    TwelveLeadECGWaveformStorage,
)

from models.checks import find_channels
from models.contracts import Channel, FloatArray, InputRequirements, Prediction, Waveform, WaveformNeeds
from workers.errors import SeriesRefused
from workers.reading.instances import attributes_of, check_one_series, digest, interpreting, moment_of, quiet, read_file
from workers.reading.waveform.channels import channel_names, source_of
from workers.reading.waveform.samples import full_scale, physical, samples_of, size_of, skew_of, without_skew

#: Storage SOP classes of sound, whose samples are parts of full scale.
SOUND = frozenset({BasicVoiceAudioWaveformStorage, GeneralAudioWaveformStorage})

#: Storage SOP classes that are read.
WAVEFORMS = frozenset(
    {
        TwelveLeadECGWaveformStorage,
        GeneralECGWaveformStorage,
        General32bitECGWaveformStorage,
        AmbulatoryECGWaveformStorage,
        CardiacElectrophysiologyWaveformStorage,
        HemodynamicWaveformStorage,
        *SOUND,
    }
)

#: Most multiplex groups of an instance; the standard's IODs have five at the most.
MAX_GROUPS = 64

#: Skews up to this part of a sample are what rounding leaves.
SKEW_SAMPLES = 1e-3

#: Where the samples begin: an instance is compared with others by what comes before.
WAVEFORM_SEQUENCE = 0x54000100

#: Limb leads as sums of I and II (Einthoven's law and Goldberger's leads), for recorders that store eight channels.
LIMB_LEADS = {"III": (-1.0, 1.0), "aVR": (-0.5, -0.5), "aVL": (1.0, -0.5), "aVF": (-0.5, 1.0)}


@dataclass(frozen=True, eq=False)
class LoadedWaveform:
    """A waveform as models and builders need it; see :class:`workers.reading.inputs.Loaded`.

    The header keeps the definitions of all channels of all groups, without their samples; the source's attribute
    ``MultiplexGroup`` is the number of the one that was read, from 1.
    """

    source: Waveform
    sources: tuple[Dataset, ...]
    planes: str
    warnings: tuple[str, ...] = ()

    def bring_back(self, prediction: Prediction) -> Prediction:
        """Say with a prediction what was read; times are those of the source."""
        return replace(prediction, warnings=(*self.warnings, *prediction.warnings)) if self.warnings else prediction


def read_waveform(paths: Sequence[Path], needs: InputRequirements) -> LoadedWaveform:
    """Read the multiplex group of a series that a model should get: of several instances, one of the last.

    Parameters
    ----------
    paths
        The files, in any order.
    needs
        The model's card: its channels and duration choose among several groups.

    Raises
    ------
    workers.errors.SeriesRefused
        If there is no waveform, or it cannot be decoded. The message says why, without patient data.
    OSError
        If a file cannot be read at all.
    """
    path, warnings = _latest(paths)
    with quiet():
        ds = read_file(path)
    with interpreting():
        groups = _groups(ds)
        at = _chosen(groups, needs.waveform or WaveformNeeds())
        waveform, said = _waveform(ds, groups[at], at)
        return LoadedWaveform(waveform, (_without_samples(ds),), digest([ds]), (*warnings, *said))


def read_waveform_headers(paths: Sequence[Path], needs: InputRequirements) -> tuple[Dataset, ...]:
    """Read the header of the instance that :func:`read_waveform` reads, as :attr:`LoadedWaveform.sources` has it."""
    path, _ = _latest(paths)
    with quiet():
        return (_without_samples(read_file(path)),)


def _latest(paths: Sequence[Path]) -> tuple[Path, tuple[str, ...]]:
    """Find the instance that was recorded last, and say so where there are several."""
    with quiet():
        headers = [_read_start(path) for path in paths]
    with interpreting():
        check_one_series(headers)
        places = [at for at, ds in enumerate(headers) if ds.get("SOPClassUID") in WAVEFORMS]
        if not places:
            raise SeriesRefused("the series has no waveform that is read (ECG, electrophysiology, haemodynamic, audio)")
        last = max(places, key=lambda at: (moment_of(headers[at]), str(headers[at].SOPInstanceUID)))
        several = f"The series has {len(places)} recordings: the last was read."
        return paths[last], (several,) if len(places) > 1 else ()


def _read_start(path: Path) -> Dataset:
    """Read what comes before the samples, which may be hundreds of megabytes."""

    def samples_begin(tag: BaseTag, _vr: str | None, _length: int) -> bool:
        return int(tag) >= WAVEFORM_SEQUENCE

    try:
        with path.open("rb") as file:
            return read_partial(file, stop_when=samples_begin)
    except OSError:
        raise
    except Exception as exc:
        raise SeriesRefused("an instance cannot be parsed as DICOM") from exc


def _groups(ds: Dataset) -> list[Dataset]:
    groups = list(ds.get("WaveformSequence") or [])
    if not groups:
        raise SeriesRefused("the instance has no Waveform Sequence")
    if len(groups) > MAX_GROUPS:
        raise SeriesRefused(f"the instance has {len(groups)} multiplex groups, more than {MAX_GROUPS} are not read")
    return groups


def _chosen(groups: Sequence[Dataset], needs: WaveformNeeds) -> int:
    """Choose the group that has the channels that the card names first and is long enough; else the longest."""
    return max(range(len(groups)), key=lambda at: (_fit(groups[at], needs), _seconds(groups[at]), -at))


def _fit(group: Dataset, needs: WaveformNeeds) -> tuple[bool, int]:
    names = channel_names(list(group.get("ChannelDefinitionSequence") or []))
    sets = [at for at, wanted in enumerate(needs.channels) if find_channels(names, [wanted]) is not None]
    has = not needs.channels or bool(sets)
    return has and needs.seconds[0] <= _seconds(group), -sets[0] if sets else -len(needs.channels)


def _seconds(group: Dataset) -> float:
    return size_of(group).samples / _rate(group)


def _rate(group: Dataset) -> float:
    try:
        rate = float(group.get("SamplingFrequency") or 0)
    except (TypeError, ValueError):
        rate = 0.0
    if not (np.isfinite(rate) and 0 < rate <= 1e6):
        raise SeriesRefused("Sampling Frequency is missing, not positive or above 1 MHz")
    return rate


def _waveform(ds: Dataset, group: Dataset, at: int) -> tuple[Waveform, list[str]]:
    definitions = list(group.get("ChannelDefinitionSequence") or [])
    if len(definitions) != size_of(group).channels:
        raise SeriesRefused("Channel Definition Sequence does not have one item for each channel")
    rate = _rate(group)
    array = samples_of(group, big_endian=ds.file_meta.TransferSyntaxUID == ExplicitVRBigEndian)
    units = _in_units(array, ds, group, definitions)
    warnings = _align(array, [skew_of(item, rate) for item in definitions], rate)
    names = channel_names(definitions)
    channels = tuple(
        Channel(name, source_of(item), unit) for name, item, unit in zip(names, definitions, units, strict=True)
    )
    array, channels, said = _with_limb_leads(array, channels)
    attributes = {
        **attributes_of(ds),
        "MultiplexGroup": str(at + 1),
        "MultiplexGroupLabel": str(group.get("MultiplexGroupLabel") or "")[:16],
        "WaveformOriginality": str(group.get("WaveformOriginality") or "")[:16],
    }
    return Waveform(array, rate, channels, str(ds.get("Modality", "")), attributes), [*warnings, *said]


def _in_units(array: FloatArray, ds: Dataset, group: Dataset, definitions: Sequence[Dataset]) -> list[str]:
    units = []
    for values, definition in zip(array, definitions, strict=True):
        if ds.SOPClassUID in SOUND:
            full_scale(values, group, definition)
            units.append("")
        else:
            units.append(physical(values, definition))
    return units


def _align(array: FloatArray, skews: Sequence[float], rate: float) -> list[str]:
    """Bring channels that were sampled one after another to the same times."""
    largest = max(map(abs, skews))
    if largest <= SKEW_SAMPLES:
        return []
    if largest >= array.shape[1]:
        raise SeriesRefused("a channel's skew is longer than the recording")
    for at, skew in enumerate(skews):
        if abs(skew) > SKEW_SAMPLES:
            array[at] = without_skew(array[at], skew)
    return [f"The channels were not sampled together: they were moved by up to {1000 * largest / rate:.3g} ms."]


def _with_limb_leads(
    array: FloatArray, channels: tuple[Channel, ...]
) -> tuple[FloatArray, tuple[Channel, ...], list[str]]:
    """Add limb leads that follow from I and II, where all chest leads are there and these alone are missing."""
    places = {channel.name: at for at, channel in enumerate(channels)}
    missing = [name for name in LIMB_LEADS if name not in places]
    if not missing or not {"I", "II", *(f"V{n}" for n in range(1, 7))} <= places.keys():
        return array, channels, []
    one, two = channels[places["I"]], channels[places["II"]]
    if one.unit != two.unit:
        return array, channels, []
    rows = [
        np.float32(first) * array[places["I"]] + np.float32(second) * array[places["II"]]
        for first, second in (LIMB_LEADS[name] for name in missing)
    ]
    added = tuple(Channel(name, unit=one.unit) for name in missing)
    said = [f"The leads {', '.join(missing)} are not in the recording: they were computed from I and II."]
    return np.concatenate([array, np.stack(rows)]), (*channels, *added), said


def _without_samples(ds: Dataset) -> Dataset:
    for group in ds.get("WaveformSequence") or []:
        for keyword in ("WaveformData", "WaveformPaddingValue"):
            if keyword in group:
                del group[keyword]
    return ds
