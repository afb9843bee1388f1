"""Codes, requirements and segments of the lung nodule model; no torch, so that cards can use it."""

from __future__ import annotations

from models.codes import OWN_SCHEME
from models.contracts import Code, InputRequirements, ResultSpec, SegmentSpec

NAME = "lung-nodule"

#: Label of every finding; which nodule it is stands in the lesion.
LABEL = "nodule"

#: What models/fusion/scores/findings.tsv knows as a lung nodule.
NODULE_OF_LUNG = Code("786838002", "SCT", "Nodule of lung")

#: Read by the scores for part-solid nodules.
SOLID_DIAMETER = Code("SOLID-DIAMETER", OWN_SCHEME, "Mean diameter of the solid component")

#: PS3.16 CID 7180 and CID 83.
ATTENUATION = Code("112031", "DCM", "Attenuation Coefficient")
HOUNSFIELD = Code("[hnsf'U]", "UCUM", "Hounsfield unit")

#: PS3.16 CID 7150, CID 7159, CID 4 and CID 244.
ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
NODULE = Code("27925004", "SCT", "Nodule")
LUNG = Code("39607008", "SCT", "Lung")

#: So many nodules are drawn, and so many are reported.
MOST_DRAWN, MOST_REPORTED = 10, 20

#: Smallest nodule that the absence of findings speaks of, in mm.
SMALLEST_MM = 4.0

#: Slices farther apart than this are warned of, in mm.
THICK_MM = 2.5

REQUIREMENTS = InputRequirements(
    modalities=("CT",),
    spacing_mm=(0.25, 5.0),
    extent_mm=(150.0, 700.0),
    min_slices=20,
    description="The model reads CT of the whole chest, with both lungs in the field of view.",
    tilt="resample",
    uneven_spacing="resample",
    missing_slices="resample",
    scouts="leave_out",
    body_parts=("CHEST", "THORAX", "LUNG", "CHESTABDOMEN", "CHESTABDPELVIS"),
)

_COLOURS = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
    (153, 153, 153),
    (170, 110, 40),
    (128, 0, 128),
)

SEGMENTS = tuple(
    SegmentSpec(number, f"Lung nodule {number}", ABNORMAL, NODULE, LUNG, rgb=_COLOURS[number - 1])
    for number in range(1, MOST_DRAWN + 1)
)

RESULTS = (ResultSpec(LABEL, NODULE_OF_LUNG),)
