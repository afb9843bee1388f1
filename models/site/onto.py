"""Label maps of another grid, brought to the grid of the input: each voxel takes the label of the nearest one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.contracts import LabelArray, UnusableOutput

Affine = npt.NDArray[np.float64]

#: A part of a voxel by which rounding of positions (float32 in NIfTI) may move an index; less is rounded away.
ROUNDING = 2e-3

#: A millionth of a step, over a thousand voxels, is still less than :data:`ROUNDING`.
ALIGNED = 1e-5


def as_labels(array: npt.NDArray[np.generic]) -> LabelArray:
    """Labels as uint8; :class:`UnusableOutput` where values are no whole numbers from 0 to 255."""
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    values = np.asarray(array)
    if values.dtype.kind not in "fiub":
        raise UnusableOutput("the label map holds no numbers")
    if not values.size:
        raise UnusableOutput("the label map is empty")
    low, high = values.min(), values.max()
    if not (np.isfinite(low) and np.isfinite(high)) or low < 0 or high > 255:
        raise UnusableOutput("the label map holds values that are not from 0 to 255")
    found = values.astype(np.uint8)
    if values.dtype.kind == "f" and not np.array_equal(found, values):
        raise UnusableOutput("the label map holds values that are no whole numbers")
    return found


def overlap(size: tuple[int, ...], affine: Affine, target: Affine, shape: tuple[int, ...]) -> bool:
    """Whether two grids share any room, by the boxes that hold them along the axes of the first."""
    corners = np.array(np.meshgrid(*((-0.5, length - 0.5) for length in shape))).reshape(3, -1)
    found = (np.linalg.inv(affine) @ target @ np.vstack([corners, np.ones(8)]))[:3]
    return bool((found.max(axis=1) > -0.5).all() and (found.min(axis=1) < np.array(size) - 0.5).all())


def onto(labels: LabelArray, affine: Affine, target: Affine, shape: tuple[int, ...]) -> LabelArray:
    """Bring labels ``[slice, row, column]`` to another grid.

    Parameters
    ----------
    labels, affine
        The map, and its voxel index to LPS mm.
    target, shape
        The same of the grid that is wanted.

    Returns
    -------
    numpy.ndarray
        ``shape`` uint8; 0 where the map does not reach.
    """
    index = np.linalg.inv(affine) @ target
    scale = np.abs(index[:3, :3]).max(axis=0)
    aligned = (np.abs(index[:3, :3]) > ALIGNED * scale).sum(axis=0).max() == 1
    if aligned:
        return _separate(labels, index, shape)
    return _general(labels, index, shape)


def _separate(labels: LabelArray, index: Affine, shape: tuple[int, ...]) -> LabelArray:
    """Both grids run along the same lines: one list of indices an axis."""
    order = [int(np.abs(index[:3, axis]).argmax()) for axis in range(3)]
    if sorted(order) != [0, 1, 2]:
        return _general(labels, index, shape)
    found = labels.transpose(order)
    for axis, source in enumerate(order):
        at = _nearest(index[source, 3] + index[source, axis] * np.arange(shape[axis]))
        inside = (at >= 0) & (at < labels.shape[source])
        found = found.take(np.clip(at, 0, labels.shape[source] - 1), axis=axis)
        np.moveaxis(found, axis, 0)[~inside] = 0
    return np.ascontiguousarray(found)


def _general(labels: LabelArray, index: Affine, shape: tuple[int, ...]) -> LabelArray:
    """Grids that are turned against each other: one slice after the other."""
    result = np.zeros(shape, dtype=np.uint8)
    rows, columns = np.meshgrid(np.arange(shape[1]), np.arange(shape[2]), indexing="ij")
    in_slice = index[:3, 1, None, None] * rows + index[:3, 2, None, None] * columns + index[:3, 3, None, None]
    last = np.array(labels.shape)[:, None, None]
    for place in range(shape[0]):
        at = _nearest(in_slice + index[:3, 0, None, None] * place)
        inside = ((at >= 0) & (at < last)).all(axis=0)
        k, r, c = np.where(inside, at, 0)
        result[place] = np.where(inside, labels[k, r, c], 0)
    return result


def _nearest(at: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Nearest whole number; halves go up, whatever rounding did to them."""
    return np.floor(at + 0.5 + ROUNDING).astype(np.int64)
