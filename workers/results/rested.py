"""What an answer rests on besides an image, as content items: stretches of a waveform, values of the record.

A waveform is referred to by WAVEFORM items and by TCOORD items that are selected from it (PS3.3 C.18.5, C.18.7). Values
of the record are NUM items as TID 300 has them, each with its contribution as a property of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from highdicom.sr import (
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    NumContentItem,
    RelationshipTypeValues,
    TcoordContentItem,
    TemporalRangeTypeValues,
    TextContentItem,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from models.codes import NO_UNITS, OWN_SCHEME, SALIENCY
from models.contracts import Code, Contribution, InputKind
from workers.results.common import ResultInput, concept
from workers.results.stretches import stretches
from workers.results.subjects import container, waveform

#: The container of the record's values, and how far each moved the answer.
VALUES = Code("RECORD-VALUES", OWN_SCHEME, "Values of the record that the answer rests on")
CONTRIBUTION = Code("CONTRIBUTION", OWN_SCHEME, "Change of log-odds by the value")
MISSING = "not in the record"

#: Most values that a report lists; the strongest come first.
LIMIT = 60

COMMENT = Code("121106", "DCM", "Comment")
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")


def refer_to_waveform(sr: Dataset, inp: ResultInput) -> None:
    """Put the waveform, and its stretches that mattered most, to each finding of a report that is of one.

    After the document was made of its content: highdicom (0.28) writes WAVEFORM items and does not read them again.
    """
    if inp.kind is not InputKind.WAVEFORM:
        return
    for part in sr.ContentSequence:
        if part.name == codes.DCM.ImagingMeasurements:
            for group in part.ContentSequence:
                group.ContentSequence.extend(_of_waveform(inp, RelationshipTypeValues.CONTAINS))
        elif part.name == concept(QUALITATIVE_EVALUATIONS):
            evaluated = [item for item in part.ContentSequence if item.ValueType == "CODE"]
            for item in evaluated:
                _below(item).extend(_of_waveform(inp, RelationshipTypeValues.INFERRED_FROM))
            if not evaluated:
                part.ContentSequence.extend(_of_waveform(inp, RelationshipTypeValues.CONTAINS))


def _below(item: Dataset) -> ContentSequence:
    if "ContentSequence" not in item:
        item.ContentSequence = ContentSequence()
    found: ContentSequence = item.ContentSequence
    return found


def _of_waveform(inp: ResultInput, relationship: RelationshipTypeValues) -> list[ContentItem]:
    found: list[ContentItem] = [waveform(inp, relationship)]
    times = [time for item in stretches(inp.prediction) for time in (item.start_s, item.end_s)]
    if times:
        kind = TemporalRangeTypeValues.SEGMENT if len(times) == 2 else TemporalRangeTypeValues.MULTISEGMENT
        item = TcoordContentItem(
            concept(SALIENCY),
            kind,
            referenced_time_offsets=[round(time, 3) for time in times],
            relationship_type=relationship,
        )
        item.ContentSequence = ContentSequence([waveform(inp, RelationshipTypeValues.SELECTED_FROM)])
        found.append(item)
    return found


def record_values(inp: ResultInput) -> list[ContainerContentItem]:
    """Build the container of the record's values, the strongest first; empty where the answer rests on none."""
    items = [_value(item) for item in inp.prediction.contributions[:LIMIT]]
    return [container(concept(VALUES), items)] if items else []


def texts(inp: ResultInput) -> Iterator[str]:
    """All free texts that the record's values bring."""
    for item in inp.prediction.contributions[:LIMIT]:
        yield from (item.name.meaning, item.text, item.unit.meaning if item.unit else "")


def _value(item: Contribution) -> ContentItem:
    name, contains = concept(item.name), RelationshipTypeValues.CONTAINS
    made: ContentItem
    if item.value is None or not math.isfinite(item.value):
        made = TextContentItem(name=name, value=MISSING, relationship_type=contains)
    else:
        unit = concept(item.unit or NO_UNITS)
        made = NumContentItem(name=name, value=float(f"{item.value:.6g}"), unit=unit, relationship_type=contains)
    properties = RelationshipTypeValues.HAS_PROPERTIES
    weight = item.weight if math.isfinite(item.weight) else 0.0
    below: list[ContentItem] = [
        NumContentItem(concept(CONTRIBUTION), float(f"{weight:.4g}"), concept(NO_UNITS), relationship_type=properties)
    ]
    if item.text:
        below.append(TextContentItem(name=concept(COMMENT), value=item.text, relationship_type=properties))
    made.ContentSequence = ContentSequence(below)
    return made
