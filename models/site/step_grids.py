"""Steps that move voxels: turn, resample, crop and pad. Each means what the transform of MONAI that it names does."""

from __future__ import annotations

from itertools import permutations
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from models.site.step_base import BaseStep, Lengths, Number, check_size, window
from models.site.working import Working, along

#: Axis of LPS and sign of the letters by which orientations are named: to the Right, Left, Anterior...
LETTERS = {"R": (0, -1), "L": (0, 1), "A": (1, -1), "P": (1, 1), "I": (2, -1), "S": (2, 1)}


class Orient(BaseStep):
    """Turn the axes to patient directions, by permuting and flipping only (Orientation).

    ``axes`` names where each array axis runs to: ``"RAS"`` is right, anterior, superior.
    """

    step: Literal["orient"] = "orient"
    axes: Annotated[str, Field(pattern="^[RLAPIS]{3}$")]

    @model_validator(mode="after")
    def _each_once(self) -> Orient:
        if len({LETTERS[letter][0] for letter in self.axes}) != 3:
            raise ValueError(f"orientation {self.axes!r} must name each of R/L, A/P and I/S once")
        return self

    def __call__(self, image: Working) -> Working:
        """Permute to the closest directions, then flip what runs the other way."""
        unit = image.directions / np.linalg.norm(image.directions, axis=0)
        wanted = [LETTERS[letter] for letter in self.axes]
        order = _closest(unit, [axis for axis, _ in wanted])
        array = image.array.transpose(0, *(1 + place for place in order))
        axes = [image.axes[place] for place in order]
        for place, (patient, sign) in enumerate(wanted):
            if unit[patient, order[place]] * sign < 0:
                array = np.flip(array, place + 1)
                axes[place] = axes[place].moved(array.shape[place + 1] - 1, -1)
        return Working(np.ascontiguousarray(array), tuple(axes), image.affine, image.shape)


class Spacing(BaseStep):
    """Resample to a step in mm along each axis (Spacing): linear, or the nearest voxel."""

    step: Literal["spacing"] = "spacing"
    mm: tuple[Annotated[float, Field(gt=0.05, le=50)], ...] = Field(min_length=3, max_length=3)
    nearest: bool = False

    def __call__(self, image: Working) -> Working:
        """The first voxel's centre stays; the last one's is not passed by more than half a step."""
        array, axes = image.array, list(image.axes)
        counts = [
            round((n - 1) * old / new + 1.0) for n, old, new in zip(image.size, image.spacing, self.mm, strict=True)
        ]
        check_size(tuple(counts))
        for place, (count, old, new) in enumerate(zip(counts, image.spacing, self.mm, strict=True)):
            if abs(old - new) < 1e-6 * new:
                continue
            at = np.clip(np.arange(count) * (new / old), 0, image.size[place] - 1)
            low = np.floor(at).astype(np.int64)
            part = (at - low).astype(np.float32)
            array = along(array, place + 1, low, np.rint(part) if self.nearest else part)
            axes[place] = axes[place].moved(0.0, new / old)
        return Working(np.ascontiguousarray(array), tuple(axes), image.affine, image.shape)


