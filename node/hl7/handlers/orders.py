"""Imaging orders: ORM^O01 (HL7 v2.5.1 section 4.4.1) and OMI^O23 (section 4.4.10)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from node.errors import Hl7InputError
from node.hl7 import fields
from node.hl7.handlers.common import Incoming, patient_of
from node.hl7.message import Hl7Message, Segment
from node.records import jobs, orders, timeline
from node.records.schema import Order, Patient, now

KEPT_OBR = (2, 3, 4, 5, 6, 7, 10, 13, 15, 16, 17, 18, 19, 20, 21, 24, 27, 28, 31, 32, 34, 44)
"""Fields of OBR that a result copies from its order."""
KEPT_ORC = (2, 3, 4, 8, 10, 12, 17, 21)
"""The same of ORC."""
ACCESSION_MAX = 64
"""Longest accession number that is taken; DICOM has 16 (SH), some RIS more."""
ORDERS_MAX = 200
"""Most orders of one message that are taken: they are one transaction, and others wait for it."""


@dataclass(frozen=True, slots=True)
class OrderGroup:
    """The segments of one order; ``None`` where the message has none."""

    orc: Segment
    obr: Segment | None = None
    tq1: Segment | None = None
    ipc: Segment | None = None
    zds: Segment | None = None

    def number(self, field: int) -> str:
        """Return OBR-2/ORC-2 or OBR-3/ORC-3 as ``id^namespace``; OBR's, where several OBR share an ORC."""
        return (fields.entity(self.obr.raw(field)) if self.obr else "") or fields.entity(self.orc.raw(field))

    @property
    def accession_number(self) -> str:
        """IPC-1, OBR-18 (IHE RAD-4), or the filler order number, in this order."""
        return (
            (self.ipc.get(1) if self.ipc else "")
            or (self.obr.get(18) if self.obr else "")
            or self.number(3).partition("^")[0]
        )

    @property
    def study_uid(self) -> str:
        """IPC-3 (OMI) or ZDS-1 (IHE RAD-4), where a UID stands there."""
        uid = (self.ipc.get(3) if self.ipc else "") or (self.zds.get(1) if self.zds else "")
        return uid if len(uid) <= 64 and all(c.isdigit() or c == "." for c in uid) else ""

    @property
    def priority(self) -> str:
        """TQ1-9, OBR-27.6, ORC-7.6, or OBR-5 (before v2.4)."""
        obr = self.obr
        return fields.priority(
            (
                self.tq1.get(9) if self.tq1 else "",
                obr.get(27, 6) if obr else "",
                self.orc.get(7, 6),
                obr.get(5) if obr else "",
            )
        )


def groups(message: Hl7Message) -> list[OrderGroup]:
    """Cut a message into orders: each ORC begins one, and each further OBR under it another."""
    found: list[OrderGroup] = []
    for segment in message.segments:
        if segment.name == "ORC":
            found.append(OrderGroup(segment))
        elif found and segment.name in ("OBR", "TQ1", "IPC", "ZDS"):
            current = found[-1]
            key = segment.name.lower()
            if key == "obr" and current.obr is not None:
                found.append(OrderGroup(current.orc, obr=segment))
            elif getattr(current, key) is None:
                found[-1] = replace(current, **{key: segment})
    return found


def order(incoming: Incoming) -> str:
    """Take over new, changed and cancelled orders, and match them with studies that are here already."""
    found = groups(incoming.message)
    if not found:
        raise Hl7InputError("segment ORC is missing", error_code="100", location="ORC^1")
    if len(found) > ORDERS_MAX:
        raise Hl7InputError(f"the message has more than {ORDERS_MAX} orders", error_code="104", location="ORC^1")
    patient = patient_of(incoming)
    taken = [row for group in found if (row := _take(incoming, patient, group)) is not None]
    if not taken:
        return "it holds no imaging order (no OBR); nothing to do"
    words = ", ".join(sorted({row.status for row in taken if re.fullmatch("[A-Z]{2}", row.status)}))
    return f"{len(taken)} order{'s' if len(taken) != 1 else ''} ({words})"


