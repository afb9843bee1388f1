"""The steps of preparation, as one type: what a card may ask for and what a bundle's transforms become.

A new step is one class and one place in :data:`Step`; the tests compare each with the transform of MONAI that it names
(docs.monai.io, *Transforms*).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

from models.site.step_grids import CropForeground, CropSquare, Fit, Orient, PadMultiple, Resize, Spacing
from models.site.step_values import Channels, Clip, MinMax, Percentiles, ScaleRange, ZScore
from models.site.working import Working

#: Steps that change values: what a card's ``normalisation`` may hold.
Intensity = Annotated[ScaleRange | MinMax | Percentiles | ZScore | Clip, Field(discriminator="step")]

#: All steps.
Step = Annotated[
    Orient
    | Spacing
    | Resize
    | Fit
    | CropSquare
    | PadMultiple
    | CropForeground
    | ScaleRange
    | MinMax
    | Percentiles
    | ZScore
    | Clip
    | Channels,
    Field(discriminator="step"),
]


def prepare(image: Working, steps: Iterable[Step]) -> Working:
    """Take an image through all steps."""
    for step in steps:
        image = step(image)
    return image
