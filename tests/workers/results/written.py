"""Built objects as a reader gets them, and maps for the builders."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset

from models.contracts import Code, FloatArray, ScalarMap

PROBABILITY = Code("110854", "DCM", "Fractional Probabilistic Segmentation")
NO_UNITS = Code("1", "UCUM", "no units")


def to_bytes(ds: Dataset) -> bytes:
    """Encode a data set as a file."""
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def written(ds: Dataset) -> Dataset:
    """Encode a data set and read it back."""
    return dcmread(BytesIO(to_bytes(ds)))


def save(ds: Dataset, path: Path) -> Path:
    """Write a data set to a file."""
    path.write_bytes(to_bytes(ds))
    return path


def values_for(shape: tuple[int, int, int]) -> FloatArray:
    """Values from 0 to 1, no two slices alike."""
    values: FloatArray = np.random.default_rng(7).random(shape, dtype=np.float32)
    values[0, 0, :2] = (0, 1)
    return values


def map_of(array: FloatArray, segment: int | None = 1, label: str = "probability-1") -> ScalarMap:
    """Make a probability map."""
    return ScalarMap(label, "Probability of hippocampus, anterior part", PROBABILITY, NO_UNITS, array, segment)
