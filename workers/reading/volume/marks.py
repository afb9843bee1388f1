"""What tells planes at one place apart: the attributes by which headers number stacks, phases, echoes and the like."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

Marks = Mapping[str, str]
"""Values by attribute, for one plane."""

#: Names a stack of frames (PS3.3 C.7.6.16.2.2): planes of different stacks do not belong together, wherever they lie.
STACK_ID = "StackID"

#: Attributes of single-frame images, the most telling first (PS3.3 C.8.3.1, C.8.2.1, C.8.9.4, C.7.6.1).
SINGLE = (
    STACK_ID,
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "EchoNumbers",
    "EchoTime",
    "DiffusionBValue",
    "DiffusionGradientOrientation",
    "InversionTime",
    "FlipAngle",
    "NominalPercentageOfCardiacPhase",
    "TriggerTime",
    "FrameReferenceTime",
    "ImageType",
    "AcquisitionNumber",
    "AcquisitionTime",
    "ConvolutionKernel",
)

#: The same in the functional groups of a frame (PS3.3 C.7.6.16.2, C.8.13.5, C.8.15.3).
FRAME = MappingProxyType(
    {
        "FrameContentSequence": (STACK_ID, "TemporalPositionIndex", "FrameAcquisitionNumber"),
        "MREchoSequence": ("EffectiveEchoTime",),
        "MRDiffusionSequence": ("DiffusionBValue", "DiffusionDirectionality"),
        "CardiacSynchronizationSequence": ("NominalPercentageOfCardiacPhase",),
        "MRImageFrameTypeSequence": ("FrameType", "ComplexImageComponent"),
        "CTImageFrameTypeSequence": ("FrameType",),
        "PETFrameTypeSequence": ("FrameType",),
    }
)

#: Dimensions that say where a frame lies in its stack: the position itself, which is read from the plane.
PLACES = frozenset({"InStackPositionNumber", "ImagePositionPatient", "SliceLocation", "ImagePositionVolume"})


def marks_of(ds: Dataset, frame: int) -> Marks:
    """Read what marks one frame of an instance; an attribute that it lacks is left out."""
    if "PerFrameFunctionalGroupsSequence" not in ds:
        return {keyword: _text(ds.get(keyword)) for keyword in SINGLE if ds.get(keyword) not in (None, "")}
    groups = ds.PerFrameFunctionalGroupsSequence[frame]
    found = {}
    for macro, keywords in FRAME.items():
        for item in (groups.get(macro) or [])[:1]:
            found.update({keyword: _text(item.get(keyword)) for keyword in keywords if item.get(keyword) is not None})
    return {**found, **_dimensions(ds, groups)}


def _dimensions(ds: Dataset, groups: Dataset) -> Marks:
    """Dimension Index Values of a frame (PS3.3 C.7.6.17), by what each dimension points at."""
    content = (groups.get("FrameContentSequence") or [Dataset()])[0]
    values = content.get("DimensionIndexValues")
    if values is None:
        return {}
    numbers = list(values) if isinstance(values, MultiValue | list) else [values]
    pointers = [item.get("DimensionIndexPointer") for item in ds.get("DimensionIndexSequence") or ()]
    if len(pointers) != len(numbers):
        return {}
    names = [keyword_for_tag(tag) if tag is not None else "" for tag in pointers]
    return {
        f"dimension {at + 1}{f' ({name})' if name else ''}": str(number)
        for at, (name, number) in enumerate(zip(names, numbers, strict=True))
        if name not in PLACES
    }


def _text(value: object) -> str:
    return "\\".join(str(item) for item in value) if isinstance(value, MultiValue | list) else str(value)


def sort_key(value: str) -> tuple[tuple[int, float, str], ...]:
    """Order of values: numbers by size, before texts."""
    return tuple(_part(part) for part in value.split("\\"))


def _part(part: str) -> tuple[int, float, str]:
    try:
        number = float(part)
    except ValueError:
        return (1, 0.0, part)
    return (0, number, part) if number == number else (1, 0.0, part)
