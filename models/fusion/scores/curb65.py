"""Severity of community-acquired pneumonia: CURB-65, and CRB-65 where urea is not known.

Lim WS, van der Eerden MM, Laing R, et al. Defining community acquired pneumonia severity on presentation to hospital:
an international derivation and validation study. Thorax 2003;58:377-382. One point each for confusion, urea above 7
mmol/L, respiratory rate of 30/min or more, blood pressure below 90 mm[Hg] systolic or of 60 or less diastolic, and age
of 65 or more. Bands of the risk of death: NICE CG191, box 1 and recommendation 1.2.
"""

from __future__ import annotations

from collections.abc import Mapping

from models.fusion import reading, reading_values
from models.fusion.contracts import Case, Evidence, Score
from models.fusion.scores import building
from models.fusion.scores.building import Input, Value

NAMES = {True: "curb-65", False: "crb-65"}
TITLES = {True: "CURB-65, severity of pneumonia", False: "CRB-65, severity of pneumonia (urea is not known)"}
CITATION = "Lim WS et al., Thorax 2003;58:377-382, doi:10.1136/thorax.58.5.377; bands: NICE CG191"
CODES = {True: building.own_code("CURB-65", "CURB-65 score"), False: building.own_code("CRB-65", "CRB-65 score")}

ADULT = 18.0
UREA_MMOL_L = 7.0
BREATHS = 30.0
SYSTOLIC = 90.0
DIASTOLIC = 60.0

CONFUSION, UREA, RATE, PRESSURE = "confusion", "urea > 7 mmol/L", "respiratory rate >= 30/min", "low blood pressure"
AGE = "age"

#: Risk of death within 30 days by class (NICE CG191): with urea, and without.
MORTALITY = {
    True: {"low risk": "below 3 %", "intermediate risk": "3 to 15 %", "high risk": "above 15 %"},
    False: {"low risk": "below 1 %", "intermediate risk": "1 to 10 %", "high risk": "above 10 %"},
}

LIMITS = (
    "For adults with community-acquired pneumonia, on presentation; clinical judgement goes first.",
    "Confusion is new disorientation, or an abbreviated mental test of 8 or less; notes seldom say how it was tested.",
)


def points(inputs: Mapping[str, Value]) -> float:
    """Sum of the points: 0 to 5 with urea among the inputs, 0 to 4 without."""
    items = (CONFUSION, RATE, PRESSURE, *((UREA,) if UREA in inputs else ()))
    return float(sum(bool(inputs[name]) for name in items) + (float(inputs[AGE]) >= 65))


def risk_class(score: float, *, urea: bool) -> str:
    """Class by points: CURB-65 0-1, 2, 3-5; CRB-65 0, 1-2, 3-4."""
    if score >= 3:
        return "high risk"
    return "low risk" if score <= (1 if urea else 0) else "intermediate risk"


def curb65(case: Case) -> tuple[Score, ...]:
    """Compute the score of an adult with pneumonia in image findings or present in a note; empty for all others.

    Age, respiratory rate and blood pressure are necessary. Confusion that no note speaks of counts as absent, and is
    named as missing.
    """
    pneumonia, finding = _pneumonia(case)
    years = reading.age(case)
    if pneumonia is None or (years is not None and years < ADULT):
        return ()
    urea = reading_values.measured(case, "urea")
    inputs = [
        building.from_statement(CONFUSION, reading.stated(case, "confusion")),
        _threshold(RATE, reading_values.measured(case, "respiratory rate"), BREATHS),
        _pressure(case),
        building.age_input(case, (60.0, 70.0)),
    ]
    if urea is not None:
        inputs.append(building.known(UREA, urea.value > UREA_MMOL_L, evidence=urea.evidence))
    value = points(building.values(inputs)) if building.complete(inputs) else None
    score = _result(tuple(inputs), value, pneumonia, finding, urea=urea is not None)
    return (building.with_sensitivity(score, inputs, points, lambda result: result),)


def _pneumonia(case: Case) -> tuple[Evidence | None, int | None]:
    for index, finding in reading.findings_of(case, "pneumonia"):
        return reading.image_evidence(finding, "pneumonia"), index
    stated = reading.stated(case, "pneumonia")
    return (stated.evidence if stated.answer else None), None


def _threshold(name: str, found: reading.Reading | None, least: float) -> Input:
    if found is None:
        return Input(name, None, choices=(False, True))
    return building.known(name, found.value >= least, evidence=found.evidence)


def _pressure(case: Case) -> Input:
    """Low blood pressure: yes by either pressure; no only by both."""
    systolic, diastolic = (
        reading_values.measured(case, "systolic pressure"),
        reading_values.measured(case, "diastolic pressure"),
    )
    if systolic is not None and systolic.value < SYSTOLIC:
        return building.known(PRESSURE, True, evidence=systolic.evidence)
    if diastolic is not None and diastolic.value <= DIASTOLIC:
        return building.known(PRESSURE, True, evidence=diastolic.evidence)
    if systolic is None or diastolic is None:
        return Input(PRESSURE, None, choices=(False, True))
    return building.known(PRESSURE, False, evidence=systolic.evidence)


def _result(
    inputs: tuple[Input, ...], value: float | None, pneumonia: Evidence, finding: int | None, *, urea: bool
) -> Score:
    def band(score: float) -> str:
        return risk_class(score, urea=urea)

    return Score(
        name=NAMES[urea],
        title=TITLES[urea],
        code=CODES[urea],
        value=value,
        unit=building.NO_UNITS,
        category=building.common(inputs, points, band) if value is None else band(value),
        statement=_statement(inputs, value, urea=urea),
        inputs=building.score_inputs((building.known("pneumonia", True, evidence=pneumonia), *inputs)),
        missing=building.missing(inputs) + (() if urea else ("urea",)),
        finding=finding,
        citation=CITATION,
        limits=LIMITS,
    )


def _statement(inputs: tuple[Input, ...], value: float | None, *, urea: bool) -> str:
    name = NAMES[urea].upper()
    if value is None:
        low, high = building.bounds(inputs, points)
        needed = building.listed([item.name for item in inputs if item.value is None])
        return f"{name} needs {needed}; it lies between {low:.0f} and {high:.0f}."
    found = risk_class(value, urea=urea)
    return f"{name} {value:.0f}, {found}: risk of death within 30 days {MORTALITY[urea][found]}."
