"""Imaging orders: ORM^O01, OMG^O19, OMI^O23 (HL7 v2.5.1 sections 4.4.1, 4.4.4 and 4.4.10)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from node.errors import Hl7InputError
from node.hl7 import fields
from node.hl7.handlers import order_control
from node.hl7.handlers.common import Incoming, Person, enter, person
from node.hl7.message import Hl7Message, Segment, part
from node.records import examinations, jobs, order_entry, orders, timeline
from node.records.order_entry import Entered, OrderStatement
from node.records.orders import ACCESSION_MAX
from node.records.schema import Order, Patient

KEPT_OBR = (2, 3, 4, 5, 6, 7, 10, 13, 15, 16, 17, 18, 19, 20, 21, 24, 27, 28, 31, 32, 34, 44)
"""Fields of OBR that a result copies from its order."""
KEPT_ORC = (2, 3, 4, 8, 10, 12, 17, 21)
"""The same of ORC."""
KEPT_LENGTH_MAX = 2000
"""Longest field or segment that is kept to be copied; a longer one is left out, for cut off it would be another."""
SPECIMENS_MAX = 20
"""Most SPM segments that are kept of one order."""
TEXT_MAX = 4000
"""Longest reason and procedure text that is kept; OBR-31 has 250 characters (section 4.5.3)."""
ORDERS_MAX = 200
"""Most orders of one message that are taken: they are one transaction, and others wait for it."""

NOT_IMAGING = frozenset(
    ["BG", "BLB", "CH", "CP", "HM", "IMM", "LAB", "MB", "MCB", "MYC", "OSL", "PHR", "SP", "SR", "TX", "VR"]
)
"""OBR-24 (table 0074, diagnostic service section): laboratories and pharmacy."""
OTHER_DETAILS = frozenset({"RXO", "RXE", "RXD", "RXG", "RXA", "RQD", "RQ1", "ODS", "ODT", "BPO", "BPX"})
"""Segments that follow ORC where OBR would: drugs, supplies, diet, blood."""


@dataclass(frozen=True, slots=True)
class OrderGroup:
    """The segments of one order; ``None`` where the message has none."""

    orc: Segment
    obr: Segment | None = None
    tq1: Segment | None = None
    ipc: Segment | None = None
    zds: Segment | None = None
    specimens: tuple[Segment, ...] = ()
    other: bool = False

    def number(self, field: int) -> str:
        """Return OBR-2/ORC-2 or OBR-3/ORC-3 as ``id^namespace``; OBR's, where several OBR share an ORC."""
        return (fields.entity(self.obr.raw(field)) if self.obr else "") or fields.entity(self.orc.raw(field))

    @property
    def accession_number(self) -> str:
        """IPC-1 or OBR-18 (IHE RAD-4); "" where neither states one."""
        return (self.ipc.get(1) if self.ipc else "") or (self.obr.get(18) if self.obr else "")

    @property
    def study_uid(self) -> str:
        """IPC-3 (OMI) or ZDS-1 (IHE RAD-4), where a UID stands there."""
        uid = (self.ipc.get(3) if self.ipc else "") or (self.zds.get(1) if self.zds else "")
        return uid if len(uid) <= 64 and all(c in "0123456789." for c in uid) else ""

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

    @property
    def imaging(self) -> bool:
        """Whether it may be an order for imaging: no other kind of detail, and no laboratory's section.

        An ORC alone may: it cancels, or assigns a number to, an order that comes later.
        """
        if self.obr is None:
            return not self.other
        return bool(self.ipc or self.zds) or self.obr.get(24).upper() not in NOT_IMAGING


@dataclass(frozen=True, slots=True)
class OrderMessage:
    """Whose orders they are, and what is said of each that is for imaging."""

    person: Person
    orders: tuple[OrderStatement, ...]


def read(message: Hl7Message) -> OrderMessage:
    """Read the orders of a message.

    Raises
    ------
    Hl7InputError
        PID, ORC or a number is missing, ORC-1 is unknown, or there is too much of something.
    """
    pid = message.require("PID")
    found = groups(message)
    if not found:
        raise Hl7InputError("segment ORC is missing", error_code="100", location="ORC^1")
    if len(found) > ORDERS_MAX:
        raise Hl7InputError(f"the message has more than {ORDERS_MAX} orders", error_code="104", location="ORC^1")
    said = [_statement(message, group) for group in found if order_control.control(group.orc) != order_control.PRIOR]
    return OrderMessage(person(pid), tuple(filter(None, said)))


def groups(message: Hl7Message) -> list[OrderGroup]:
    """Cut a message into orders: each ORC begins one, and each further OBR under it another.

    Raises
    ------
    Hl7InputError
        An ORC follows the PID of another patient (100). Earlier results may have their own (ORC-1 PR).
    """
    found: list[OrderGroup] = []
    own = foreign = None
    prior = False  # an OBR behind PID or PV1 of its own is of earlier results, also where it has no ORC
    for segment in message.segments:
        if segment.name == "PID":
            own = own or segment
            foreign = segment if fields.person_id(segment) != fields.person_id(own) else None
        if segment.name == "ORC":
            if foreign is not None and order_control.control(segment) != order_control.PRIOR:
                raise Hl7InputError("the orders are of several patients", error_code="100", location="PID^2")
            found.append(OrderGroup(segment))
            prior = False
        elif found and segment.name in ("PID", "PV1"):
            prior = prior or found[-1].obr is not None
        elif found and not prior:
            _extend(found, segment)
    return found


