"""Steps that change values and leave the grid alone. Each means what the transform of MONAI that it names does."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from models.site.step_base import BaseStep, Number, Pair, scaled
from models.site.working import Working


class ScaleRange(BaseStep):
    """Map ``source`` to ``to`` linearly (ScaleIntensityRange)."""

    step: Literal["range"] = "range"
    source: Pair = Field(alias="from")
    to: Pair = (0.0, 1.0)
    clip: bool = False

    @model_validator(mode="after")
    def _wide(self) -> ScaleRange:
        if self.source[0] == self.source[1]:
            raise ValueError("range: the two ends of 'from' are the same")
        return self

    def __call__(self, image: Working) -> Working:
        """Clip after scaling."""
        return image.with_array(scaled(image.array, self.source, self.to, self.clip))


class MinMax(BaseStep):
    """Map the least and the greatest value of the image to ``to`` (ScaleIntensity)."""

    step: Literal["minmax"] = "minmax"
    to: Pair = (0.0, 1.0)

    def __call__(self, image: Working) -> Working:
        """An image of one value becomes the lower end."""
        low, high = float(image.array.min()), float(image.array.max())
        if low == high:
            return image.with_array(np.full_like(image.array, self.to[0] * low))
        return image.with_array(scaled(image.array, (low, high), self.to, clip=False))


class Percentiles(BaseStep):
    """Map two percentiles of the image to ``to`` (ScaleIntensityRangePercentiles)."""

    step: Literal["percentiles"] = "percentiles"
    low: Annotated[float, Field(ge=0, le=100)] = 0.5
    high: Annotated[float, Field(ge=0, le=100)] = 99.5
    to: Pair = (0.0, 1.0)
    clip: bool = True

    def __call__(self, image: Working) -> Working:
        """Where both percentiles are the same, only the lower end is taken off, as MONAI does."""
        low, high = (float(value) for value in np.percentile(image.array, (self.low, self.high)))
        if low == high:
            return image.with_array(image.array - low + self.to[0])
        return image.with_array(scaled(image.array, (low, high), self.to, self.clip))


class ZScore(BaseStep):
    """Take off the mean and divide by the deviation (NormalizeIntensity), or by given numbers.

    ``nonzero`` looks at and changes only what is not 0. ``mean`` and ``deviation`` are one number a channel.
    """

    step: Literal["zscore"] = "zscore"
    nonzero: bool = False
    mean: Annotated[tuple[Number, ...], Field(max_length=16)] = ()
    deviation: Annotated[tuple[Number, ...], Field(max_length=16)] = ()

    @model_validator(mode="after")
    def _paired(self) -> ZScore:
        if len(self.mean) != len(self.deviation) or 0.0 in self.deviation:
            raise ValueError("zscore: give mean and deviation together, one number a channel, no deviation of 0")
        return self

    def __call__(self, image: Working) -> Working:
        """A deviation of 0 counts as 1."""
        array = image.array.astype(np.float32, copy=True)
        chosen: npt.NDArray[np.bool_] | slice = array != 0 if self.nonzero else slice(None)
        if self.mean:
            if len(self.mean) not in {1, array.shape[0]}:
                raise ValueError(f"zscore: {len(self.mean)} means for {array.shape[0]} channels")
            shape = (-1, *([1] * (array.ndim - 1)))
            moved = (array - np.reshape(self.mean, shape)) / np.reshape(self.deviation, shape)
            array[chosen] = moved[chosen]
        elif array[chosen].size:
            values = array[chosen]
            array[chosen] = (values - values.mean(dtype=np.float64)) / (float(values.std(dtype=np.float64)) or 1.0)
        return image.with_array(array)


class Clip(BaseStep):
    """Cut values at two ends (ThresholdIntensity above and below, ClipIntensity)."""

    step: Literal["clip"] = "clip"
    low: Number
    high: Number

    def __call__(self, image: Working) -> Working:
        """Cut."""
        return image.with_array(np.clip(image.array, self.low, self.high))


class Channels(BaseStep):
    """Repeat the one channel, for networks made for colour pictures (RepeatChannel)."""

    step: Literal["channels"] = "channels"
    count: Annotated[int, Field(ge=1, le=16)]

    def __call__(self, image: Working) -> Working:
        """Copy."""
        return image.with_array(np.repeat(image.array, self.count, axis=0))
