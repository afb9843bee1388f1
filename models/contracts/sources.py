"""What goes into a model: a volume, a radiograph, a waveform, or the record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TypeVar

from models.contracts.common import Code, FloatArray, Geometry
from models.contracts.errors import InputDeclined

_EMPTY: Mapping[str, str] = MappingProxyType({})
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class RecordValue:
    """One number of the record: a laboratory value, a vital sign, a score.

    Parameters
    ----------
    code
        LOINC.
    value
        In ``unit``.
    unit
        UCUM, or what the sender wrote where it is not known to be that.
    hours
        When it was observed, in hours after the moment that the source describes; negative before it.
    """

    code: str
    value: float
    unit: str
    hours: float


@dataclass(frozen=True, slots=True)
class Record:
    """What the record says of the patient at the moment of a study: the input of models that read laboratory values.

    Parameters
    ----------
    values
        In the order of time; none of the future except those that belong to the same moment.
    age_years
        None where the birth date is not known.
    sex
        ``"F"``, ``"M"``, ``"O"`` or "" (PS3.3 C.7.1.1).
    """

    values: tuple[RecordValue, ...] = ()
    age_years: float | None = None
    sex: str = ""


NO_RECORD = Record()


@dataclass(frozen=True, eq=False)
class Volume:
    """One stack of slices.

    Parameters
    ----------
    array
        ``[slice, row, column]`` float32, modality values (after rescale slope and intercept).
    geometry
        Position of ``array`` in the patient.
    modality
        DICOM defined term, such as ``"MR"``.
    attributes
        Non-identifying attributes by DICOM keyword (``BodyPartExamined``, ``SeriesDescription``, ``Laterality``...).
    record
        Values of the record, where the model's card asks for them.
    """

    array: FloatArray
    geometry: Geometry
    modality: str
    attributes: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    record: Record = NO_RECORD


@dataclass(frozen=True, eq=False)
class Radiograph:
    """One projection image.

    Parameters
    ----------
    array
        ``[row, column]`` float32, 0 to 1: what a viewer would show first. Modality LUT, VOI LUT or window and
        Presentation LUT Shape are applied (PS3.3 C.11.1, C.11.2, C.11.6; PS3.14), 0 is black, and bone is white.
    modality
        ``"CR"``, ``"DX"``...
    view
        View Position (PS3.3 C.8.11.5), such as ``"PA"`` or ``"AP"``; "" where it is not given.
    spacing_mm
        Distance of pixel centres along rows' and columns' axes, in mm, as the object states it (at the detector for
        Imager Pixel Spacing); None where it does not.
    attributes
        As in :class:`Volume`.
    record
        Values of the record, where the model's card asks for them.
    """

    array: FloatArray
    modality: str
    view: str = ""
    spacing_mm: tuple[float, float] | None = None
    attributes: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    record: Record = NO_RECORD


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel of a waveform: its name (``"I"``, ``"aVR"``, ``"V1"``, ``"PCG"``...), code, and unit in UCUM."""

    name: str
    code: Code | None = None
    unit: str = ""


@dataclass(frozen=True, eq=False)
class Waveform:
    """One multiplex group: channels that were sampled together (PS3.3 C.10.9).

    Parameters
    ----------
    array
        ``[channel, sample]`` float32 in the channel's unit: millivolts (``mV``) for an ECG, the part of full scale (-1
        to 1) for sound. What is Waveform Padding Value is not a number.
    rate_hz
        Samples a second in each channel.
    channels
        As many as the array has.
    modality
        ``"ECG"``, ``"AU"``...
    attributes
        As in :class:`Volume`.
    record
        Values of the record, where the model's card asks for them.
    """

    array: FloatArray
    rate_hz: float
    channels: tuple[Channel, ...]
    modality: str
    attributes: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    record: Record = NO_RECORD

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return float(self.array.shape[1] / self.rate_hz)


Source = Volume | Radiograph | Waveform | Record
"""What a model may read."""


class InputKind(StrEnum):
    """Which of the sources a model reads."""

    VOLUME = "volume"
    RADIOGRAPH = "radiograph"
    WAVEFORM = "waveform"
    RECORD = "record"


SOURCES: Mapping[InputKind, type] = MappingProxyType(
    {
        InputKind.VOLUME: Volume,
        InputKind.RADIOGRAPH: Radiograph,
        InputKind.WAVEFORM: Waveform,
        InputKind.RECORD: Record,
    }
)


def expect(source: Source, kind: type[S]) -> S:
    """Give ``source`` if it is of the kind that a model reads; else raise :class:`InputDeclined`."""
    if isinstance(source, kind):
        return source
    raise InputDeclined(f"The input is a {type(source).__name__.lower()}; this model reads a {kind.__name__.lower()}.")
