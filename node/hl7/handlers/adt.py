"""Patient administration: persons and their visits.

HL7 v2.5.1 sections 3.3.1 to 3.3.5 (A01 to A05), 3.3.8 (A08), 3.3.11 (A11), 3.3.13 (A13), 3.3.28 (A28) and 3.3.31 (A31);
the last two are about persons alone. Merges are in :mod:`node.hl7.handlers.merges`.
"""

from __future__ import annotations

from dataclasses import dataclass

from node.hl7.handlers import visits
from node.hl7.handlers.common import Incoming, Person, enter, person
from node.hl7.message import Hl7Message
from node.records.visits import Stated


@dataclass(frozen=True, slots=True)
class Registration:
    """Who a patient is, and the visit, where the message is about one."""

    person: Person
    visit: Stated | None


def read(message: Hl7Message) -> Registration:
    """Read PID and PV1.

    Raises
    ------
    Hl7InputError
        There is no patient (100, 101), or a number is too long (104).
    """
    return Registration(person(message.require("PID")), visits.read(message))


def take(incoming: Incoming, stated: Registration) -> str:
    """Take over who the patient is, and what is said of the visit."""
    patient = enter(incoming, stated.person)
    if stated.visit is None:
        return "the patient's demographics were taken over"
    return f"the patient's demographics were taken over; {visits.take(incoming, patient, stated.visit)}"
