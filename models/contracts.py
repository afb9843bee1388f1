"""What goes into a model and what comes out: numpy arrays and frozen dataclasses, nothing else.

Conventions
-----------
* A volume's array axes are ``[slice, row, column]``, C order.
* Patient coordinates are DICOM's LPS (x to the left, y to the posterior, z to the head), in millimetres
  (PS3.3 C.7.6.2.1.1).
* A voxel index ``(k, r, c)`` maps to the patient by ``p = affine @ [k, r, c, 1]``; the index names the *centre* of
  a voxel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
LabelArray = npt.NDArray[np.uint8]
_EMPTY: Mapping[str, str] = MappingProxyType({})


class ModelError(Exception):
    """Root of what a model may raise; ``retryable`` says whether the same input may work next time."""

    retryable = False


class InputDeclined(ModelError):
    """The input is not one the model was made for. A result state with a reason, not a failure."""


class UnusableOutput(ModelError):
    """A model gave numbers that are none, or places that are nowhere."""


class WeightsError(ModelError):
    """Weights are missing, do not fit the network, or do not have the digest that their card names."""


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept (PS3.3 section 8): value, coding scheme designator, meaning."""

    value: str
    scheme: str
    meaning: str


class Side(StrEnum):
    """Side of the body."""

    LEFT = "left"
    RIGHT = "right"


@dataclass(frozen=True, eq=False)
class Geometry:
    """Where a volume lies in the patient.

    Parameters
    ----------
    affine
        4x4, voxel index ``(slice, row, column, 1)`` to LPS millimetres (PS3.3 equation C.7.6.2.1-1, columns
        reordered to the array's axes).
    shape
        ``(slices, rows, columns)``.
    """

    affine: npt.NDArray[np.float64]
    shape: tuple[int, int, int]

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxel centres along ``(slice, row, column)`` axes, in mm."""
        a, b, c = (float(np.linalg.norm(self.affine[:3, axis])) for axis in range(3))
        return a, b, c

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in ml (the determinant, so that a sheared grid is measured right)."""
        return abs(float(np.linalg.det(self.affine[:3, :3]))) / 1000.0


@dataclass(frozen=True, eq=False)
class Volume:
    """One stack of slices.

    Parameters
    ----------
    array
        ``[slice, row, column]`` float32, modality values (after rescale slope and intercept).
    geometry
        Position of ``array`` in the patient.
    modality
        DICOM defined term, such as ``"MR"``.
    attributes
        Non-identifying attributes by DICOM keyword (``BodyPartExamined``, ``SeriesDescription``, ``Laterality``...).
    """

    array: FloatArray
    geometry: Geometry
    modality: str
    attributes: Mapping[str, str] = field(default_factory=lambda: _EMPTY)


@dataclass(frozen=True, slots=True)
class Measurement:
    """A number with its unit and its uncertainty.

    ``lower`` and ``upper`` bound the interval that holds the true value with the probability ``confidence``.
    """

    name: Code
    value: float
    unit: Code
    lower: float | None = None
    upper: float | None = None
    confidence: float | None = None
    method: str = ""


class RegionKind(StrEnum):
    """Shape of a region: Graphic Types of SCOORD3D (PS3.3 C.18.9.1.2)."""

    POINT = "POINT"
    MULTIPOINT = "MULTIPOINT"
    POLYLINE = "POLYLINE"
    POLYGON = "POLYGON"
    ELLIPSE = "ELLIPSE"
    ELLIPSOID = "ELLIPSOID"


