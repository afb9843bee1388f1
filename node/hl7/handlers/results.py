"""Results: ORU^R01 (HL7 v2.5.1 section 7.3.1): values become observations, text reports become notes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from node.errors import Hl7InputError
from node.hl7 import fields
from node.hl7.escape import unescape
from node.hl7.handlers.common import STUDY_UID, Incoming, accession_of, patient_of, study_uids
from node.hl7.handlers.notes import keep
from node.hl7.handlers.text import is_text, text_of
from node.hl7.message import Segment
from node.records import observations
from node.records.notes import Document
from node.records.observations import ObservedValue
from node.records.schema import Patient

VALUES_MAX = 5000
"""Most values of one message that are taken: they are one transaction, and others wait for it."""
_NUMERIC = frozenset({"NM", "SN"})
_UNREAD = frozenset({"ED", "RP"})
"""Encapsulated and referenced data: no value to compare."""


@dataclass(slots=True)
class ResultGroup:
    """One OBR with its OBX segments, and whose it is."""

    pid: Segment
    obr: Segment
    obxs: list[Segment] = field(default_factory=list)

    @property
    def document(self) -> bool:
        """Whether it is a text report: text, and no numbers."""
        return any(is_text(obx) for obx in self.obxs) and not any(obx.get(2) in _NUMERIC for obx in self.obxs)

    @property
    def number(self) -> str:
        """OBR-3, or OBR-2 where the filler gave none."""
        return fields.fits(fields.entity(self.obr.raw(3)) or fields.entity(self.obr.raw(2)), "OBR^1^3")


def results(incoming: Incoming) -> str:
    """Keep values and reports."""
    header = incoming.message.header
    if header.sending_application == incoming.settings.application:
        return "it is a result of this node that came back; it is not used"
    incoming.message.require("PID")
    seen: Counter[tuple[object, ...]] = Counter()
    reports: dict[tuple[int, str], list[ResultGroup]] = {}
    people: dict[int, Patient] = {}
    values = 0
    for index, group in enumerate(_groups(incoming), 1):
        patient = patient_of(incoming, group.pid)
        people[patient.id] = patient
        values += _observe(incoming, patient, group, seen)
        if group.document:
            number = group.number or f"{header.control_id}#{index}"
            reports.setdefault((patient.id, number), []).append(group)
    for (person, number), parts in reports.items():
        _report(incoming, people[person], number, parts)
    return f"values: {values}; text reports: {len(reports)}"


def _groups(incoming: Incoming) -> list[ResultGroup]:
    """Cut the message into OBR groups; a message for several patients has several PID."""
    groups: list[ResultGroup] = []
    pid = incoming.message.require("PID")
    for segment in incoming.message.segments:
        if segment.name == "PID":
            pid = segment
        elif segment.name == "OBR":
            groups.append(ResultGroup(pid, segment))
        elif segment.name == "OBX" and groups and groups[-1].pid is pid:
            groups[-1].obxs.append(segment)
    if not groups:
        raise Hl7InputError("segment OBR is missing", error_code="100", location="OBR^1")
    return groups


def _observe(incoming: Incoming, patient: Patient, group: ResultGroup, seen: Counter[tuple[object, ...]]) -> int:
    """Keep a group's values; the text of a report is none of them."""
    count = 0
    for obx in group.obxs:
        if not _is_value(obx, in_document=group.document):
            continue
        observed = _value(incoming, group, obx)
        key = (observed.filler_number, observed.code, observed.sub_id, observed.observed_at)
        seen[key] += 1
        if seen.total() > VALUES_MAX:
            raise Hl7InputError(f"the message has more than {VALUES_MAX} values", error_code="104", location="OBX^1")
        if seen[key] > 1:  # two values that nothing tells apart are two values
            observed = replace(observed, sub_id=f"{observed.sub_id[:50]}#{seen[key]}")
        observations.store(incoming.session, patient, observed, incoming.row)
        count += 1
    return count


def _is_value(obx: Segment, *, in_document: bool) -> bool:
    """Whether an OBX is an observation: not empty, not data in a capsule, not the study's UID, not a report's text."""
    if not obx.raw(5) or obx.get(2) in _UNREAD or obx.get(3) == STUDY_UID:
        return False
    return not (in_document and (is_text(obx) or obx.get(2) == "ST"))


def _value(incoming: Incoming, group: ResultGroup, obx: Segment) -> ObservedValue:
    code = fields.code(obx, 3)
    if not (code.value or code.text):
        raise Hl7InputError("OBX-3 (observation identifier) is missing", error_code="101", location="OBX^1^3")
    value, number = _read(obx)
    return ObservedValue(
        source=incoming.sender,
        filler_number=group.number,
        code=code.value or code.text,
        sub_id=obx.get(4),
        observed_at=fields.time(obx.get(14), incoming.sent_at) or fields.time(group.obr.get(7), incoming.sent_at),
        scheme=code.scheme,
        name=code.text,
        value=value,
        number=number,
        unit=obx.get(6) or obx.get(6, 2),
        reference_range=unescape(obx.raw(7)),
        flag=obx.get(8),
        status=obx.get(11),
    )


def _read(obx: Segment) -> tuple[str, float | None]:
    """Return a value as text, and as a number where it is one and not a bound or a range."""
    kind = obx.get(2)
    if kind == "SN":  # comparator, number, separator, number (section 2.A.70)
        comparator, first, separator, second = (obx.get(5, n) for n in (1, 2, 3, 4))
        exact = comparator in ("", "=") and not separator and not second
        return f"{comparator}{first}{separator}{second}", fields.number(first) if exact else None
    if kind in ("CE", "CWE", "CNE", "CF"):
        code = fields.code(obx, 5)
        return code.text or code.value, None
    text = "\n".join(unescape(repetition).strip() for repetition in obx.repetitions(5))
    return ("" if text == '""' else text), fields.number(text) if kind == "NM" else None


def _report(incoming: Incoming, patient: Patient, number: str, parts: list[ResultGroup]) -> None:
    """Keep the text of the groups that carry one report."""
    codec = incoming.message.codec
    text = "\n".join(filter(None, (text_of(part.obxs, codec) for part in parts)))
    if not text:
        return
    obr = parts[0].obr
    accession = accession_of(
        incoming.session,
        patient,
        stated=next((stated for part in parts if (stated := part.obr.get(18))), ""),
        study_uids=study_uids(obx for part in parts for obx in part.obxs),
        placers=[fields.entity(part.obr.raw(2)) for part in parts],
        fillers=[fields.entity(part.obr.raw(3)) for part in parts],
    )
    written = next((at for n in (22, 7) if (at := fields.time(obr.get(n), incoming.sent_at))), None)
    author = fields.person(obr.raw(32).replace("&", "^").split("~")[0])
    kind = fields.code(obr, 4)
    document = Document(number, text, kind.text or kind.value, accession, author, written)
    keep(incoming, patient, document, location="OBR^1^3")
