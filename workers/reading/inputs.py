"""What a job's model reads: files of its series become the source that the model's card asks for.

A new kind of source is one reader and one line in :data:`READERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from pydicom.dataset import Dataset

from models.contracts import InputKind, InputRequirements, Prediction, Record, Source
from workers.reading.decoding import DecoderPool
from workers.reading.radiograph.load import read_radiograph, read_radiograph_headers
from workers.reading.record.load import read_record_headers, read_record_series
from workers.reading.volume.load import read_headers, read_series
from workers.reading.waveform.load import read_waveform, read_waveform_headers


class Loaded(Protocol):
    """A source with what results are built from."""

    @property
    def source(self) -> Source:
        """What the model gets."""
        ...

    @property
    def sources(self) -> tuple[Dataset, ...]:
        """Headers of the instances that were read, without pixels and samples, in the order of the source."""
        ...

    @property
    def planes(self) -> str:
        """Digest of which instances were read and where they lie; looked at again before results are written."""
        ...

    def bring_back(self, prediction: Prediction) -> Prediction:
        """Put a prediction on the instances as they are, and say what was done to these."""
        ...


Reader = Callable[[Sequence[Path], InputRequirements], Loaded]
"""Reads the files of one series, given in any order; raises :class:`~workers.errors.SeriesRefused` with the reason."""

READERS: Mapping[InputKind, Reader] = MappingProxyType(
    {
        InputKind.VOLUME: read_series,
        InputKind.RADIOGRAPH: read_radiograph,
        InputKind.WAVEFORM: read_waveform,
        InputKind.RECORD: read_record_series,
    }
)

HeaderReader = Callable[[Sequence[Path], InputRequirements], tuple[Dataset, ...]]
"""Reads :attr:`Loaded.sources` again, without decoding a pixel or a sample."""

HEADERS: Mapping[InputKind, HeaderReader] = MappingProxyType(
    {
        InputKind.VOLUME: lambda paths, needs: read_headers(paths),
        InputKind.RADIOGRAPH: read_radiograph_headers,
        InputKind.WAVEFORM: read_waveform_headers,
        InputKind.RECORD: read_record_headers,
    }
)


def read(paths: Sequence[Path], needs: InputRequirements, pool: DecoderPool | None = None) -> Loaded:
    """Read the files of a series as the source that a model's card asks for.

    Parameters
    ----------
    pool
        Processes that decode the slices of volumes; the other kinds have one image or none.
    """
    if needs.kind is InputKind.VOLUME:
        return read_series(paths, needs, pool)
    return READERS[needs.kind](paths, needs)


def headers(paths: Sequence[Path], needs: InputRequirements) -> tuple[Dataset, ...]:
    """Read the headers of what :func:`read` gives for the same files and card."""
    return HEADERS[needs.kind](paths, needs)


def with_record(source: Source, record: Record) -> Source:
    """Give the model the patient's values beside the source; a model that reads the record alone gets just these."""
    return record if isinstance(source, Record) else replace(source, record=record)
