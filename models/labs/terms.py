"""What labs-risk asks of a record, and what its answer is called."""

from __future__ import annotations

from models.codes import OWN_SCHEME
from models.contracts import Code, InputKind, InputRequirements, RecordNeeds
from models.labs.variables import codes
from models.labs.window import HOURS

DEATH_RISK = Code("DEATH-RISK", OWN_SCHEME, "High risk of death in hospital")
LABEL = "death-risk"
AGE = Code("30525-0", "LN", "Age")
YEARS = Code("a", "UCUM", "year")

#: Youngest patients of the training set.
YOUNGEST_YEARS = 16.0

#: Fewest readable values, and variables that they are of, which the model answers on; 99 of 100 records of the training
#: set have at least 48 values of 10 kinds.
MIN_VALUES = 12
MIN_VARIABLES = 6

REQUIREMENTS = InputRequirements(
    modalities=(),
    kind=InputKind.RECORD,
    record=RecordNeeds(codes=codes(), hours=(-HOURS, 0.0), min_values=MIN_VALUES),
    description="Laboratory values and vital signs of the last 48 hours of an adult in hospital.",
)
