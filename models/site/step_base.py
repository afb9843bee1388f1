"""What all steps of preparation share."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from models.contracts import FloatArray
from models.site.working import Axis, Working

Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e9, le=1e9)]
Length = Annotated[int, Field(ge=1, le=4096)]
Lengths = Annotated[tuple[Length, ...], Field(min_length=2, max_length=3)]
Pair = tuple[Number, Number]

#: Voxels that a prepared image may have at most: 8 GB of float32.
MAX_VOXELS = 2_000_000_000


class BaseStep(BaseModel):
    """A step: takes an image, gives another."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @abstractmethod
    def __call__(self, image: Working) -> Working:
        """Do it."""


def check_size(size: tuple[int, ...]) -> None:
    """Raise :class:`ValueError` for an image that no machine of a hospital holds."""
    if float(np.prod([float(length) for length in size])) > MAX_VOXELS:
        raise ValueError(f"an image of {' x '.join(map(str, size))} voxels is too large")


def scaled(array: FloatArray, source: Pair, to: Pair, clip: bool) -> FloatArray:
    """Map ``source`` to ``to`` linearly."""
    result = (array - np.float32(source[0])) * np.float32(1.0 / (source[1] - source[0]))
    result = result * np.float32(to[1] - to[0]) + np.float32(to[0])
    moved: FloatArray = np.clip(result, *to) if clip else result
    return moved


def window(image: Working, starts: list[int], lengths: list[int], value: float) -> Working:
    """Cut a window out of the image; what lies outside it is ``value``."""
    check_size(tuple(lengths))
    array = np.full((image.array.shape[0], *lengths), np.float32(value))
    source: list[slice] = [slice(None)]
    target: list[slice] = [slice(None)]
    for start, length, now in zip(starts, lengths, image.size, strict=True):
        first, last = max(0, start), min(now, start + length)
        source.append(slice(first, last))
        target.append(slice(first - start, last - start))
    array[tuple(target)] = image.array[tuple(source)]
    axes: tuple[Axis, ...] = tuple(axis.moved(start) for axis, start in zip(image.axes, starts, strict=True))
    return Working(array, axes, image.affine, image.shape)
