"""A study with a prediction: some hundred CT-sized slices, five organs of different size in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage

from models.contracts import Finding, LabelArray, Measurement, Prediction
from tests.workers.synthetic import HIPPOCAMPUS, MILLILITRE, SEGMENTS, VOLUME, Phantom, common, result_input
from workers.results.common import ResultInput

#: Centre and half axes of each organ, as parts of the volume's extent along slices, rows and columns.
ORGANS = (
    ((0.50, 0.39, 0.29), (0.30, 0.18, 0.18)),
    ((0.50, 0.39, 0.70), (0.32, 0.19, 0.19)),
    ((0.33, 0.74, 0.50), (0.20, 0.12, 0.12)),
    ((0.73, 0.23, 0.50), (0.17, 0.10, 0.10)),
    ((0.50, 0.59, 0.50), (0.13, 0.08, 0.08)),
)


@dataclass(frozen=True, eq=False)
class Study:
    """Files of the headers, and what a model said."""

    headers: Sequence[bytes]
    shape: tuple[int, int, int]
    prediction: Prediction

    def read(self) -> ResultInput:
        """Give the builders' input with headers that nobody has looked at, as a worker has them."""
        sources = [dcmread(BytesIO(header)) for header in self.headers]
        return result_input(sources, self.shape, prediction=self.prediction)


def make(slices: int, size: int) -> Study:
    """Make a study of ``slices`` slices of ``size`` x ``size`` pixels."""
    phantom = Phantom(shape=(slices, size, size))
    segments = tuple(replace(SEGMENTS[0], label=k, name=f"Organ {k}") for k in range(1, len(ORGANS) + 1))
    findings = tuple(
        Finding(
            f"organ-{spec.label}", HIPPOCAMPUS, (Measurement(VOLUME, 100.0 + spec.label, MILLILITRE),), None, spec.label
        )
        for spec in segments
    )
    headers = [_header(phantom, k) for k in range(slices)]
    return Study(headers, phantom.shape, Prediction(findings, _labels(phantom.shape), segments))


def _labels(shape: tuple[int, int, int]) -> LabelArray:
    labels = np.zeros(shape, dtype=np.uint8)
    places = [np.arange(extent, dtype=np.float32) / extent for extent in shape]
    for label, (centre, axes) in enumerate(ORGANS, 1):
        z, y, x = (((place - c) / a) ** 2 for place, c, a in zip(places, centre, axes, strict=True))
        for k in np.flatnonzero(z < 1):
            labels[k][z[k] + y[:, None] + x < 1] = label
    return labels


def _header(phantom: Phantom, k: int) -> bytes:
    ds: Dataset = common(phantom, MRImageStorage, f"1.2.826.0.1.3680043.10.1.4.{k + 1}")
    ds.InstanceNumber, ds.SliceThickness, ds.PixelSpacing = k + 1, 2, list(phantom.spacing[1:])
    ds.ImagePositionPatient, ds.ImageOrientationPatient = phantom.position(k), list(phantom.cosines)
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
