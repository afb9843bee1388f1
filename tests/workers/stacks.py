"""Irregular series: leaning, uneven, with gaps, phases, copies and localisers; and planes without files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import permutations, product

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage, MRImageStorage

from tests.workers.synthetic import ORIENTATIONS, Phantom, common
from workers.reading.volume.geometry import Layout, Plane, lay_out

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Uneven:
    """A stack with a height (mm along the normal) and a displacement (mm along columns and rows) for each slice."""

    heights: Sequence[float]
    lean: tuple[float, float] = (0.0, 0.0)
    size: tuple[int, int] = (12, 10)
    spacing: tuple[float, float] = (0.75, 1.25)
    cosines: tuple[float, ...] = ORIENTATIONS["oblique"]
    origin: tuple[float, float, float] = (-31.5, 12.25, 40.0)

    @property
    def shape(self) -> tuple[int, int, int]:
        return (len(self.heights), *self.size)

    @property
    def axes(self) -> Array:
        """Columns: normal, column cosine, row cosine; as the standard's equation C.7.6.2.1-1 has them."""
        row, column = np.array(self.cosines[:3], dtype=float), np.array(self.cosines[3:], dtype=float)
        return np.stack([np.cross(row, column), column, row], axis=1)

    def position(self, k: int) -> list[float]:
        """Image Position (Patient) of slice ``k``: ``lean`` is the displacement for each mm of height."""
        height = self.heights[k]
        moved = self.axes @ [height, height * self.lean[0], height * self.lean[1]]
        return [round(float(v), 6) for v in np.array(self.origin) + moved]

    @property
    def points(self) -> Array:
        """``[slice, row, column, 3]``: where each voxel lies."""
        rows, columns = np.arange(self.size[0]) * self.spacing[0], np.arange(self.size[1]) * self.spacing[1]
        plane = rows[:, None, None] * self.axes[:, 1] + columns[None, :, None] * self.axes[:, 2]
        return np.stack([np.array(self.position(k)) + plane for k in range(len(self.heights))])

    def values(self, field: Callable[[Array], Array]) -> npt.NDArray[np.int16]:
        """Stored values of a field over the patient."""
        return np.rint(field(self.points)).astype(np.int16)

    @property
    def planes(self) -> list[Plane]:
        """The slices without files."""
        axes = self.axes
        return [
            Plane(np.array(self.position(k)), axes[:, 2], axes[:, 1], self.spacing, self.size)
            for k in range(len(self.heights))
        ]

    @property
    def layout(self) -> Layout:
        return lay_out(self.planes)


def to_voxels(layout: Layout, points: Array) -> Array:
    """Where points, ``[..., 3]`` LPS mm, lie among the voxels of a stack; in proportion between slices."""
    apart = points - layout.positions[0]
    heights = apart @ layout.normal
    slices = np.interp(heights, layout.heights, np.arange(len(layout.heights)))
    shifts = np.stack([np.interp(heights, layout.heights, layout.offsets[:, axis]) for axis in range(2)], axis=-1)
    spacing = np.array(layout.spacing[1:])
    across = (apart @ (layout.affine[:3, 1:3] / spacing) - shifts) / spacing
    voxels: Array = np.concatenate([slices[..., None], across], axis=-1)
    return voxels


def ramp(points: Array) -> Array:
    """A field that linear interpolation keeps."""
    values: Array = 700.0 + points @ np.array([3.0, -5.0, 7.0])
    return values


def single_frames(
    stack: Uneven, stored: npt.NDArray[np.int16] | None = None, start: int = 0, **marks: object
) -> list[Dataset]:
    """MR Image Storage, one instance a slice; ``marks`` are attributes of all of them."""
    values = stack.values(ramp) if stored is None else stored
    return [_single(stack, values, k, start, marks) for k in range(len(stack.heights))]


def _single(stack: Uneven, values: npt.NDArray[np.int16], k: int, start: int, marks: dict[str, object]) -> Dataset:
    ds = common(Phantom(stack.shape), MRImageStorage, f"1.2.826.0.1.3680043.10.1.4.{start + k + 1}")
    ds.InstanceNumber, ds.SliceThickness = start + k + 1, 2
    ds.ImagePositionPatient, ds.ImageOrientationPatient = stack.position(k), list(stack.cosines)
    ds.PixelSpacing = list(stack.spacing)
    ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions, ds.MRAcquisitionType = "GR", "NONE", "", "3D"
    for keyword, value in marks.items():
        setattr(ds, keyword, value)
    ds.PixelData = values[k].tobytes()
    return ds


@dataclass(frozen=True)
class Frame:
    """One frame of an enhanced image: a slice of a stack, and what marks it."""

    stack: Uneven
    k: int
    marks: dict[str, object] = field(default_factory=dict)
    dimensions: tuple[int, ...] = ()


def enhanced(frames: Sequence[Frame], pointers: Sequence[int] = ()) -> Dataset:
    """Enhanced MR Image Storage; orientation stands with each frame."""
    first = frames[0].stack
    ds = common(Phantom(first.shape), EnhancedMRImageStorage, "1.2.826.0.1.3680043.10.1.5")
    ds.NumberOfFrames, ds.InstanceNumber = len(frames), 1
    ds.DimensionIndexSequence = []
    for pointer in pointers:
        item = Dataset()
        item.DimensionIndexPointer = pointer
        ds.DimensionIndexSequence.append(item)
    measures, shared = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = list(first.spacing), 2
    shared.PixelMeasuresSequence = [measures]
    ds.SharedFunctionalGroupsSequence = [shared]
    ds.PerFrameFunctionalGroupsSequence = [_groups(frame) for frame in frames]
    ds.PixelData = b"".join(
        (frame.stack.values(ramp)[frame.k] + int(str(frame.marks.get("TemporalPositionIndex", 0)))).tobytes()
        for frame in frames
    )
    return ds


def _groups(frame: Frame) -> Dataset:
    group, position, orientation, content = Dataset(), Dataset(), Dataset(), Dataset()
    position.ImagePositionPatient = frame.stack.position(frame.k)
    orientation.ImageOrientationPatient = list(frame.stack.cosines)
    for keyword, value in frame.marks.items():
        setattr(content, keyword, value)
    if frame.dimensions:
        content.DimensionIndexValues = list(frame.dimensions)
    group.PlanePositionSequence, group.PlaneOrientationSequence = [position], [orientation]
    group.FrameContentSequence = [content]
    return group


def turns() -> Iterator[tuple[tuple[float, ...], bool]]:
    """All 48 ways in which rows, columns and the order of slices can run along the patient's axes.

    Image orientation, and whether the instances stand in the order of the normal or against it: 24 and twice as many.
    """
    for row, column in permutations(range(3), 2):
        for signs in product((1.0, -1.0), repeat=2):
            cosines = np.zeros((2, 3))
            cosines[0, row], cosines[1, column] = signs
            for against in (False, True):
                yield tuple(float(v) for v in cosines.ravel()), against
