"""Slices that people should look at: what a Key Object Selection names, and what captures and reports show."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from models.contracts import Finding, FloatArray, LabelArray, RegionKind
from workers.reading.volume.geometry import Layout
from workers.results.common import ResultInput
from workers.results.headers import grid

#: Most slices that are chosen: key images are for a glance, and a reader who wants all of them has the segmentation.
LIMIT = 8


def key_slices(inp: ResultInput, limit: int = LIMIT) -> tuple[int, ...]:
    """Choose the slices that show what was found.

    Parameters
    ----------
    inp
        The prediction and its source slices.
    limit
        Most slices that are chosen.

    Returns
    -------
    tuple of int
        Indices along the slice axis of the prediction's arrays, which is the order of :attr:`ResultInput.sources` where
        these are single-frame images; each once, the most important first. For each finding in the model's order the
        slice with the largest part of its segment, then the slices of its points and outlines; after all findings the
        slice of each segment that no finding names, and the slice with the maximum of each map that is not the
        probability of something that could have been drawn. Empty where nothing has a place.
    """
    chosen = dict.fromkeys(_wanted(inp))
    return tuple(chosen)[:limit]


def _wanted(inp: ResultInput) -> Iterator[int]:
    """Slices in order of importance, some of them several times."""
    prediction = inp.prediction
    for finding in prediction.findings:
        if finding.segment is not None:
            yield from _largest(prediction.labels, finding.segment)
        yield from _places(inp, finding)
    shown = {finding.segment for finding in prediction.findings}
    for spec in prediction.segments:
        if spec.label not in shown:
            yield from _largest(prediction.labels, spec.label)
    for item in prediction.maps:
        if item.segment is None or prediction.labels is None:
            yield from _peak(item.array)


def largest_slice(labels: LabelArray, label: int) -> int | None:
    """Slice in which most voxels have ``label``: the middle one where several have as many; None without a voxel."""
    areas = np.array([np.count_nonzero(plane == label) for plane in labels])
    return _middle(areas == areas.max()) if areas.any() else None


def _largest(labels: LabelArray | None, label: int) -> Iterator[int]:
    index = None if labels is None else largest_slice(labels, label)
    if index is not None:
        yield index


def slices_at(heights: npt.NDArray[np.float64], layout: Layout) -> npt.NDArray[np.int64]:
    """Slice nearest to each height.

    Parameters
    ----------
    heights
        Distances from the first slice, in mm along the normal.
    layout
        Where the slices lie, evenly or not.

    Returns
    -------
    numpy.ndarray
        Indices; -1 for what is further than half a slice outside the stack.
    """
    at, gaps = layout.heights, layout.gaps
    edges = np.concatenate([[at[0] - gaps[0] / 2], at[:-1] + gaps / 2, [at[-1] + gaps[-1] / 2]])
    found = np.searchsorted(edges, heights, side="right") - 1
    return np.where(found < len(at), found, -1)


def _places(inp: ResultInput, finding: Finding) -> Iterator[int]:
    """Slices nearest to a finding's regions."""
    if not finding.regions:
        return
    layout, _ = grid(inp.sources)
    for region in finding.regions:
        points = np.array(region.points, dtype=np.float64).reshape(-1, 3)
        heights = (points - layout.positions[0]) @ layout.normal
        if region.kind is not RegionKind.MULTIPOINT and len(heights):
            # Points of ellipse and ellipsoid are the ends of axes (PS3.3 C.18.9.1.2): evenly about the middle.
            heights = np.array([(heights.min() + heights.max()) / 2])
        found = slices_at(heights, layout)
        yield from (int(index) for index in found if index >= 0)


def _peak(array: FloatArray) -> Iterator[int]:
    """Slice with the highest value above 0; among slices that share it, the one with the largest sum."""
    values = np.where(np.isfinite(array), array, 0)
    highest = values.max(axis=(1, 2), initial=0)
    if highest.max(initial=0) > 0:
        sums = values.sum(axis=(1, 2), dtype=np.float64)
        sums[highest < highest.max()] = -np.inf
        yield _middle(sums == sums.max())


def _middle(mask: npt.NDArray[np.bool_]) -> int:
    indices = np.flatnonzero(mask)
    return int(indices[len(indices) // 2])
