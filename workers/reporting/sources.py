"""What results refer to and show: the headers of a job's input, and the gate before anything is written of it.

Volumes have many headers and few slices that are shown; everything else is one instance, which is read once more as the
model had it. A prediction is written only if the instances are still those that the model saw.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydicom import Dataset
from sqlalchemy.orm import Session

from models.contracts import InputKind, ModelCard, Prediction, Radiograph, Waveform
from node.records.schema import Job
from workers.context import Context
from workers.errors import GeometryRefused
from workers.reading import inputs
from workers.results.headers import check_planes


@dataclass(frozen=True, eq=False)
class Found:
    """Headers, as :attr:`workers.results.common.ResultInput.sources` has them, and what pictures show besides."""

    sources: tuple[Dataset, ...]
    seen: Radiograph | Waveform | None = None


def find(context: Context, session: Session, job: Job, card: ModelCard, prediction: Prediction, planes: str) -> Found:
    """Read what a job's results are built on.

    Parameters
    ----------
    planes
        Digest of the input as it was when the model read it; empty where that is not known.

    Raises
    ------
    workers.errors.SeriesRefused
        If the instances have come, gone or changed since, or the prediction does not fit them.
    OSError
        If a file is gone.
    """
    if card.requirements.kind is InputKind.VOLUME:
        sources = context.headers(session, job)
        check_planes(sources, prediction, planes)
        return Found(sources)
    loaded = inputs.read(context.paths(session, job), card.requirements)
    if planes and loaded.planes != planes:
        raise GeometryRefused("the instances of the series are not those that the model saw")
    seen = loaded.source if isinstance(loaded.source, Radiograph | Waveform) else None
    _check_shapes(prediction, seen)
    return Found(loaded.sources, seen)


def _check_shapes(prediction: Prediction, seen: Radiograph | Waveform | None) -> None:
    """Refuse what was drawn on an image of another size, or on none."""
    shape = (1, *seen.array.shape) if isinstance(seen, Radiograph) else None
    for array in (prediction.labels, *(item.array for item in prediction.maps)):
        if array is not None and array.shape != shape:
            raise GeometryRefused(f"what was drawn has the shape {array.shape}, the input has {shape}")
