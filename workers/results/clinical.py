"""Facts of clinical notes as content items of a report, apart from what was seen in the image.

TID 1500 is extensible (PS3.16): after its measurement containers the report has one container *Clinical Information*
(LOINC 55752-0, CID 7001), and in it one coded item for each fact. A fact's item carries how the note states it
(presence, time, whom it is about) and where: document number, section, character offsets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.sr.codedict import codes
from pydicom.valuerep import DT

from models.contracts import Code
from models.facts import Experiencer
from workers.results import telling
from workers.results.common import ReportedFact, concept

CLINICAL_INFORMATION = Code("55752-0", "LN", "Clinical Information")

#: Concept names by kind of fact (values of :class:`models.facts.FactKind`).
KINDS: Mapping[str, Code] = {
    "problem": Code("55607006", "SCT", "Problem"),
    "symptom": Code("418799008", "SCT", "Symptom"),
    "procedure": Code("71388002", "SCT", "Procedure"),
    "medication": Code("410942007", "SCT", "Drug or medicament"),
    "risk_factor": Code("80943009", "SCT", "Risk factor"),
    "measurement": Code("363787002", "SCT", "Observable entity"),
}

PRESENCE = Code("121052", "DCM", "Presence of property")
#: CID 240.
PRESENT = Code("52101004", "SCT", "Present")
ABSENT = Code("272519000", "SCT", "Absent")
UNDETERMINED = Code("373068000", "SCT", "Undetermined")

TEMPORAL_CONTEXT = Code("408731000", "SCT", "Temporal context")
CURRENT = Code("15240007", "SCT", "Current")
PAST = Code("410513005", "SCT", "In the past")

SUBJECT_RELATIONSHIP = Code("408732007", "SCT", "Subject relationship context")
SUBJECTS: Mapping[Experiencer, Code] = {
    Experiencer.PATIENT: Code("410604004", "SCT", "Subject of record"),
    Experiencer.FAMILY: Code("444148008", "SCT", "Person in family of subject"),
    Experiencer.OTHER: Code("125676002", "SCT", "Person"),
}

SOURCE = Code("260753009", "SCT", "Source")
QUANTITY = Code("NOTE-QUANTITY", "99OVERREAD", "Quantity as the note gives it")
SIDE = Code("NOTE-SIDE", "99OVERREAD", "Side as the note gives it")
WHEN = Code("NOTE-WHEN", "99OVERREAD", "Time as the note gives it")


def clinical_information(facts: tuple[ReportedFact, ...]) -> ContainerContentItem:
    """Build the container of all facts, in the order given."""
    container = ContainerContentItem(
        name=concept(CLINICAL_INFORMATION), relationship_type=RelationshipTypeValues.CONTAINS
    )
    container.ContentSequence = ContentSequence([_item(fact) for fact in facts])
    return container


def presence(fact: ReportedFact) -> Code:
    """Return the CID 240 code that a note's assertion amounts to: what is only possible or supposed is undetermined."""
    if fact.negated:
        return ABSENT
    return UNDETERMINED if fact.uncertain or fact.hypothetical else PRESENT


def texts(facts: tuple[ReportedFact, ...]) -> Iterator[str]:
    """All free texts that :func:`clinical_information` writes."""
    for fact in facts:
        yield from (fact.code.meaning, fact.document_number, fact.section)
        yield from (said for _, said in stated(fact))


def stated(fact: ReportedFact) -> Iterator[tuple[Code, str]]:
    """Give quantity, side and time of a fact, where its note gives them."""
    if fact.quantity is not None:
        yield QUANTITY, telling.quantity(fact.quantity)
    if fact.side:
        yield SIDE, fact.side
    if fact.when:
        yield WHEN, fact.when


def _item(fact: ReportedFact) -> CodeContentItem:
    item = CodeContentItem(
        name=concept(KINDS.get(fact.kind, KINDS["problem"])),
        value=concept(fact.code),
        relationship_type=RelationshipTypeValues.CONTAINS,
    )
    if fact.written_at is not None:
        item.add_new("ObservationDateTime", "DT", DT(fact.written_at.replace(microsecond=0)))
    item.ContentSequence = ContentSequence(
        [
            _modifier(PRESENCE, presence(fact)),
            _modifier(TEMPORAL_CONTEXT, PAST if fact.historical else CURRENT),
            _modifier(SUBJECT_RELATIONSHIP, SUBJECTS[fact.experiencer]),
            *_sources(fact),
        ]
    )
    return item


def _modifier(name: Code, value: Code) -> CodeContentItem:
    return CodeContentItem(
        name=concept(name), value=concept(value), relationship_type=RelationshipTypeValues.HAS_CONCEPT_MOD
    )


def _sources(fact: ReportedFact) -> Iterator[ContentItem]:
    """What else the note gives, and where the words stand, as properties of the fact."""
    for name, said in stated(fact):
        yield _property(name, said)
    if fact.document_number:
        yield _property(SOURCE, fact.document_number)
    where = f"section {fact.section}, " if fact.section else ""
    supposed = "; the note supposes it, it does not state it" if fact.hypothetical else ""
    comment = codes.DCM.Comment
    yield _property(
        Code(comment.value, comment.scheme_designator, comment.meaning),
        f"Clinical note, {where}characters {fact.start} to {fact.end}{supposed}",
    )


def _property(name: Code, text: str) -> TextContentItem:
    return TextContentItem(name=concept(name), value=text, relationship_type=RelationshipTypeValues.HAS_PROPERTIES)
