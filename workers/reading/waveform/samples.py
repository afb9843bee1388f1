"""Samples of a multiplex group: from bytes to numbers in the channel's unit (PS3.3 C.10.9, PS3.5 8.3).

pydicom's ``waveform_array`` does the same for linear samples; it allocates before it looks at the length of the data,
and it knows neither companded samples nor padding, units or skew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from models.contracts import FloatArray
from workers.errors import SeriesRefused
from workers.reading.waveform.channels import unit_of

Samples = npt.NDArray[Any]

#: Words of linear samples by Waveform Bits Allocated and Waveform Sample Interpretation (PS3.3 C.10.9.1.5).
LINEAR: Mapping[tuple[int, str], str] = MappingProxyType(
    {
        (8, "SB"): "i1",
        (8, "UB"): "u1",
        (16, "SS"): "i2",
        (16, "US"): "u2",
        (32, "SL"): "i4",
        (32, "UL"): "u4",
    }
)

#: Most samples of a group over all channels: 24 hours of 3 channels at 1000 Hz.
MAX_SAMPLES = 1 << 28

#: Most channels of a group; the standard's largest IODs have 64.
MAX_CHANNELS = 512

#: Units of voltage and what a millivolt is in them, by UCUM code.
MILLIVOLTS: Mapping[str, float] = MappingProxyType({"nV": 1e-6, "uV": 1e-3, "mV": 1.0, "V": 1e3})

#: Meanings of units whose code is missing or made up.
UNIT_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "microvolt": "uV",
        "microvolts": "uV",
        "µv": "uV",
        "μv": "uV",
        "uv": "uV",
        "millivolt": "mV",
        "millivolts": "mV",
        "mv": "mV",
        "volt": "V",
        "volts": "V",
        "nanovolt": "nV",
    }
)


@dataclass(frozen=True, slots=True)
class Size:
    """Channels and samples a channel of a group."""

    channels: int
    samples: int


def size_of(group: Dataset) -> Size:
    """Read the size of a group and compare it with its data, before anything is allocated.

    Raises
    ------
    SeriesRefused
        If it is not positive, too large, or more than the data holds.
    """
    channels, samples = int(group.get("NumberOfWaveformChannels") or 0), int(group.get("NumberOfWaveformSamples") or 0)
    if channels < 1 or samples < 1:
        raise SeriesRefused("Number of Waveform Channels or Number of Waveform Samples is missing or zero")
    if channels > MAX_CHANNELS or channels * samples > MAX_SAMPLES:
        raise SeriesRefused(f"the waveform has {channels} channels of {samples} samples, which is too many to read")
    return Size(channels, samples)


def samples_of(group: Dataset, *, big_endian: bool = False) -> FloatArray:
    """Decode a group.

    Returns
    -------
    numpy.ndarray
        ``[channel, sample]`` float32: linear samples as they are stored, companded ones (mu-law, A-law) expanded to the
        scale of 16 bits; padding is not a number.

    Raises
    ------
    SeriesRefused
        If the data is short or its interpretation unknown.
    """
    size = size_of(group)
    bits, kind = group.get("WaveformBitsAllocated"), str(group.get("WaveformSampleInterpretation", ""))
    word = LINEAR.get((bits, kind)) if isinstance(bits, int) else None
    if word is None and (bits, kind) not in COMPANDED:
        raise SeriesRefused(
            f"waveform samples of {bits} bits with the interpretation {kind[:16] or 'none'} are not read"
        )
    dtype = np.dtype(f"{'>' if big_endian else '<'}{word or 'u1'}")
    data = group.get("WaveformData")
    count = size.channels * size.samples
    if not isinstance(data, bytes) or len(data) < count * dtype.itemsize:
        raise SeriesRefused("the waveform data is shorter than channels and samples ask for")
    stored = np.frombuffer(data, dtype=dtype, count=count).reshape(size.samples, size.channels).T
    values: FloatArray = np.empty(stored.shape, dtype=np.float32)
    values[...] = stored if word else COMPANDED[(bits, kind)][stored]
    if (padding := _padding(group, dtype)) is not None:
        values[stored == padding] = np.nan
    return values


def _padding(group: Dataset, dtype: np.dtype[Any]) -> int | None:
    """Read Waveform Padding Value, which is coded like the samples."""
    value = group.get("WaveformPaddingValue")
    if not isinstance(value, bytes) or len(value) < dtype.itemsize:
        return None
    return int(np.frombuffer(value, dtype=dtype, count=1)[0])


def physical(values: FloatArray, definition: Dataset) -> str:
    """Turn stored values of one channel into its unit, in place, and give the unit in UCUM; voltages become mV.

    ``stored * sensitivity * correction factor + baseline``; without a sensitivity they stay as they are and have no
    unit.

    Raises
    ------
    SeriesRefused
        If one of these is not a finite number.
    """
    sensitivity = _number(definition, "ChannelSensitivity")
    if sensitivity is None:
        return ""
    scale = sensitivity * _or(_number(definition, "ChannelSensitivityCorrectionFactor"), 1.0)
    offset = _or(_number(definition, "ChannelBaseline"), 0.0)
    unit = unit_of(definition)
    if unit is None:
        name = ""
    elif unit.value in MILLIVOLTS:
        name = unit.value
    else:
        name = UNIT_WORDS.get(unit.meaning.strip().casefold(), UNIT_WORDS.get(unit.value.casefold(), unit.value))
    factor = MILLIVOLTS.get(name, 1.0)
    values *= np.float32(scale * factor)
    if offset:
        values += np.float32(offset * factor)
    return "mV" if name in MILLIVOLTS else name


def full_scale(values: FloatArray, group: Dataset, definition: Dataset) -> None:
    """Turn stored values of one channel of sound into parts of full scale, -1 to 1, in place.

    Unsigned samples have their middle at half of their range (offset binary).
    """
    bits, kind = int(group.WaveformBitsAllocated), str(group.WaveformSampleInterpretation)
    if kind in ("MB", "AB"):
        values *= np.float32(1 / 32768)
        return
    stored = int(definition.get("WaveformBitsStored") or bits)
    half = float(1 << (min(max(stored, 2), bits) - 1))
    if kind.startswith("U"):
        values -= np.float32(half)
    values *= np.float32(1 / half)
    np.clip(values, -1.0, 1.0, out=values)


def skew_of(definition: Dataset, rate_hz: float) -> float:
    """How many samples after the others a channel begins: Channel Sample Skew, or Channel Time Skew times the rate."""
    skew = _number(definition, "ChannelSampleSkew")
    if skew is not None:
        return skew
    return _or(_number(definition, "ChannelTimeSkew"), 0.0) * rate_hz


def without_skew(values: FloatArray, skew: float) -> FloatArray:
    """Give ``[sample]`` values at the times of the group by straight lines; what was not sampled is not a number."""
    at = np.arange(len(values), dtype=np.float64)
    moved: FloatArray = np.interp(at - skew, at, values, left=np.nan, right=np.nan).astype(np.float32)
    return moved


def _number(definition: Dataset, keyword: str) -> float | None:
    value = definition.get(keyword)
    if value in (None, ""):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError) as exc:
        raise SeriesRefused(f"{keyword} is not a number") from exc
    if not np.isfinite(number):
        raise SeriesRefused(f"{keyword} is not finite")
    return number


def _or(number: float | None, default: float) -> float:
    return default if number is None else number


def _mu_law() -> FloatArray:
    """Expand mu-law (ITU-T G.711 table 2): all bits inverted, sign, three bits of segment, four of step."""
    code = ~np.arange(256) & 0xFF
    size = (((code & 0x0F) << 3) + 0x84 << ((code >> 4) & 0x07)) - 0x84
    return np.where(code & 0x80, -size, size).astype(np.float32)


def _a_law() -> FloatArray:
    """Expand A-law (ITU-T G.711 table 1): even bits inverted, sign, three bits of segment, four of step."""
    code = np.arange(256) ^ 0x55
    segment, step = (code >> 4) & 0x07, (code & 0x0F) << 4
    size = np.where(segment == 0, step + 8, (step + 0x108) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, size, -size).astype(np.float32)


COMPANDED: Mapping[tuple[Any, str], FloatArray] = MappingProxyType({(8, "MB"): _mu_law(), (8, "AB"): _a_law()})
"""Expansion of companded samples, by bits and interpretation: ``[code]`` on the scale of 16 bits."""
