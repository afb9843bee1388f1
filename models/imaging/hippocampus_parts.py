"""What the hippocampus model draws and measures, and what it asks of its input; no torch, so cards can use it."""

from __future__ import annotations

from dataclasses import dataclass

from models.contracts import Code, InputRequirements, SegmentSpec

#: PS3.16 CID 7150 (category) and CID 7140 / 7153 (type); modifiers of CID 2.
ANATOMICAL_STRUCTURE = Code("91723000", "SCT", "Anatomical Structure")
HIPPOCAMPUS = Code("5366008", "SCT", "Hippocampus")
ANTERIOR = Code("255549009", "SCT", "Anterior")
POSTERIOR = Code("255551008", "SCT", "Posterior")

SPACING_MM = 1.0

REQUIREMENTS = InputRequirements(
    modalities=("MR",),
    spacing_mm=(0.7, 1.4),
    extent_mm=(24.0, 80.0),
    min_slices=16,
    description="The model reads T1-weighted MR cropped to the surroundings of one hippocampus, not a whole brain.",
    tilt="resample",
    uneven_spacing="resample",
    scouts="leave_out",
)


@dataclass(frozen=True, slots=True)
class Part:
    """A measured part: ``key`` names it in metrics, ``segments`` are the label values that make it up."""

    key: str
    label: str
    title: str
    segments: tuple[int, ...]


PARTS = (
    Part("total", "hippocampus", "Hippocampus", (1, 2)),
    Part("anterior", "hippocampus-anterior", "Hippocampus, anterior part", (1,)),
    Part("posterior", "hippocampus-posterior", "Hippocampus, posterior part", (2,)),
)

#: Keys of the parts that are one label each; each has an interval factor, the whole is made of them.
SINGLE_PARTS = tuple(part.key for part in PARTS if len(part.segments) == 1)

SEGMENTS = (
    SegmentSpec(
        label=1,
        name="Hippocampus, anterior part",
        category=ANATOMICAL_STRUCTURE,
        type=HIPPOCAMPUS,
        anatomy=HIPPOCAMPUS,
        anatomy_modifiers=(ANTERIOR,),
        rgb=(230, 159, 0),
    ),
    SegmentSpec(
        label=2,
        name="Hippocampus, posterior part",
        category=ANATOMICAL_STRUCTURE,
        type=HIPPOCAMPUS,
        anatomy=HIPPOCAMPUS,
        anatomy_modifiers=(POSTERIOR,),
        rgb=(86, 180, 233),
    ),
)
