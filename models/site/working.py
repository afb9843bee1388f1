"""The image as a network sees it, and the way back to the grid of the input.

Every step of preparation that moves voxels works along whole axes: it permutes, flips, crops, pads, or changes the
step. So where each axis of the prepared array lies on the input is one line, ``input index = offset + scale * index``,
and any sequence of steps is undone at once, by interpolation along one axis after the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from models.contracts import FloatArray, Radiograph, Volume

#: Indices this close to a whole number are that number: rounding of affines, not a shift.
WHOLE = 1e-6

#: A voxel reaches half a step beyond its centre; farther out there is nothing.
HALF_VOXEL = 0.5


@dataclass(frozen=True, slots=True)
class Axis:
    """Where one axis of the prepared array lies: on axis ``source`` of the input, at ``offset + scale * index``."""

    source: int
    offset: float = 0.0
    scale: float = 1.0

    def moved(self, start: float, step: float = 1.0) -> Axis:
        """The axis of an array whose index ``i`` is index ``start + step * i`` of the present one."""
        return Axis(self.source, self.offset + self.scale * start, self.scale * step)


@dataclass(frozen=True, eq=False)
class Working:
    """An image on its way into a network.

    Parameters
    ----------
    array
        ``[channel, axis, axis(, axis)]`` float32.
    axes
        One for each axis after the channel.
    affine
        4x4 of the input, voxel index to LPS mm; None for a radiograph.
    shape
        Of the input.
    """

    array: FloatArray
    axes: tuple[Axis, ...]
    affine: npt.NDArray[np.float64] | None
    shape: tuple[int, ...]

    @property
    def size(self) -> tuple[int, ...]:
        """Lengths of the axes after the channel."""
        return tuple(int(length) for length in self.array.shape[1:])

    @property
    def directions(self) -> npt.NDArray[np.float64]:
        """``[xyz, axis]``: the LPS vector, in mm, of one step along each axis; only for volumes."""
        if self.affine is None:
            raise ValueError("a radiograph does not lie in the patient")
        columns = [self.affine[:3, axis.source] * axis.scale for axis in self.axes]
        return np.stack(columns, axis=1)

    @property
    def spacing(self) -> tuple[float, ...]:
        """Step along each axis in mm; only for volumes."""
        return tuple(float(step) for step in np.linalg.norm(self.directions, axis=0))

    def points(self, index: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """LPS millimetres ``[n, 3]`` of positions ``[n, axis]`` given as indices of the prepared array."""
        if self.affine is None:
            raise ValueError("a radiograph does not lie in the patient")
        native = np.zeros((len(index), 3))
        for place, axis in enumerate(self.axes):
            native[:, axis.source] = axis.offset + axis.scale * index[:, place]
        return native @ self.affine[:3, :3].T + self.affine[:3, 3]

    def holds(self, point: npt.NDArray[np.float64]) -> bool:
        """Whether a point (LPS mm) lies in the input, or not more than a voxel beyond it; only for volumes."""
        if self.affine is None:
            raise ValueError("a radiograph does not lie in the patient")
        index = np.linalg.solve(self.affine[:3, :3], point - self.affine[:3, 3])
        return bool((index >= -1.5).all() and (index <= np.array(self.shape) + 0.5).all())

    def with_array(self, array: FloatArray) -> Working:
        """The same place with other values."""
        return replace(self, array=np.ascontiguousarray(array, dtype=np.float32))


def of_volume(volume: Volume) -> Working:
    """Start from a volume: ``[1, column, row, slice]``, the order in which MONAI's readers give a stack."""
    array = np.ascontiguousarray(volume.array.transpose(2, 1, 0)[None], dtype=np.float32)
    return Working(array, (Axis(2), Axis(1), Axis(0)), np.asarray(volume.geometry.affine), volume.array.shape)


def of_radiograph(image: Radiograph, *, columns_first: bool) -> Working:
    """Start from a radiograph: ``[1, row, column]``, or ``[1, column, row]`` as MONAI's readers give a picture."""
    if columns_first:
        return Working(np.ascontiguousarray(image.array.T[None]), (Axis(1), Axis(0)), None, image.array.shape)
    return Working(np.ascontiguousarray(image.array[None]), (Axis(0), Axis(1)), None, image.array.shape)


def along(
    array: npt.NDArray[np.float32], place: int, low: npt.NDArray[np.int64], part: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Interpolate along one axis: neighbour ``low`` and, by ``part``, the one after it."""
    lower: npt.NDArray[np.float32] = array.take(low, axis=place)
    if not part.any():
        return lower
    upper: npt.NDArray[np.float32] = array.take(np.minimum(low + 1, array.shape[place] - 1), axis=place)
    weight = part.reshape([-1 if axis == place else 1 for axis in range(array.ndim)])
    upper -= lower
    upper *= weight
    upper += lower
    return upper


def back(channel: npt.NDArray[np.float32], image: Working, outside: float = 0.0) -> npt.NDArray[np.float32]:
    """Bring one channel on the prepared grid to the grid of the input, linearly; ``outside`` where it does not reach.

    Exact, without interpolation, where the axes were only permuted, flipped, cropped or padded.
    """
    found = np.asarray(channel, dtype=np.float32)
    beyond: list[npt.NDArray[np.bool_]] = []
    for place, axis in enumerate(image.axes):
        low, part, inside = _taken(axis, found.shape[place], image.shape[axis.source])
        found = along(found, place, low, part)
        beyond.append(~inside)
    for place, outer in enumerate(beyond):
        if outer.any():
            np.moveaxis(found, place, 0)[outer] = outside
    return np.ascontiguousarray(found.transpose(_order(image)))


def labels_back(labels: npt.NDArray[np.uint8], image: Working) -> npt.NDArray[np.uint8]:
    """Bring labels on the prepared grid to the grid of the input: the nearest voxel's; 0 where it does not reach."""
    found = np.asarray(labels)
    for place, axis in enumerate(image.axes):
        low, part, inside = _taken(axis, found.shape[place], image.shape[axis.source])
        found = found.take(np.minimum(low + (part > 0.5), found.shape[place] - 1), axis=place)
        np.moveaxis(found, place, 0)[~inside] = 0
    return np.ascontiguousarray(found.transpose(_order(image)))


def _order(image: Working) -> tuple[int, ...]:
    """Which axis of the prepared array each axis of the input is."""
    return tuple(int(place) for place in np.argsort([axis.source for axis in image.axes]))


def _taken(
    axis: Axis, length: int, wanted: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """For each index of the input: the lower of the two neighbours, the part of the upper one, and whether it is in."""
    at = (np.arange(wanted) - axis.offset) / axis.scale
    at = np.where(np.abs(at - np.rint(at)) < WHOLE, np.rint(at), at)
    inside = (at >= -HALF_VOXEL - WHOLE) & (at <= length - 1 + HALF_VOXEL + WHOLE)
    held = np.clip(at, 0, length - 1)
    low = np.floor(held).astype(np.int64)
    return low, (held - low).astype(np.float32), inside
