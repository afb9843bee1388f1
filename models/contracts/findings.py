"""What comes out of a model: findings, drawings, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from models.contracts.common import Code, FloatArray, LabelArray, Side

_NO_SCORES: Mapping[str, float] = MappingProxyType({})


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
    present
        False where it was looked for and not found: the report says so, and nothing is concluded from it as from a
        finding.
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
    present: bool = True


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
class Trace:
    """Where in a waveform the model looked: importance over time.

    Parameters
    ----------
    label
        Stable within a model.
    name
        For people.
    channel
        Index of the channel that it is of, or None where it is of all of them together.
    start_s, step_s
        Time of the first value and between values, in seconds from the first sample.
    values
        ``[n]`` float32, 0 to 1.
    """

    label: str
    name: str
    channel: int | None
    start_s: float
    step_s: float
    values: FloatArray


@dataclass(frozen=True, slots=True)
class Contribution:
    """How much one value of the record moved the answer.

    Parameters
    ----------
    name
        The value's code (LOINC where it has one).
    weight
        Change of the log-odds of the answer against a patient with the training set's usual value: positive raises it.
    value, unit
        What the record had, or None where it was missing.
    text
        For people.
    """

    name: Code
    weight: float
    value: float | None = None
    unit: Code | None = None
    text: str = ""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says of one input.

    Parameters
    ----------
    findings
        Statements, in order of importance.
    labels
        ``[slice, row, column]`` uint8 on the grid of the *input* volume, 0 is background; None where nothing is drawn.
        A radiograph is one slice.
    segments
        Meaning of each label in ``labels``.
    warnings
        Sentences on the limits of this one result (such as "the side could not be told from the geometry").
    maps
        Probabilities and heat maps.
    traces
        Importance over time, for waveforms.
    contributions
        What moved the answer, of the values of the record; the strongest first.
    scores
        Numbers of the whole answer by a stable name (``"probability"``, ``"out_of_scope"``): what drift is watched by.
    """

    findings: tuple[Finding, ...]
    labels: LabelArray | None = None
    segments: tuple[SegmentSpec, ...] = ()
    warnings: tuple[str, ...] = ()
    maps: tuple[ScalarMap, ...] = ()
    traces: tuple[Trace, ...] = ()
    contributions: tuple[Contribution, ...] = ()
    scores: Mapping[str, float] = field(default_factory=lambda: _NO_SCORES)
