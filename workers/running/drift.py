"""The numbers that drift is watched by: what a model got and what it said, without anything of a patient."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from models.contracts import FloatArray, Prediction, Radiograph, Record, Source, Volume, Waveform

MAX_VALUES = 200_000
"""Values of an array that statistics are taken of: every n-th beyond it, for speed."""

DECLINED = "declined"
"""1 where the model declined the input, 0 where it answered."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The numbers of one run, and on which scanner its images were made."""

    scanner: str
    numbers: Mapping[str, float]


def seen(source: Source, sources: Sequence[Dataset], prediction: Prediction) -> Seen:
    """Measure one run."""
    return Seen(scanner_of(sources), numbers_of(source, prediction))


def declined(sources: Sequence[Dataset]) -> Seen:
    """Count a run that the model declined: its mean over runs is the share of those."""
    return Seen(scanner_of(sources), {DECLINED: 1.0})


def scanner_of(sources: Sequence[Dataset]) -> str:
    """Name the device that made the images: make, model, and a digest of its serial number, which stays inside.

    Empty headers give ``"unknown"``.
    """
    if not sources:
        return "unknown"
    first = sources[0]
    words = [_word(first.get(key)) for key in ("Manufacturer", "ManufacturerModelName")]
    serial = str(first.get("DeviceSerialNumber") or "")
    digest = hashlib.sha256(f"scanner {serial}".encode()).hexdigest()[:6] if serial else ""
    return " ".join(word for word in (*words, digest) if word)[:64] or "unknown"


def numbers_of(source: Source, prediction: Prediction) -> dict[str, float]:
    """Give the numbers of one run by name: ``input.*``, ``score.*``, findings, and that it was not declined."""
    found = {f"input.{name}": value for name, value in _input(source).items()}
    said = {name: value for name, value in prediction.scores.items() if not name.startswith("threshold")}
    found |= {f"score.{name}": float(value) for name, value in said.items()}
    present = [item for item in prediction.findings if item.present]
    found |= {"findings": float(len(present)), DECLINED: 0.0}
    confidences = [item.confidence for item in present if item.confidence is not None]
    if confidences:
        found["score.highest_confidence"] = max(confidences)
    return found


def _input(source: Source) -> Mapping[str, float]:
    if isinstance(source, Record):
        missing = {} if source.age_years is None else {"age": source.age_years}
        return {"values": float(len(source.values)), **missing}
    numbers = _statistics(source.array)
    if isinstance(source, Volume):
        slice_mm, row_mm, _ = source.geometry.spacing
        numbers |= {"slices": float(source.array.shape[0]), "slice_mm": slice_mm, "pixel_mm": row_mm}
    elif isinstance(source, Radiograph):
        numbers |= {"rows": float(source.array.shape[0]), "columns": float(source.array.shape[1])}
    elif isinstance(source, Waveform):
        numbers |= {"rate_hz": source.rate_hz, "seconds": source.seconds}
    return numbers


def _statistics(array: FloatArray) -> dict[str, float]:
    values = array.reshape(-1)[:: max(1, array.size // MAX_VALUES)]
    values = values[np.isfinite(values)]
    if not values.size:
        return {}
    low, high = np.percentile(values, (1, 99))
    return {"mean": float(values.mean()), "sd": float(values.std()), "p01": float(low), "p99": float(high)}


def _word(value: object) -> str:
    """A header's word as a label: printable ASCII, one line, no more than 24 characters."""
    text = "".join(char if char.isascii() and char.isprintable() else " " for char in str(value or ""))
    return " ".join(text.split())[:24].strip()