@dataclass(frozen=True, slots=True)
class Region:
    """A place in the patient, such as a point, a diameter or an outline.

    Parameters
    ----------
    kind
        Its shape; the points mean what PS3.3 C.18.9.1.2 says of it (a polygon's first point is its last one too).
    points
        LPS millimetres in the frame of reference of the input, ``(x, y, z)`` each.
    """

    kind: RegionKind
    points: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One statement about the image.

    Parameters
    ----------
    label
        Stable within a model, such as ``"hippocampus-anterior"``: tracking identifiers are derived from it.
    code
        What was found, for the record and the report.
    measurements
        Numbers about it.
    side
        Side of the body, or None where the geometry does not tell.
    segment
        Label value in :attr:`Prediction.labels` that draws it, or None.
    confidence
        0 to 1, or None where the model gives none.
    text
        One plain sentence for people.
    regions
        Points, lines and outlines that show it.
    lesion
        Identity of this one thing in the patient, where ``label`` and ``side`` do not tell it from others of its kind:
        tracking identifiers of later studies are the same where it is the same. Empty for a structure of which there is
        one on each side.
    """

    label: str
    code: Code
    measurements: tuple[Measurement, ...] = ()
    side: Side | None = None
    segment: int | None = None
    confidence: float | None = None
    text: str = ""
    regions: tuple[Region, ...] = ()
    lesion: str = ""


@dataclass(frozen=True, slots=True)
class SegmentSpec:
    """One label of a segmentation and how the standard names it (CID 7150, CID 7151 and the like)."""

    label: int
    name: str
    category: Code
    type: Code
    anatomy: Code | None = None
    anatomy_modifiers: tuple[Code, ...] = ()
    rgb: tuple[int, int, int] = (220, 180, 60)


@dataclass(frozen=True, eq=False)
class ScalarMap:
    """A quantity at every voxel of the input: a probability, a heat map.

    Parameters
    ----------
    label
        Stable within a model; UIDs are derived from it.
    name
        For people.
    quantity, unit
        What the numbers are (CID 7180 and the like) and their unit in UCUM.
    array
        ``[slice, row, column]`` float32 on the grid of the input.
    segment
        Label value whose probability (0 to 1) this is, or None.
    """

    label: str
    name: str
    quantity: Code
    unit: Code
    array: FloatArray
    segment: int | None = None


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says of one input.

    Parameters
    ----------
    findings
        Statements, in order of importance.
    labels
        ``[slice, row, column]`` uint8 on the grid of the *input* volume, 0 is background; None where nothing is drawn.
    segments
        Meaning of each label in ``labels``.
    warnings
        Sentences on the limits of this one result (such as "the side could not be told from the geometry").
    maps
        Probabilities and heat maps.
    """

    findings: tuple[Finding, ...]
    labels: LabelArray | None = None
    segments: tuple[SegmentSpec, ...] = ()
    warnings: tuple[str, ...] = ()
    maps: tuple[ScalarMap, ...] = ()


#: What a card may say of a stack that is not as it should be: refuse it, have it resampled to a regular grid first, or
#: take it as it is.
TILT_CHOICES = ("refuse", "resample", "accept")
STEP_CHOICES = ("refuse", "resample")
STACK_CHOICES = ("refuse", "largest")
SCOUT_CHOICES = ("refuse", "leave_out")


@dataclass(frozen=True, slots=True)
class InputRequirements:
    """What a model needs of its input; checked before inference, refused with the reason.

    Parameters
    ----------
    modalities
        DICOM defined terms.
    spacing_mm, extent_mm
        ``(lowest, highest)`` over all axes. No step between slices that is resampled may exceed the highest spacing.
    min_slices
        Least number of slices, of the series as of a resampled stack.
    description
        For people, said with a refusal.
    tilt
        One of :data:`TILT_CHOICES`: stacks whose slices lean against them (gantry tilt). A model that says
        ``"accept"`` gets the sheared affine.
    max_tilt_deg
        Largest lean that is resampled; gantries reach 30 degrees.
    uneven_spacing, missing_slices
        One of :data:`STEP_CHOICES`: slices at uneven steps, and gaps of whole slices in a regular stack.
    several_stacks
        One of :data:`STACK_CHOICES`: several stacks, phases or echoes in one series. ``"largest"`` reads the one with
        the most slices, of equal phases the first.
    scouts
        One of :data:`SCOUT_CHOICES`: localisers and stray images among the slices.
    """

    modalities: tuple[str, ...]
    spacing_mm: tuple[float, float]
    extent_mm: tuple[float, float]
    min_slices: int = 3
    description: str = ""
    tilt: str = "refuse"
    max_tilt_deg: float = 30.0
    uneven_spacing: str = "refuse"
    missing_slices: str = "refuse"
    several_stacks: str = "refuse"
    scouts: str = "refuse"

    def __post_init__(self) -> None:
        """Raise :class:`ValueError` for a choice that there is not."""
        choices = {
            "tilt": TILT_CHOICES,
            "uneven_spacing": STEP_CHOICES,
            "missing_slices": STEP_CHOICES,
            "several_stacks": STACK_CHOICES,
            "scouts": SCOUT_CHOICES,
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}")
        if not 0 <= self.max_tilt_deg < 90:
            raise ValueError("max_tilt_deg must be at least 0 and less than 90")


@dataclass(frozen=True)
class ModelCard:
    """What is known of a model: shipped beside its weights, registered by workers, shown to people."""

    name: str
    version: str
    title: str
    summary: str
    requirements: InputRequirements
    outputs: tuple[SegmentSpec, ...]
    weights_sha256: str
    data: str
    licence: str
    intended_use: str
    limits: tuple[str, ...]
    metrics: Mapping[str, Any] = field(default_factory=dict)
    references: tuple[str, ...] = ()


class Model(Protocol):
    """Whatever the catalogue gives. Loading weights is done by the constructor's factory, never at import."""

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        ...

    def check(self, volume: Volume) -> None:
        """Raise :class:`InputDeclined`, with a reason that a person understands, if ``volume`` is unsuitable."""
        ...

    def predict(self, volume: Volume) -> Prediction:
        """Infer; deterministic for the same weights, input and machine."""
        ...
