"""What PV1 says of a visit, by trigger event (HL7 v2.5.1 chapter 3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.errors import Hl7InputError
from node.hl7 import fields
from node.hl7.handlers.common import Incoming
from node.hl7.message import Hl7Message, Segment, parse, part
from node.records import jobs, patients, timeline, visits
from node.records.schema import Event, Message, Patient, Visit
from node.records.states import VisitState
from node.records.visits import NUMBER_WIDTH, Stated

STATES: Mapping[str, VisitState | None] = {
    "A01": VisitState.OPEN,  # admit, 3.3.1
    "A02": VisitState.OPEN,  # transfer, 3.3.2
    "A03": VisitState.CLOSED,  # discharge or end visit, 3.3.3
    "A04": VisitState.OPEN,  # register, 3.3.4
    "A05": VisitState.EXPECTED,  # pre-admit, 3.3.5
    "A08": None,  # update patient information, 3.3.8
    "A11": VisitState.CANCELLED,  # cancel admit, 3.3.11
    "A13": VisitState.OPEN,  # cancel discharge, 3.3.13
}
"""Events that are about a visit, and what becomes of it; None: it stays what it was."""

CONFLICT = "visit.conflict"
"""Kind of the timeline line on a message whose visit number was another patient's."""
AGAIN_MAX = 200
"""Most messages that are looked at again after a merge."""
_BEGINS = frozenset({"A01", "A04"})
_REOPENS = frozenset({"A13"})


def read(message: Hl7Message) -> Stated | None:
    """Read PV1; None where the message is about no visit or gives it no number (PV1-19).

    The visit begins at PV1-44, else when the event occurred (EVN-6), and ends at PV1-45, else at EVN-6 of A03.

    Raises
    ------
    Hl7InputError
        The visit number is too long (104).
    """
    trigger = message.header.trigger
    pv1 = message.first("PV1")
    if pv1 is None or trigger not in STATES or not (number := _number(pv1)):
        return None
    sent = message.segments[0].get(7)
    event = message.first("EVN")
    occurred = fields.time(event.get(6), sent) if event is not None else None
    return Stated(
        number=number,
        state=STATES[trigger],
        patient_class=pv1.get(2),
        location=pv1.raw(3).split("~", 1)[0].replace('""', ""),
        admitted_at=fields.time(pv1.get(44), sent) or (occurred if trigger in _BEGINS else None),
        discharged_at=None
        if trigger in _REOPENS
        else fields.time(pv1.get(45), sent) or (occurred if trigger == "A03" else None),
        reopened=trigger in _REOPENS,
    )


def take(incoming: Incoming, patient: Patient, said: Stated) -> str:
    """Take over what was read; returns a part of the sentence for the timeline."""
    row = _store(incoming, patient, said)
    if row is None:
        text = "A visit number belongs to another patient's visit; what the message says of the visit is not used"
        timeline.add(incoming.session, CONFLICT, text, message=incoming.row, level="warning")
        return "its visit number is another patient's"
    return f"the visit is {row.state.value}"


def take_again(incoming: Incoming) -> None:
    """Take over, after a merge, what messages said of visits that were then another patient's, and are no longer.

    The :data:`AGAIN_MAX` newest of them are looked at.
    """
    session = incoming.session
    unused = select(Event.message_fk).where(Event.kind == CONFLICT)
    query = select(Message).where(Message.id.in_(unused)).order_by(Message.id.desc()).limit(AGAIN_MAX)
    for kept in reversed(session.scalars(query).all()):
        try:
            message = parse(kept.raw, incoming.settings.charset, incoming.settings.charsets)
            number, said = fields.person_id(message.require("PID")), read(message)
        except Hl7InputError:  # understood once, and no longer, by other settings
            continue
        patient = patients.find(session, *number)
        if patient is not None and said is not None:
            at = fields.stated_at(message, kept.received_at)
            _store(replace(incoming, message=message, row=kept.id, stated_at=at), patient, said)


def _store(incoming: Incoming, patient: Patient, said: Stated) -> Visit | None:
    trigger = incoming.message.header.trigger
    if trigger in _BEGINS and said.admitted_at is None:
        said = replace(said, admitted_at=incoming.stated_at)
    if trigger == "A03" and said.discharged_at is None:
        said = replace(said, discharged_at=incoming.stated_at)
    session = incoming.session
    before = _current_class(session, patient)
    row = visits.store(session, patient, incoming.sender, said, stated_at=incoming.stated_at, message=incoming.row)
    if _current_class(session, patient) != before:
        jobs.rebuild_recent(session, patients.same_person(session, patient), "the patient's visit changed")
    return row


def _current_class(session: Session, patient: Patient) -> str:
    """Return as what the patient is here now (PV1-2): an emergency makes a study more urgent while it lasts."""
    visit = visits.current(session, patient)
    return visit.patient_class if visit is not None else ""


def _number(pv1: Segment) -> str:
    """Return PV1-19 as ``id^authority``."""
    text = pv1.raw(19).split("~", 1)[0]
    identifier = part(text, 1).replace("^", " ")
    authority = (part(text, 4) or part(text, 4, 2)).replace("^", " ")
    number = f"{identifier}^{authority}" if identifier and authority else identifier
    if len(number) > NUMBER_WIDTH:
        raise Hl7InputError("the visit number is too long", error_code="104", location="PV1^1^19")
    return number
