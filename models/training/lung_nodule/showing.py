"""Lesions of held-out generated scans, with what the model drew of them and elsewhere, for the folder of a training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from models import catalog
from models.contracts import LabelArray, Model, Prediction, Volume
from models.imaging.lung.terms import NAME
from models.training.framework import examples
from models.training.lung_nodule.data import LEAST_HIT_MM, Scan
from models.training.lung_nodule.learning import HELD_OUT_SEEDS, measured_scans

#: Held-out scans whose lesions are shown.
SCANS = 5


def pictures(data: Path, out: Path, *, device: str = "auto", weights: Path | None = None) -> None:
    """Draw ``examples.png``, of generated scans only; see :func:`models.training.registry.evaluate`."""
    model = catalog.load(NAME, device, folder=weights)
    said = [one for scan in measured_scans(HELD_OUT_SEEDS[:SCANS]) for one in of_scan(model, scan)]
    examples.page(out / examples.FILE, examples.choose(said))


def of_scan(model: Model, scan: Scan) -> Iterator[examples.Example]:
    """Each lesion of a scan, found or missed, and each drawing where there is none."""
    found = model.predict(scan.volume)
    labels = found.labels if found.labels is not None else np.zeros(scan.volume.array.shape, dtype=np.uint8)
    elsewhere = set(np.unique(labels[labels > 0]).tolist())
    for nodule in scan.nodules:
        near = ball(scan.volume, nodule.lesion.centre, max(nodule.long_mm / 2, LEAST_HIT_MM))
        hits = set(np.unique(labels[(near > 0) & (labels > 0)]).tolist())
        elsewhere -= hits
        yield _example(
            scan, f"{nodule.long_mm:.0f} mm", str(nodule.lesion.kind), found, hits, right=bool(hits),
            reference=ball(scan.volume, nodule.lesion.centre, nodule.long_mm / 2),
        )  # fmt: skip
    for number in sorted(elsewhere):
        yield _example(scan, f"drawing {number}", "nothing there", found, {number}, right=False, reference=None)


def ball(volume: Volume, centre: tuple[float, float, float], radius_mm: float) -> LabelArray:
    """Label 1 within a distance of a place (LPS mm), on the grid of a volume; the nearest voxel at least."""
    affine = volume.geometry.affine
    k, r, c = (np.arange(length) for length in volume.array.shape)
    index = np.stack(np.meshgrid(k, r, c, indexing="ij"), axis=-1)
    away = np.linalg.norm(index @ affine[:3, :3].T + affine[:3, 3] - np.array(centre), axis=-1)
    return np.asarray(away <= max(radius_mm, float(away.min())), dtype=np.uint8)


def _example(
    scan: Scan, what: str, truth: str, found: Prediction, numbers: set[int], *, right: bool,
    reference: LabelArray | None,
) -> examples.Example:  # fmt: skip
    """One lesion, or one drawing, with nothing else drawn."""
    sure = max((one.confidence or 0.0 for one in found.findings if one.segment in numbers), default=0.0)
    labels = None if found.labels is None else np.where(np.isin(found.labels, sorted(numbers)), found.labels, 0)
    return examples.Example(
        f"{scan.case}, {what}", truth, f"nodule, p = {sure:.2f}" if numbers else "nothing", right, scan.volume,
        replace(found, labels=labels), reference, sure if numbers else 0.5,
    )  # fmt: skip