class Resize(BaseStep):
    """Resample to a number of voxels along each axis (Resize); edges meet edges.

    ``by`` longest (or shortest) scales all axes alike, so that the longest (or shortest) has ``size[0]``.
    """

    step: Literal["resize"] = "resize"
    size: Lengths
    mode: Literal["linear", "area", "nearest"] = "linear"
    by: Literal["size", "longest", "shortest"] = "size"
    antialias: bool = False

    def __call__(self, image: Working) -> Working:
        """Interpolate with torch, as MONAI does."""
        import torch

        size = self._size(image.size)
        check_size(size)
        mode = {"linear": "bilinear" if len(size) == 2 else "trilinear"}.get(self.mode, self.mode)
        smooth = self.antialias and len(size) == 2 and self.mode == "linear"
        aligned: dict[str, Any] = {"align_corners": False} if self.mode == "linear" else {}
        if smooth:
            aligned["antialias"] = True
        tensor = torch.from_numpy(np.ascontiguousarray(image.array))[None]
        array = torch.nn.functional.interpolate(tensor, size=size, mode=mode, **aligned)[0].numpy()
        axes = tuple(
            axis.moved(0.5 * old / new - 0.5, old / new)
            for axis, old, new in zip(image.axes, image.size, size, strict=True)
        )
        return Working(array, axes, image.affine, image.shape)

    def _size(self, now: tuple[int, ...]) -> tuple[int, ...]:
        if self.by != "size":
            side = max(now) if self.by == "longest" else min(now)
            return tuple(max(1, round(length * self.size[0] / side)) for length in now)
        if len(self.size) != len(now):
            raise ValueError(f"the size {list(self.size)} is not of {len(now)} axes")
        return self.size


class Fit(BaseStep):
    """Crop and pad about the centre to a number of voxels (CenterSpatialCrop, SpatialPad, ResizeWithPadOrCrop)."""

    step: Literal["fit"] = "fit"
    size: Lengths
    crop: bool = True
    pad: bool = True
    value: Number = 0.0

    def __call__(self, image: Working) -> Working:
        """Pad first the half that is rounded down, as MONAI does."""
        if len(self.size) != len(image.size):
            raise ValueError(f"the size {list(self.size)} is not of {len(image.size)} axes")
        starts, lengths = [], []
        for now, wanted in zip(image.size, self.size, strict=True):
            if (now > wanted and not self.crop) or (now < wanted and not self.pad):
                wanted = now
            starts.append(-((wanted - now) // 2) if wanted > now else now // 2 - wanted // 2)
            lengths.append(wanted)
        return window(image, starts, lengths, self.value)


class CropSquare(BaseStep):
    """Crop the longer axis of a picture about its centre to the shorter one (torchxrayvision's XRayCenterCrop)."""

    step: Literal["crop_square"] = "crop_square"

    def __call__(self, image: Working) -> Working:
        """Keep the middle."""
        side = min(image.size)
        return window(image, [length // 2 - side // 2 for length in image.size], [side] * len(image.size), 0.0)


class PadMultiple(BaseStep):
    """Pad to multiples of a number of voxels (DivisiblePad)."""

    step: Literal["pad_multiple"] = "pad_multiple"
    of: Annotated[int, Field(ge=1, le=512)]

    def __call__(self, image: Working) -> Working:
        """Half on each side."""
        lengths = [-(-length // self.of) * self.of for length in image.size]
        starts = [-((new - old) // 2) for new, old in zip(lengths, image.size, strict=True)]
        return window(image, starts, lengths, 0.0)


class CropForeground(BaseStep):
    """Crop to the voxels above zero, with a margin (CropForeground with its own default of what is foreground)."""

    step: Literal["crop_foreground"] = "crop_foreground"
    margin: Annotated[int, Field(ge=0, le=512)] = 0

    def __call__(self, image: Working) -> Working:
        """An image without foreground stays as it is; the margin ends at the edge."""
        starts, lengths = [], []
        above = image.array[0] > 0
        for place, count in enumerate(image.size):
            others = tuple(axis for axis in range(above.ndim) if axis != place)
            found = np.flatnonzero(above.any(axis=others))
            if not found.size:
                return image
            first, last = max(0, int(found[0]) - self.margin), min(count, int(found[-1]) + 1 + self.margin)
            starts.append(first)
            lengths.append(last - first)
        return window(image, starts, lengths, 0.0)


def _closest(unit: npt.NDArray[np.float64], wanted: list[int]) -> tuple[int, ...]:
    """The permutation of array axes that runs closest to the wanted patient axes."""

    def agreement(order: tuple[int, ...]) -> float:
        return round(float(sum(abs(unit[patient, axis]) for patient, axis in zip(wanted, order, strict=True))), 9)

    return max(permutations(range(3)), key=agreement)
