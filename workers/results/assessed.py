"""What images and record say together, as content items of a report, apart from the findings and from the notes' facts.

TID 1500 is extensible (PS3.16): after *Clinical Information* the report has one container *Assessment*. A score with a
number is a NUM with its unit in UCUM, one that gives a class a TEXT; what it rests on are properties of it. Statements
are inferred from what they rest on where that is a text of its own (PS3.3 table A.35.13-2).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from highdicom.sr import (
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    NumContentItem,
    RelationshipTypeValues,
    TextContentItem,
)

from models.contracts import Code, Prediction
from models.fusion.contracts import Assessment, Conflict, Evidence, Link, Relation, Score, Triage
from workers.results import telling
from workers.results.common import concept

SCHEME = "99OVERREAD"

ASSESSMENT = Code("ASSESSMENT", SCHEME, "Assessment of images and record")
CONCLUSION = Code("121077", "DCM", "Conclusion")
FOLLOW_UP = Code("111053", "DCM", "Recommended Follow-up")
TRIAGE = Code("TRIAGE", SCHEME, "Triage priority")
REASON = Code("TRIAGE-REASON", SCHEME, "Reason of the triage priority")
CRITICAL = Code("CRITICAL-FINDING", SCHEME, "Critical finding")
CONFLICT = Code("CONFLICT", SCHEME, "Contradiction between sources")
CHANGE = Code("CHANGE", SCHEME, "Change since an earlier statement")
MISSING = Code("MISSING", SCHEME, "Not available to the assessment")
EVIDENCE = Code("EVIDENCE", SCHEME, "Evidence")
CATEGORY = Code("111005", "DCM", "Assessment Category")
STATEMENT = Code("SCORE-STATEMENT", SCHEME, "What the score says")
NO_UNIT = Code("1", "UCUM", "no units")

RELATIONS: Mapping[Relation, Code] = {
    Relation.SUPPORTS: Code("SUPPORTED-BY", SCHEME, "Finding is supported by"),
    Relation.CONTRADICTS: Code("CONTRADICTED-BY", SCHEME, "Finding is contradicted by"),
    Relation.EXPLAINS: Code("EXPLAINED-BY", SCHEME, "Finding may be explained by"),
    Relation.RAISES_RISK: Code("RISK-RAISED-BY", SCHEME, "Finding is more dangerous because of"),
}

DETAILS: Mapping[str, Code] = {
    "input": Code("SCORE-INPUT", SCHEME, "Input of the score"),
    "missing": Code("SCORE-MISSING", SCHEME, "Missing input of the score"),
    "sensitivity": Code("SCORE-RANGE", SCHEME, "Range over a missing input"),
    "limit": Code("SCORE-LIMIT", SCHEME, "Limit of the score"),
    "source": Code("SCORE-SOURCE", SCHEME, "Publication of the score"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One statement with what stands below it; with a number it is a NUM in ``unit``, else a TEXT."""

    name: Code
    said: str
    below: tuple[Line, ...] = ()
    relationship: RelationshipTypeValues = RelationshipTypeValues.CONTAINS
    number: float | None = None
    unit: Code = NO_UNIT

    def item(self) -> ContentItem:
        """Build the content item."""
        name, relationship = concept(self.name), self.relationship
        item: ContentItem
        if self.number is None:
            item = TextContentItem(name=name, value=self.said or name.meaning, relationship_type=relationship)
        else:
            item = NumContentItem(name=name, value=self.number, unit=concept(self.unit), relationship_type=relationship)
        if self.below:
            item.ContentSequence = ContentSequence([line.item() for line in self.below])
        return item

    def texts(self) -> Iterator[str]:
        """Give all its texts."""
        yield from (self.name.meaning, self.said, self.unit.meaning)
        for line in self.below:
            yield from line.texts()


def assessment(prediction: Prediction, made: Assessment) -> ContainerContentItem:
    """Build the container."""
    container = ContainerContentItem(name=concept(ASSESSMENT), relationship_type=RelationshipTypeValues.CONTAINS)
    container.ContentSequence = ContentSequence([line.item() for line in lines(prediction, made)])
    return container


def texts(prediction: Prediction, made: Assessment | None) -> Iterator[str]:
    """Texts that :func:`assessment` writes."""
    for line in lines(prediction, made) if made is not None else ():
        yield from line.texts()


def lines(prediction: Prediction, made: Assessment) -> Iterator[Line]:
    """Give the statements of an assessment, what matters most first."""
    most = telling.MAX_SENTENCES
    yield from (Line(CONCLUSION, sentence) for sentence in made.summary[:most])
    yield _triage(prediction, made.triage)
    yield from (_score(prediction, score) for score in made.scores[: telling.MAX_SCORES])
    yield from (_link(prediction, link) for link in made.links[: telling.MAX_LINKS])
    yield from (_conflict(conflict) for conflict in made.conflicts[:most])
    yield from (Line(FOLLOW_UP, advice) for advice in made.follow_up[:most])
    yield from (Line(MISSING, lack) for lack in made.missing[:most])


def value(item: Score) -> float | None:
    """Return a score's number as it can be written, None where it has none."""
    if item.value is None or not math.isfinite(item.value):
        return None
    return float(f"{item.value:.6g}")


def _triage(prediction: Prediction, triage: Triage) -> Line:
    reasons = [_property(REASON, reason) for reason in triage.reasons[: telling.MAX_SENTENCES]]
    critical = [_property(CRITICAL, telling.subject(prediction, index)) for index in triage.critical_findings]
    return Line(TRIAGE, triage.priority.value, (*reasons, *critical))


def _score(prediction: Prediction, score: Score) -> Line:
    below = [_property(STATEMENT, telling.score(prediction, score))]
    below += [_property(CATEGORY, score.category)] if score.category else []
    below += [_property(DETAILS[kind], said) for kind, said in telling.details(score)]
    number = value(score)
    said = "" if number is not None else score.category or "not computed"
    unit = score.unit if score.unit is not None and score.unit.scheme == "UCUM" else NO_UNIT
    return Line(score.code, said, tuple(below), number=number, unit=unit)


def _link(prediction: Prediction, link: Link) -> Line:
    return Line(RELATIONS[link.relation], telling.link(prediction, link), (_inferred(link.evidence),))


def _conflict(conflict: Conflict) -> Line:
    return Line(CHANGE if conflict.change else CONFLICT, conflict.text, tuple(map(_inferred, conflict.evidence)))


def _property(name: Code, said: str) -> Line:
    return Line(name, said, relationship=RelationshipTypeValues.HAS_PROPERTIES)


def _inferred(item: Evidence) -> Line:
    return Line(EVIDENCE, telling.evidence(item), relationship=RelationshipTypeValues.INFERRED_FROM)
