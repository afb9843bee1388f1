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

from models.contracts.common import (
    Code,
    FloatArray,
    Geometry,
    LabelArray,
    Side,
)
from models.contracts.errors import (
    InputDeclined,
    ModelError,
    UnusableOutput,
    WeightsError,
)
from models.contracts.findings import (
    Contribution,
    Finding,
    Measurement,
    Prediction,
    Region,
    RegionKind,
    ScalarMap,
    SegmentSpec,
    Trace,
)
from models.contracts.model import (
    BatchModel,
    Model,
    ModelCard,
    ResultSpec,
)
from models.contracts.requirements import (
    ANY_SPACING_MM,
    SCOUT_CHOICES,
    STACK_CHOICES,
    STEP_CHOICES,
    TILT_CHOICES,
    InputRequirements,
    RadiographNeeds,
    RecordNeeds,
    WaveformNeeds,
)
from models.contracts.sources import (
    NO_RECORD,
    SOURCES,
    Channel,
    InputKind,
    Radiograph,
    Record,
    RecordValue,
    Source,
    Volume,
    Waveform,
    expect,
)

__all__ = [
    "ANY_SPACING_MM",
    "NO_RECORD",
    "SCOUT_CHOICES",
    "SOURCES",
    "STACK_CHOICES",
    "STEP_CHOICES",
    "TILT_CHOICES",
    "BatchModel",
    "Channel",
    "Code",
    "Contribution",
    "Finding",
    "FloatArray",
    "Geometry",
    "InputDeclined",
    "InputKind",
    "InputRequirements",
    "LabelArray",
    "Measurement",
    "Model",
    "ModelCard",
    "ModelError",
    "Prediction",
    "Radiograph",
    "RadiographNeeds",
    "Record",
    "RecordNeeds",
    "RecordValue",
    "Region",
    "RegionKind",
    "ResultSpec",
    "ScalarMap",
    "SegmentSpec",
    "Side",
    "Source",
    "Trace",
    "UnusableOutput",
    "Volume",
    "Waveform",
    "WaveformNeeds",
    "WeightsError",
    "expect",
]
