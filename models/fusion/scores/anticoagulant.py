"""Anticoagulants with an intracranial haemorrhage or infarct: a rule that raises the priority, not a score.

The use of an oral anticoagulant is assumed from the history unless laboratory tests rule it out: Christensen H et al.,
European Stroke Organisation guideline on reversal of oral anticoagulants in acute intracerebral haemorrhage, Eur Stroke
J 2019;4:294-306. From an INR of 2.0 on a vitamin K antagonist is reversed with prothrombin complex: Greenberg SM et
al., AHA/ASA guideline, Stroke 2022;53:e282-e361. Below 1.3 the INR counts as normal, which is the aim of reversal.
With an infarct, an INR above 1.7 or a direct anticoagulant taken within 48 hours speaks against intravenous
thrombolysis: Powers WJ et al., AHA/ASA guideline, Stroke 2019;50:e344-e418.
"""

from __future__ import annotations

from models.contracts import Finding
from models.fusion import reading, reading_values
from models.fusion.contracts import Case, Score, ScoreInput
from models.fusion.reading import Reading, Statement
from models.fusion.scores import building

NAME = "anticoagulant-haemorrhage"
TITLE = "Anticoagulant with an intracranial finding"
CODE = building.own_code("ANTICOAGULANT-ICH", "Anticoagulation with an intracranial finding")
CITATION = (
    "Christensen H et al., Eur Stroke J 2019;4:294-306, doi:10.1177/2396987319849763; "
    "Greenberg SM et al., Stroke 2022;53:e282-e361, doi:10.1161/STR.0000000000000407"
)
CITATIONS = {
    "intracranial haemorrhage": CITATION,
    "cerebral infarction": "Powers WJ et al., Stroke 2019;50:e344-e418, doi:10.1161/STR.0000000000000211",
}

#: INR below which it counts as normal, and from which reversal is advised.
NORMAL_INR = 1.3
REVERSAL_INR = 2.0

CONCEPTS = ("intracranial haemorrhage", "cerebral infarction")

#: The finding in a sentence, and what is to be done. An infarct is no reason to reverse an anticoagulant.
NAMES = {"intracranial haemorrhage": "an intracranial haemorrhage", "cerebral infarction": "a cerebral infarction"}
TO_DO = {
    "intracranial haemorrhage": "check coagulation and decide on reversal at once",
    "cerebral infarction": "check coagulation at once, it decides on thrombolysis",
}

LIMITS = (
    "The INR says little of direct oral anticoagulants and heparins.",
    "Whether an infarct is large is not judged here.",
)


def anticoagulant_haemorrhage(case: Case) -> tuple[Score, ...]:
    """Say whether a patient with an intracranial finding is anticoagulated; empty without such a finding.

    The category begins with ``anticoagulated``, ``raised INR``, ``not anticoagulated`` or ``not known``.
    """
    for concept in CONCEPTS:
        for index, finding in reading.findings_of(case, concept):
            taken, inr = reading.anticoagulant(case), reading_values.measured(case, "INR")
            return (_score(index, finding, concept, taken, inr),)
    return ()


def category(taken: bool | None, inr: float | None) -> str:
    """Category by what is taken and the INR."""
    if taken:
        return f"anticoagulated, {band(inr)}"
    if inr is not None and inr >= NORMAL_INR:
        return f"raised INR, {band(inr)}"
    return "not anticoagulated" if taken is False else "not known"


def band(inr: float | None) -> str:
    """Band of the INR."""
    if inr is None:
        return "INR not known"
    if inr >= REVERSAL_INR:
        return "INR >= 2.0"
    return "INR 1.3-1.9" if inr >= NORMAL_INR else "INR < 1.3"


def _score(index: int, finding: Finding, concept: str, taken: Statement, inr: Reading | None) -> Score:
    found = category(taken.answer, inr.value if inr is not None else None)
    missing = (() if taken.answer is not None else ("anticoagulant",)) + (() if inr is not None else ("INR",))
    return Score(
        name=NAME,
        title=TITLE,
        code=CODE,
        value=None,
        unit=None,
        category=found,
        statement=_statement(found, concept, inr),
        inputs=_inputs(finding, concept, taken, inr),
        missing=missing,
        finding=index,
        citation=CITATIONS[concept],
        limits=LIMITS,
    )


def _statement(found: str, concept: str, inr: Reading | None) -> str:
    shown = f" (INR {inr.value:.1f})" if inr is not None else ""
    name, todo = NAMES[concept], TO_DO[concept]
    if found.startswith("anticoagulated"):
        return f"The patient takes an anticoagulant{shown}, and the images show {name}: {todo}."
    if found.startswith("raised INR"):
        return f"The INR is raised{shown} without a note of an anticoagulant, and the images show {name}: {todo}."
    if found == "not anticoagulated":
        return f"The notes deny anticoagulants{shown}; the images show {name}."
    return f"The images show {name}; whether the patient takes an anticoagulant is not noted{shown}."


def _inputs(finding: Finding, concept: str, taken: Statement, inr: Reading | None) -> tuple[ScoreInput, ...]:
    found = [ScoreInput("intracranial finding", concept, evidence=reading.image_evidence(finding, concept))]
    if taken.answer is not None:
        found.append(ScoreInput("anticoagulant", "yes" if taken.answer else "no", evidence=taken.evidence))
    if inr is not None:
        found.append(ScoreInput("INR", inr.value, "1", inr.evidence))
    return tuple(found)
