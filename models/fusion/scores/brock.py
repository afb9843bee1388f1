"""Probability that a lung nodule is malignant: the full PanCan (Brock) models.

McWilliams A, Tammemagi MC, Mayo JR, et al. Probability of cancer in pulmonary nodules detected on first screening CT.
N Engl J Med 2013;369:910-919, table 2: model 2b (with spiculation) and model 2a (without it). Log odds::

    x = constant + a (age - 62) + b female + c family history + d emphysema
        + e ((size / 10 mm)^-0.5 - 1.58113883) + type + f upper lobe + g (count - 4) + h spiculation

and the probability is 1 / (1 + exp(-x)). Size is the longest diameter in mm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from models.fusion import reading
from models.fusion.contracts import Case, Score, Source
from models.fusion.contracts import Evidence as Ev
from models.fusion.scores import building
from models.fusion.scores.building import Input, Value
from models.fusion.scores.lung_record import emphysema, family_history
from models.fusion.scores.nodules import Density, Nodule, counted, nodules

NAME = "brock"
CITATION = "McWilliams A et al., N Engl J Med 2013;369:910-919, doi:10.1056/NEJMoa1214726, table 2"
CODE = building.own_code("BROCK", "PanCan (Brock) probability of malignancy of a lung nodule")

#: From this probability on the British Thoracic Society advises more than surveillance (Callister et al., Thorax
#: 2015;70 Suppl 2:ii1-ii54).
BTS_THRESHOLD = 10.0

#: Age at enrolment of the cohort; the values that an unknown age could have.
COHORT_AGES = (50.0, 75.0)

#: Longest size to which the model is applied: beyond 30 mm it is a mass.
LARGEST_MM = 30.0


@dataclass(frozen=True, slots=True)
class Coefficients:
    """One column of table 2."""

    constant: float
    age: float
    female: float
    family: float
    emphysema: float
    size: float
    non_solid: float
    part_solid: float
    upper_lobe: float
    count: float
    spiculation: float


MODEL_2A = Coefficients(-6.8071, 0.0321, 0.5635, 0.3013, 0.3462, -5.6693, -0.3005, 0.3395, 0.7116, -0.0803, 0.0)
MODEL_2B = Coefficients(-6.7892, 0.0287, 0.6011, 0.2961, 0.2953, -5.3854, -0.1276, 0.3770, 0.6581, -0.0824, 0.7729)

AGE, SEX, SIZE, TYPE = "age", "sex", "nodule size", "nodule type"
FAMILY, EMPHYSEMA, UPPER = "family history of lung cancer", "emphysema", "upper lobe"
COUNT, SPICULATION = "nodule count", "spiculation"


#: Value of the input spiculation where nobody says; model 2a is the paper's answer to that.
NOT_KNOWN = "not known"


def probability(inputs: Mapping[str, Value]) -> float:
    """Probability of malignancy in per cent; ``inputs`` has a value for each name above, the size positive in mm."""
    density = inputs[TYPE]
    spiculated = inputs[SPICULATION]
    model = MODEL_2A if spiculated == NOT_KNOWN else MODEL_2B
    x = (
        model.constant
        + model.age * (float(inputs[AGE]) - 62.0)
        + model.female * (inputs[SEX] == "F")
        + model.family * bool(inputs[FAMILY])
        + model.emphysema * bool(inputs[EMPHYSEMA])
        + model.size * ((float(inputs[SIZE]) / 10.0) ** -0.5 - 1.58113883)
        + model.non_solid * (density == Density.NON_SOLID)
        + model.part_solid * (density == Density.PART_SOLID)
        + model.upper_lobe * bool(inputs[UPPER])
        + model.count * (float(inputs[COUNT]) - 4.0)
        + model.spiculation * (spiculated is True)
    )
    return 50.0 * (1.0 + math.tanh(x / 2.0))  # 100 / (1 + exp(-x)), which would overflow for absurd sizes


def brock(case: Case) -> tuple[Score, ...]:
    """Compute the probability for every lung nodule of a CT; empty where there is none.

    Age, sex and size are necessary. Where spiculation is not known, the paper's model without it is used. Type, lobe,
    family history and emphysema are taken at the model's reference (solid, not upper, no, no) where nobody states them,
    named as missing, and varied in the sensitivity.
    """
    if case.modality.upper() not in {"CT", ""}:
        return ()
    found = [nodule for nodule in nodules(case) if not nodule.benign]
    if not found:
        return ()
    record = _Record(family_history(case), emphysema(case), counted(found), _outside(case))
    return tuple(_score(case, nodule, record) for nodule in found)


@dataclass(frozen=True, slots=True)
class _Record:
    """What is the same for every nodule of the study."""

    family: reading.Statement
    emphysema: reading.Statement
    count: int
    outside: tuple[str, ...]


def _score(case: Case, nodule: Nodule, record: _Record) -> Score:
    inputs = _inputs(case, nodule, record)
    if nodule.longest_mm is None:
        return _result(nodule, inputs, None, ())
    value = probability(building.values(inputs)) if building.complete(inputs) else None
    score = _result(nodule, inputs, value, _limits(case, nodule, record))
    if value is not None and (why := record.outside):
        score = replace(score, statement=f"{score.statement} Not made for this patient: {building.listed(why)}.")
    return building.with_sensitivity(score, inputs, probability, lambda result: round(result, 2))


def _inputs(case: Case, nodule: Nodule, record: _Record) -> tuple[Input, ...]:
    size = nodule.longest_mm
    shown = reading.image_evidence(nodule.finding, f"longest diameter {size:g} mm") if size is not None else None
    return (
        building.age_input(case, COHORT_AGES),
        building.sex_input(case),
        Input(SIZE, size, "mm", shown, () if size is not None else ("not measured",)),
        _open(TYPE, nodule.density.value, nodule.density.evidence, Density.SOLID, tuple(Density)),
        _open(UPPER, nodule.upper_lobe.value, nodule.upper_lobe.evidence, False, (False, True)),
        building.known(COUNT, float(record.count), evidence=Ev(Source.IMAGE, f"{record.count} found by {case.model}")),
        building.from_statement(FAMILY, record.family),
        building.from_statement(EMPHYSEMA, record.emphysema),
        _open(SPICULATION, nodule.spiculated.value, nodule.spiculated.evidence, NOT_KNOWN, (NOT_KNOWN, False, True)),
    )


def _open(
    name: str, value: str | bool | None, evidence: Ev | None, reference: Value, choices: tuple[Value, ...]
) -> Input:
    return Input(name, reference, choices=choices) if value is None else Input(name, value, evidence=evidence)


def _limits(case: Case, nodule: Nodule, record: _Record) -> tuple[str, ...]:
    found = ["Made from smokers and former smokers aged 50 to 75 years in screening; measured at the first CT."]
    years = reading.age(case)
    if years is not None and not COHORT_AGES[0] <= years <= COHORT_AGES[1]:
        found.append("The patient's age is outside that of the model's cohort.")
    if nodule.longest_mm is not None and nodule.longest_mm > LARGEST_MM:
        found.append("Larger than 30 mm: a mass, for which the model was not made.")
    found += [f"The model was not made for this patient: {why}." for why in record.outside]
    return tuple(found)


def _outside(case: Case) -> tuple[str, ...]:
    """Why the patient is not one of those that the model was made from, by what the record states."""
    stated = {name: reading.stated(case, name).answer for name in ("cancer", "immunosuppression", "smoking")}
    found = (
        (stated["cancer"] is True, "cancer is known"),
        (stated["immunosuppression"] is True, "the patient is immunosuppressed"),
        (stated["smoking"] is False, "the notes deny smoking"),
    )
    return tuple(why for holds, why in found if holds)


def _result(nodule: Nodule, inputs: tuple[Input, ...], value: float | None, limits: tuple[str, ...]) -> Score:
    unknown = nodule.spiculated.value is None
    model = "without spiculation, which is not known" if unknown else "with spiculation"
    if value is None:
        needed = [item.name for item in inputs if item.value is None]
        category, statement = "", f"The PanCan (Brock) probability needs {building.listed(needed)}."
    else:
        category = "10 % or more" if value >= BTS_THRESHOLD else "below 10 %"
        statement = (
            f"Probability of malignancy {value:.1f} % (PanCan/Brock full model {model}); "
            "the British Thoracic Society advises surveillance below 10 % and further investigation from 10 % on."
        )
    return Score(
        name=NAME,
        title=f"PanCan (Brock) probability of malignancy, full model {'2a' if unknown else '2b'}",
        code=CODE,
        value=None if value is None else round(value, 2),
        unit=building.PERCENT,
        category=category,
        statement=statement,
        inputs=building.score_inputs(inputs),
        missing=building.missing(inputs),
        finding=nodule.index,
        citation=CITATION,
        limits=limits,
    )
