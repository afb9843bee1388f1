"""A leaning or unevenly spaced stack on a regular, right-angled grid, and what a model says of it back on the slices.

The grid has the slices' orientation and pixel spacing. Along the normal it has the stack's usual gap, fitted so that
the first and the last plane of the source are planes of the grid; across, it covers all slices, wherever the lean has
shifted them. A slice is only shifted within its plane and mixed with its neighbour, linearly: where the slices are
even, nothing is mixed along the normal, and where the lean is a whole number of pixels, no value is changed at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from models.contracts import FloatArray, Geometry, LabelArray, Prediction, ScalarMap
from workers.reading.volume.gate import describe
from workers.reading.volume.geometry import Layout

#: Parts of a pixel or of a gap that are less than this are none: positions are written with so many digits.
SNAP = 1e-3

#: What the label of the nearest voxel has ahead of the others, so that a tie between two labels goes to it.
TIE = 1e-4


@dataclass(frozen=True, eq=False)
class Resampling:
    """The way from source slices to a regular grid and back.

    Parameters
    ----------
    source
        The slices.
    grid
        The regular grid, ``(slice, row, column)``.
    shifts
        ``[source slice, 2]``: row and column of the grid at which the first voxel of each source slice lies.
    """

    source: Layout
    grid: Geometry
    shifts: npt.NDArray[np.float64]

    def forward(self, array: FloatArray) -> FloatArray:
        """Resample ``[source slice, row, column]`` linearly to the grid.

        What no slice shows gets the lowest value of the image, as air in CT.
        """
        result: FloatArray = np.empty(self.grid.shape, dtype=np.float32)
        shifted: dict[int, FloatArray] = {}
        for j, (low, part) in enumerate(zip(*self._slices_at(self._grid_places()), strict=True)):
            for k in (low, low + 1)[: 2 if part else 1]:
                if k not in shifted:
                    shifted[k] = _shifted(array[k], self.shifts[k], self.grid.shape[1:])
            result[j] = _mixed(shifted[low], shifted[low + 1], part) if part else shifted[low]
            shifted = {k: plane for k, plane in shifted.items() if k >= low}
        result[np.isnan(result)] = array.min()
        return result

    def labels_back(self, labels: LabelArray) -> LabelArray:
        """Bring labels on the grid back to the source slices: at each voxel the label with the largest linear share."""
        result: LabelArray = np.zeros(self.source.shape, dtype=np.uint8)
        for k, (low, part) in enumerate(zip(*self._slices_at(self._source_places()), strict=True)):
            pair = labels[low : low + 2] if part else labels[low : low + 1]
            result[k] = self._label_plane(pair, part, k)
        return result

    def values_back(self, array: FloatArray) -> FloatArray:
        """Bring values on the grid, ``[slice, row, column]``, back to the source slices, linearly."""
        result: FloatArray = np.empty(self.source.shape, dtype=np.float32)
        for k, (low, part) in enumerate(zip(*self._slices_at(self._source_places()), strict=True)):
            result[k] = self._sampled(_between(array[low : low + 2], part), k)
        return result

    def _label_plane(self, pair: LabelArray, part: float, k: int) -> LabelArray:
        found = _values(pair)
        result: LabelArray = np.full(self.source.shape[1:], found[0], dtype=np.uint8)
        if len(found) == 1:
            return result
        nearest = self._nearest(pair[1 if part > 0.5 else 0], k)
        best = np.full(result.shape, -1.0, dtype=np.float32)
        for label in found:
            share = self._sampled(_between((pair == label).astype(np.float32), part), k)
            share += np.float32(TIE) * (nearest == label)
            better = share > best
            result[better], best[better] = label, share[better]
        return result

    def _nearest(self, plane: LabelArray, k: int) -> LabelArray:
        rows, columns = self.source.shape[1:]
        row, column = (int(np.floor(shift + 0.5)) for shift in self.shifts[k])
        return plane[row : row + rows, column : column + columns]

    def _sampled(self, plane: FloatArray, k: int) -> FloatArray:
        """Take the pixels of source slice ``k`` out of a plane of the grid."""
        for axis, (shift, count) in enumerate(zip(self.shifts[k], self.source.shape[1:], strict=True)):
            whole = int(shift)
            near, part = _cut(plane, axis, whole, count), np.float32(shift - whole)
            plane = near + part * (_cut(plane, axis, whole + 1, count) - near) if part else near
        return plane

    def _grid_places(self) -> npt.NDArray[np.float64]:
        """Where the planes of the grid lie among the source slices."""
        count = len(self.source.heights)
        if self.source.even:  # as far as positions are written, and taken for even where nothing is resampled too
            return np.arange(count, dtype=np.float64)
        heights = np.linspace(0, self.source.heights[-1], self.grid.shape[0])
        return np.interp(heights, self.source.heights, np.arange(count, dtype=np.float64))

    def _source_places(self) -> npt.NDArray[np.float64]:
        """Where the source slices lie among the planes of the grid."""
        if self.source.even:
            return np.arange(len(self.source.heights), dtype=np.float64)
        places: npt.NDArray[np.float64] = self.source.heights / self.grid.spacing[0]
        return places.clip(0, self.grid.shape[0] - 1)

    @staticmethod
    def _slices_at(places: npt.NDArray[np.float64]) -> tuple[list[int], list[float]]:
        """Slice before each place and the part of the way to the next; 0 where it is a slice itself."""
        places = _snapped(places)
        low = np.floor(places)
        return [int(value) for value in low], [float(value) for value in places - low]


def plan(layout: Layout) -> Resampling:
    """Make the regular grid for a stack.

    Parameters
    ----------
    layout
        Planes in order, no two at one height.
    """
    _, rows, columns = layout.shape
    spacing = np.array(layout.spacing[1:])
    steps = max(1, round(float(layout.heights[-1]) / layout.usual_gap_mm))
    if layout.even:
        steps = layout.shape[0] - 1
    lowest = layout.offsets.min(axis=0)
    shifts = _snapped((layout.offsets - lowest) / spacing)
    more = np.ceil(shifts.max(axis=0)).astype(int)
    along = layout.affine[:3, 1:3] / spacing
    affine = layout.affine.copy()
    affine[:3, 0] = layout.normal * (float(layout.heights[-1]) / steps)
    affine[:3, 3] = layout.positions[0] + along @ lowest
    grid = Geometry(affine, (steps + 1, rows + int(more[0]), columns + int(more[1])))
    return Resampling(layout, grid, shifts)


def said(way: Resampling) -> str:
    """Tell people what was done."""
    slices, step = way.grid.shape[0], way.grid.spacing[0]
    return (
        f"The slices {describe(way.source)}: the model was given the image resampled linearly to a right-angled grid "
        f"of {slices} slices {step:.2f} mm apart, and what it drew was brought back to the {way.source.shape[0]} "
        "slices of the series. Measurements were taken on the resampled grid."
    )


def bring_back(way: Resampling, prediction: Prediction) -> Prediction:
    """Bring a prediction on the resampled grid back to the source slices; findings and their places stay."""
    labels = None if prediction.labels is None else way.labels_back(prediction.labels)
    maps = tuple(_map_back(way, item) for item in prediction.maps)
    return replace(prediction, labels=labels, maps=maps, warnings=(*prediction.warnings, *_lost(prediction, labels)))


def _map_back(way: Resampling, item: ScalarMap) -> ScalarMap:
    return replace(item, array=way.values_back(item.array))


def _lost(prediction: Prediction, labels: LabelArray | None) -> list[str]:
    """Sentences on segments that fell between the source slices."""
    if labels is None or prediction.labels is None:
        return []
    before, after = (set(_values(array)) for array in (prediction.labels, labels))
    return [
        f"{segment.name}: too small to be drawn on the slices of the series."
        for segment in prediction.segments
        if segment.label in before - after
    ]


def _values(labels: LabelArray) -> list[int]:
    """Labels that occur, in order."""
    return [int(label) for label in np.flatnonzero(np.bincount(labels.ravel(), minlength=256))]


def _cut(plane: npt.NDArray[Any], axis: int, at: int, count: int) -> npt.NDArray[Any]:
    return plane[at : at + count] if axis == 0 else plane[:, at : at + count]


def _snapped(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    whole = np.rint(values)
    snapped: npt.NDArray[np.float64] = np.where(np.abs(values - whole) < SNAP, whole, values)
    return snapped


def _between(pair: FloatArray, part: float) -> FloatArray:
    """Plane ``part`` of the way from the first of two to the second."""
    plane: FloatArray = pair[0] + np.float32(part) * (pair[1] - pair[0]) if part else pair[0]
    return plane


def _mixed(one: FloatArray, other: FloatArray, part: float) -> FloatArray:
    """Mix two planes; where one shows nothing (NaN), the other alone."""
    mixed: FloatArray = one + np.float32(part) * (other - one)
    missing = np.isnan(mixed)
    mixed[missing] = np.where(np.isnan(one[missing]), other[missing], one[missing])
    return mixed


def _shifted(plane: FloatArray, shift: npt.NDArray[Any], shape: tuple[int, int]) -> FloatArray:
    """Put a slice at ``shift`` (row, column) into a plane of ``shape`` that is NaN elsewhere.

    A pixel of the plane that lies less than a pixel outside of the slice gets the slice's edge.
    """
    for axis, by in enumerate(shift):
        whole = int(np.ceil(by))
        part = np.float32(whole - by)
        if part:
            pad = [(1, 1) if at == axis else (0, 0) for at in range(2)]
            padded = np.pad(plane, pad, mode="edge")
            plane = _cut(padded, axis, 0, padded.shape[axis] - 1) + part * np.diff(padded, axis=axis)
            whole -= 1
        plane = _placed(plane, axis, whole, shape[axis])
    return plane


def _placed(plane: FloatArray, axis: int, at: int, length: int) -> FloatArray:
    """Lengthen an axis to ``length`` with NaN, the plane beginning at ``at``; what does not fit is cut."""
    wide = list(plane.shape)
    wide[axis] = length
    result: FloatArray = np.full(wide, np.nan, dtype=np.float32)
    count = min(plane.shape[axis], length - at)
    _cut(result, axis, at, count)[...] = _cut(plane, axis, 0, count)
    return result
