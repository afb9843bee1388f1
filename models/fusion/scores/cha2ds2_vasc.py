"""Risk of stroke in atrial fibrillation: CHA2DS2-VASc.

Lip GYH, Nieuwlaat R, Pisters R, Lane DA, Crijns HJGM. Refining clinical risk stratification for predicting stroke and
thromboembolism in atrial fibrillation using a novel risk factor-based approach. Chest 2010;137:263-272. Rates: Friberg
L, Rosenqvist M, Lip GYH. Eur Heart J 2012;33:1500-1510 (Swedish cohort, without anticoagulants).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from models.fusion import reading
from models.fusion.contracts import Case, Evidence, Score
from models.fusion.scores import building
from models.fusion.scores.building import Input, Value

NAME = "cha2ds2-vasc"
TITLE = "CHA2DS2-VASc, risk of stroke in atrial fibrillation"
CITATION = (
    "Lip GYH et al., Chest 2010;137:263-272, doi:10.1378/chest.09-1584; "
    "rates: Friberg L et al., Eur Heart J 2012;33:1500-1510, doi:10.1093/eurheartj/ehr488"
)
CODE = building.own_code("CHA2DS2-VASC", "CHA2DS2-VASc score")

ADULT = 18.0

#: Points of each yes-or-no item (Lip 2010, table 2); the concept that answers it.
ITEMS: tuple[tuple[str, str, int], ...] = (
    ("congestive heart failure", "heart failure", 1),
    ("hypertension", "hypertension", 1),
    ("diabetes mellitus", "diabetes", 1),
    ("stroke, TIA or thromboembolism", "stroke or embolism", 2),
    ("vascular disease", "vascular disease", 1),
)

#: Ischaemic strokes in 100 patient-years by score (Friberg 2012), 0 to 9 points.
STROKES_A_YEAR = (0.2, 0.6, 2.2, 3.2, 4.8, 7.2, 9.7, 11.2, 10.8, 12.2)

LIMITS = (
    "For adults with atrial fibrillation without mitral stenosis or mechanical valve.",
    "The rates are of a Swedish cohort without anticoagulants; other cohorts differ.",
)

ANTICOAGULATED = (
    "A note names an anticoagulant: with it the rate is lower.",
    "The images show an intracranial haemorrhage: whether to anticoagulate is not for this score alone.",
)

#: Least confidence of an infarct that the images show for it to count as a stroke.
SURE = 0.5

VALVULAR = ("A note names mitral stenosis or a mechanical valve: the score was not made for this patient.",)


def points(inputs: Mapping[str, Value]) -> float:
    """Sum of the points, 0 to 9; ``inputs`` has age, sex and every name of :data:`ITEMS`."""
    years = float(inputs["age"])
    by_age = 2 if years >= 75 else 1 if years >= 65 else 0
    return float(by_age + (inputs["sex"] == "F") + sum(score for name, _, score in ITEMS if inputs[name]))


def risk_class(score: float) -> str:
    """Class by points: 0 low, 1 intermediate, 2 or more high (Lip 2010)."""
    return "low risk" if score == 0 else "intermediate risk" if score == 1 else "high risk"


def cha2ds2_vasc(case: Case) -> tuple[Score, ...]:
    """Compute the score of an adult with atrial fibrillation in image findings or notes; empty for all others.

    Age and sex are necessary. A disease that no note speaks of counts as absent, and is named as missing.
    """
    fibrillation, finding = _fibrillation(case)
    years = reading.age(case)
    if fibrillation is None or (years is not None and years < ADULT):
        return ()
    inputs = (
        building.age_input(case, (60.0, 70.0, 80.0)),
        building.sex_input(case),
        *(building.from_statement(name, _stated(case, concept)) for name, concept, _ in ITEMS),
    )
    value = points(building.values(inputs)) if building.complete(inputs) else None
    valvular = bool(reading.stated(case, "valvular atrial fibrillation").answer)
    limits = LIMITS + (VALVULAR if valvular else ()) + _against(case)
    score = _result(inputs, value, fibrillation, finding, limits)
    if valvular:
        score = replace(score, statement=f"{VALVULAR[0]} {score.statement}")
    return (_open(building.with_sensitivity(score, inputs, points, lambda result: result)),)


def _open(score: Score) -> Score:
    """Say in the statement how far the score reaches where inputs are missing: it is not final then."""
    every = next((row for row in score.sensitivity if row.input == building.ALL_OPEN), None)
    if every is None:
        rows = score.sensitivity[:1]
        every = rows[0] if len(score.missing) == 1 and rows and rows[0].input == score.missing[0] else None
    if score.value is None or every is None or every.low == every.high:
        return score
    ends = f"{float(every.low):.0f} to {float(every.high):.0f}"
    count = len(score.missing)
    return replace(
        score,
        statement=f"{score.statement} Not final: {count} input{'s are' if count > 1 else ' is'} missing ({ends}).",
    )


def _stated(case: Case, concept: str) -> reading.Statement:
    """What the notes say; a cerebral infarction that the images show is a stroke."""
    if concept == "stroke or embolism":
        for _, finding in reading.findings_of(case, "cerebral infarction"):
            if finding.confidence is None or finding.confidence >= SURE:
                return reading.Statement(True, reading.image_evidence(finding, "cerebral infarction"))
    return reading.stated(case, concept)


def _against(case: Case) -> tuple[str, ...]:
    """What a reader must know before acting on the rate."""
    found = (reading.anticoagulant(case).answer, bool(reading.findings_of(case, "intracranial haemorrhage")))
    return tuple(text for text, holds in zip(ANTICOAGULATED, found, strict=True) if holds)


def _fibrillation(case: Case) -> tuple[Evidence | None, int | None]:
    for index, finding in reading.findings_of(case, "atrial fibrillation"):
        return reading.image_evidence(finding, "atrial fibrillation"), index
    stated = reading.stated(case, "atrial fibrillation")
    return (stated.evidence if stated.answer else None), None


def _result(
    inputs: tuple[Input, ...],
    value: float | None,
    fibrillation: Evidence,
    finding: int | None,
    limits: tuple[str, ...],
) -> Score:
    atrial = building.known("atrial fibrillation", True, evidence=fibrillation)
    return Score(
        name=NAME,
        title=TITLE,
        code=CODE,
        value=value,
        unit=building.NO_UNITS,
        category=building.common(inputs, points, risk_class) if value is None else risk_class(value),
        statement=_statement(inputs, value),
        inputs=building.score_inputs((atrial, *inputs)),
        missing=building.missing(inputs),
        finding=finding,
        citation=CITATION,
        limits=limits,
    )


def _statement(inputs: tuple[Input, ...], value: float | None) -> str:
    if value is None:
        low, high = building.bounds(inputs, points)
        needed = building.listed([item.name for item in inputs if item.value is None])
        return f"CHA2DS2-VASc needs {needed}; it lies between {low:.0f} and {high:.0f}."
    sex_only = value == 1 and building.values(inputs)["sex"] == "F"
    remark = "; the point is for female sex alone" if sex_only else ""
    rate = STROKES_A_YEAR[int(value)]
    return (
        f"CHA2DS2-VASc {value:.0f}, {risk_class(value)}: about {rate:g} ischaemic strokes in 100 patient-years{remark}."
    )
