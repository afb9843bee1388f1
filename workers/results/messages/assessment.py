"""The assessment as OBX: scores as numbers or classes, all else as text with its evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from models.contracts import Code, Prediction
from models.fusion.contracts import Assessment, Priority, Score
from node.hl7.reporting import SCHEME, OruObservation
from node.hl7.writing import Concept
from workers.results import assessed, telling

SUMMARY = Concept("ASSESSMENT-SUMMARY", SCHEME, "Images and record together")
TRIAGE = Concept("TRIAGE", SCHEME, "Triage priority")
REASON = Concept("TRIAGE-REASON", SCHEME, "Reason of the triage priority")
EVIDENCE = Concept("EVIDENCE", SCHEME, "Evidence for or against a finding")
CONFLICT = Concept("CONFLICT", SCHEME, "Contradiction between sources")
CHANGE = Concept("CHANGE", SCHEME, "Change since an earlier statement")
FOLLOW_UP = Concept("FOLLOW-UP", SCHEME, "Follow-up that the rules recommend")
MISSING = Concept("MISSING", SCHEME, "Not available to the assessment")
STATEMENT = Concept("SCORE-STATEMENT", SCHEME, "What the score says")
CATEGORY = Concept("SCORE-CATEGORY", SCHEME, "Class of the score")
BASIS = Concept("SCORE-BASIS", SCHEME, "What the score rests on")

CODE_MAX = 20

#: HL7 table 0485.
PRIORITIES: Mapping[Priority, Concept] = {
    Priority.STAT: Concept("S", "HL70485", "Stat"),
    Priority.ASAP: Concept("A", "HL70485", "ASAP"),
    Priority.ROUTINE: Concept("R", "HL70485", "Routine"),
}


def observations(prediction: Prediction, made: Assessment) -> Iterator[OruObservation]:
    """Give the OBX of an assessment, what matters most first."""
    most = telling.MAX_SENTENCES
    for sentence in made.summary[:most]:
        yield OruObservation(SUMMARY, "TX", sentence)
    yield OruObservation(TRIAGE, "CWE", PRIORITIES[made.triage.priority])
    for reason in made.triage.reasons[:most]:
        yield OruObservation(REASON, "TX", reason)
    for number, score in enumerate(made.scores[: telling.MAX_SCORES], 1):
        yield from _score(prediction, score, f"score{number}")
    for link in made.links[: telling.MAX_LINKS]:
        yield OruObservation(EVIDENCE, "TX", telling.link(prediction, link))
    for conflict in made.conflicts[:most]:
        yield OruObservation(CHANGE if conflict.change else CONFLICT, "TX", telling.conflict(conflict))
    for advice in made.follow_up[:most]:
        yield OruObservation(FOLLOW_UP, "TX", advice)
    for lack in made.missing[:most]:
        yield OruObservation(MISSING, "TX", lack)


def _score(prediction: Prediction, score: Score, sub_id: str) -> Iterator[OruObservation]:
    """A number (NM) and its class, or the class alone (CWE); one that could not be computed is said in words only."""
    number = assessed.value(score)
    name = _concept(score.code)
    category = _category(score)
    if number is not None:
        unit = score.unit if score.unit is not None and score.unit.scheme == "UCUM" else assessed.NO_UNIT
        yield OruObservation(name, "NM", number, _concept(unit), sub_id)
        if score.category:
            yield OruObservation(CATEGORY, "CWE", category, sub_id=sub_id)
    elif score.category:
        yield OruObservation(name, "CWE", category, sub_id=sub_id)
    yield OruObservation(STATEMENT, "TX", telling.score(prediction, score), sub_id=sub_id)
    if basis := [f"{kind}: {said}" for kind, said in telling.details(score)]:
        yield OruObservation(BASIS, "TX", "\n".join(basis), sub_id=sub_id)


def _category(score: Score) -> Concept:
    """A class as a code; one in words, which CWE.1 cannot hold (20 characters, section 2.A.13), as text alone."""
    if len(score.category) > CODE_MAX:
        return Concept("", "", score.category)
    return Concept(score.category, SCHEME, f"{score.title}: {score.category}")


def _concept(code: Code) -> Concept:
    return Concept(code.value, code.scheme, code.meaning)