def _extend(found: list[OrderGroup], segment: Segment) -> None:
    current = found[-1]
    key = segment.name.lower()
    if segment.name == "OBR" and current.obr is not None:
        found.append(OrderGroup(current.orc, obr=segment, tq1=current.tq1))
    elif segment.name in ("OBR", "TQ1", "IPC", "ZDS"):
        if getattr(current, key) is None:
            part: dict[str, Any] = {key: segment}
            found[-1] = replace(current, **part)
    elif segment.name == "SPM" and len(current.specimens) < SPECIMENS_MAX:
        found[-1] = replace(current, specimens=(*current.specimens, segment))
    elif segment.name in OTHER_DETAILS:
        found[-1] = replace(current, other=True)


def _statement(message: Hl7Message, group: OrderGroup) -> OrderStatement | None:
    """Return what a group says in the records' terms, None where it is no order for imaging."""
    if not group.imaging:
        return None
    status = order_control.status(group.orc)
    placer, filler = fields.fits(group.number(2), "ORC^1^2"), fields.fits(group.number(3), "ORC^1^3")
    accession = group.accession_number
    if len(accession) > ACCESSION_MAX:
        raise Hl7InputError("the accession number is too long", error_code="104", location="OBR^1^18")
    if not (placer or filler or accession):
        raise Hl7InputError("the order has no number (ORC-2, ORC-3, OBR-18)", error_code="101", location="ORC^1^2")
    procedure = fields.code(group.obr, 4) if group.obr else fields.Code("", "", "")
    return OrderStatement(
        placer_number=placer,
        filler_number=filler,
        accession_number=accession,
        study_uid=group.study_uid,
        procedure=(procedure.value[:250], procedure.scheme[:250], procedure.text[:TEXT_MAX]),
        priority=group.priority,
        reason=_reason(group.obr) if group.obr else "",
        status=status,
        context=_context(message, group),
    )


def _reason(obr: Segment) -> str:
    """Return OBR-31 (reason for study) or, where it is empty, OBR-13 (relevant clinical information)."""
    reasons = [part(text, 2) or part(text, 1) for text in obr.repetitions(31)]
    return ("; ".join(filter(None, reasons)) or obr.get(13))[:TEXT_MAX]


def _context(message: Hl7Message, group: OrderGroup) -> dict[str, Any]:
    """Return what an ORU copies from its order, as sent, in standard delimiters."""
    context: dict[str, Any] = {"ORC": _kept(group.orc, KEPT_ORC)}
    if group.obr is not None:
        context["OBR"] = _kept(group.obr, KEPT_OBR)
    if (visit := message.first("PV1")) is not None and len(visit.text) <= KEPT_LENGTH_MAX:
        context["PV1"] = visit.text
    if group.specimens:
        context["SPM"] = [spm.text for spm in group.specimens if len(spm.text) <= KEPT_LENGTH_MAX]
    return context


def _kept(segment: Segment, numbers: Iterable[int]) -> dict[str, str]:
    return {str(n): text for n in numbers if (text := segment.raw(n)) and len(text) <= KEPT_LENGTH_MAX}


def take(incoming: Incoming, said: OrderMessage) -> str:
    """Take over new, changed and cancelled orders, and match them with studies that are here already.

    Raises
    ------
    Hl7InputError
        An order number belongs to another patient (205).
    """
    patient = enter(incoming, said.person)
    taken = [_enter(incoming, patient, order) for order in said.orders]
    if not taken:
        return "it holds no imaging order; nothing to do"
    if any(entered.changed for entered in taken):
        examinations.settle(incoming.session, patient)
    words = ", ".join(sorted({entered.order.status for entered in taken} & (order_control.STATES | {"SC"})))
    late = sum(entered.older for entered in taken)
    return f"{len(taken)} order{'s' if len(taken) != 1 else ''} ({words})" + (
        f"; {late} of them known from newer messages" if late else ""
    )


def _enter(incoming: Incoming, patient: Patient, said: OrderStatement) -> Entered:
    try:
        entered = order_entry.enter(incoming.session, patient, said, incoming.stated_at, incoming.row)
    except order_entry.NumberTaken as exc:
        raise Hl7InputError(str(exc), error_code="205", location="ORC^1^2") from exc
    _tell_studies(incoming, entered.order, changed=entered.changed)
    return entered


def _tell_studies(incoming: Incoming, row: Order, *, changed: bool) -> None:
    """Match studies that came before their order; reports of those that it concerns are looked at again."""
    session = incoming.session
    for study in orders.studies_for_order(session, row):
        before = study.order_fk
        orders.match_study(session, study)
        ours = row.id in (before, study.order_fk)
        if not ours or (before == study.order_fk and not changed):
            continue
        if changed and row.status in orders.CANCELLED:
            text = "Its order was cancelled after the study had been matched to it"
            timeline.add(session, "order.cancelled", text, study=study, message=incoming.row, level="warning")
        jobs.rebuild(session, [study], "its order came or changed")
