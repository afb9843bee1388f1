"""Pixels of the few slices that pictures show, read once more from the series' files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset

from models.contracts import FloatArray
from workers.reading.instances import quiet
from workers.reading.pixels import check_pixels, fill_modality_values, frame_count, stored_values
from workers.results.common import KeySlice
from workers.results.headers import grid


def read_key_slices(
    files: Mapping[str, Path], sources: tuple[Dataset, ...], slices: Sequence[int]
) -> Iterator[KeySlice]:
    """Read slices by their index in the stack.

    Parameters
    ----------
    files
        The series' files by SOP Instance UID.
    sources
        Headers in slice order, or the one of a multi-frame image.
    slices
        Indices along the stack.
    """
    multi = len(sources) == 1 and frame_count(sources[0]) > 1
    order = grid(sources)[1] if multi else ()
    for index in slices:
        source, frame = (sources[0], order[index]) if multi else (sources[index], 0)
        yield KeySlice(index, _frame(files[str(source.SOPInstanceUID)], frame))


def _frame(path: Path, frame: int) -> FloatArray:
    with quiet():
        ds = dcmread(path)
        check_pixels(ds)
        stored = stored_values(ds)[frame]
        out: FloatArray = np.empty(stored.shape, dtype=np.float32)
        fill_modality_values(ds, frame, stored, out)
    return out