def _take(incoming: Incoming, patient: Patient, group: OrderGroup) -> Order | None:
    session = incoming.session
    placer, filler = fields.fits(group.number(2), "ORC^1^2"), fields.fits(group.number(3), "ORC^1^3")
    accession = group.accession_number
    if len(accession) > ACCESSION_MAX:
        raise Hl7InputError("the accession number is too long", error_code="104", location="OBR^1^18")
    if not (placer or filler or accession):
        raise Hl7InputError("the order has no number (ORC-2, ORC-3, OBR-18)", error_code="101", location="ORC^1^2")
    row = orders.find(session, patient, placer=placer, filler=filler, accession=accession)
    if row is None:
        if group.obr is None and not _cancels(group):
            return None
        row = Order(placer_number=placer, filler_number=filler, accession_number=accession, status="NW")
        _refuse_foreign(incoming, patient, row)
        row.patient = patient
        row.priority, row.context = "ROUTINE", {}
        session.add(row)
    before = _facts(row)
    _fill(row, group, placer, filler, accession, incoming)
    session.flush()
    _tell_studies(incoming, row, changed=_facts(row) != before)
    return row


def _refuse_foreign(incoming: Incoming, patient: Patient, row: Order) -> None:
    if orders.owned_by_another(incoming.session, patient, row):
        raise Hl7InputError("the order number belongs to another patient", error_code="205", location="ORC^1^2")


def _fill(row: Order, group: OrderGroup, placer: str, filler: str, accession: str, incoming: Incoming) -> None:
    """Take over what the message states; what it leaves out stays."""
    procedure = fields.code(group.obr, 4) if group.obr else fields.Code("", "", "")
    stated: dict[str, Any] = {
        "placer_number": placer,
        "filler_number": filler,
        "accession_number": accession,
        "study_uid": group.study_uid,
        "procedure_code": procedure.value[:250],
        "procedure_scheme": procedure.scheme[:250],
        "procedure_text": procedure.text,
        "priority": group.priority,
        "reason": _reason(group.obr) if group.obr else "",
        "status": group.orc.get(1)[:10],
    }
    for key, value in stated.items():
        if value:
            setattr(row, key, value)
    row.context = {**row.context, **_context(incoming.message, group)}
    row.message_fk = incoming.row
    row.updated_at = now()


def _reason(obr: Segment) -> str:
    """Return OBR-31 (reason for study) or, where it is empty, OBR-13 (relevant clinical information)."""
    reasons = [obr.get(31, 2, repetition=n) or obr.get(31, 1, repetition=n) for n in range(len(obr.repetitions(31)))]
    return "; ".join(filter(None, reasons)) or obr.get(13)


def _context(message: Hl7Message, group: OrderGroup) -> dict[str, Any]:
    """Return what an ORU copies from its order, as sent, in standard delimiters."""
    context: dict[str, Any] = {"ORC": _kept(group.orc, KEPT_ORC)}
    if group.obr is not None:
        context["OBR"] = _kept(group.obr, KEPT_OBR)
    if (visit := message.first("PV1")) is not None:
        context["PV1"] = visit.text
    return context


def _kept(segment: Segment, numbers: Iterable[int]) -> dict[str, str]:
    return {str(number): segment.raw(number) for number in numbers if segment.raw(number)}


def _cancels(group: OrderGroup) -> bool:
    return group.orc.get(1) in orders.CANCELLED


def _facts(row: Order) -> tuple[str | None, ...]:
    return (row.accession_number, row.placer_number, row.filler_number, row.priority, row.reason, row.status)


def _tell_studies(incoming: Incoming, row: Order, *, changed: bool) -> None:
    """Match studies that came before their order; reports of those that it concerns are looked at again."""
    session = incoming.session
    for study in orders.studies_for_order(session, row):
        before = study.order_fk
        orders.match_study(session, study)
        ours = row.id in (before, study.order_fk)
        if not ours or (before == study.order_fk and not changed):
            continue
        if row.status in orders.CANCELLED:
            text = "Its order was cancelled after the study had been matched to it"
            timeline.add(session, "order.cancelled", text, study=study, message=incoming.row, level="warning")
        jobs.rebuild(session, [study], "its order came or changed")
