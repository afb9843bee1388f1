"""The series that a job of a model of the record runs on: nothing of it is read, but results belong to the study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from models.contracts import NO_RECORD, InputRequirements, Prediction, Record
from workers.errors import SeriesRefused
from workers.reading.instances import check_one_series, digest, interpreting, quiet, read_file


@dataclass(frozen=True, eq=False)
class LoadedRecord:
    """An empty record and the header that results refer to; see :class:`workers.reading.inputs.Loaded`.

    The patient's values are put in by :func:`workers.reading.inputs.with_record`.
    """

    sources: tuple[Dataset, ...]
    planes: str
    source: Record = NO_RECORD

    def bring_back(self, prediction: Prediction) -> Prediction:
        """Give the prediction as it is: nothing is drawn."""
        return prediction


def read_record_series(paths: Sequence[Path], needs: InputRequirements) -> LoadedRecord:
    """Read the header of the instance that came first.

    Raises
    ------
    workers.errors.SeriesRefused
        If it is no instance of a series.
    OSError
        If the file cannot be read at all.
    """
    sources = read_record_headers(paths, needs)
    return LoadedRecord(sources, digest(sources))


def read_record_headers(paths: Sequence[Path], needs: InputRequirements) -> tuple[Dataset, ...]:
    """Read :attr:`LoadedRecord.sources`."""
    if not paths:
        raise SeriesRefused("the series has no instances")
    with quiet():
        ds = read_file(paths[0], stop_before_pixels=True)
    with interpreting():
        check_one_series([ds])
        for group in ds.get("WaveformSequence") or []:
            if "WaveformData" in group:
                del group["WaveformData"]
    return (ds,)
