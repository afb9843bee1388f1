"""What the chest models' findings are called and what the models ask of their input."""

from __future__ import annotations

from models.codes import OWN_SCHEME
from models.contracts import Code, InputKind, InputRequirements, RadiographNeeds, RecordNeeds
from models.imaging.chest_xray.labs import CODES
from models.imaging.chest_xray.picture import SIDE

PNEUMONIA = Code("233604007", "SCT", "Pneumonia")
SEVERE_COURSE = Code("COVID19-SEVERE-COURSE", OWN_SCHEME, "Severe course of COVID-19")

#: Youngest and oldest children of the pneumonia model's training set, in completed years.
TRAINED_YEARS = (1, 5)

#: From this age on the pneumonia model declines, and below it the severity model.
ADULT_YEARS = 18.0

#: LOINC 30525-0 (Age): the pneumonia model reads nothing else of the record.
AGE = "30525-0"

VIEWS = ("AP", "PA")
MODALITIES = ("CR", "DX")
BODY_PARTS = ("CHEST", "THORAX", "LUNG")

PNEUMONIA_REQUIREMENTS = InputRequirements(
    modalities=MODALITIES,
    kind=InputKind.RADIOGRAPH,
    body_parts=BODY_PARTS,
    radiograph=RadiographNeeds(views=VIEWS, min_pixels=SIDE),
    record=RecordNeeds(codes=(AGE,), min_values=0),
    description="A frontal chest radiograph of a child of 1 to 5 years.",
)

SEVERITY_REQUIREMENTS = InputRequirements(
    modalities=MODALITIES,
    kind=InputKind.RADIOGRAPH,
    body_parts=BODY_PARTS,
    radiograph=RadiographNeeds(views=VIEWS, min_pixels=SIDE),
    record=RecordNeeds(codes=CODES, hours=(-48.0, 0.0), min_values=0),
    description="A frontal chest radiograph of a patient with COVID-19, and laboratory values of two days before it.",
)
