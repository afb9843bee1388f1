"""Merges: ADT^A40 and its forerunners A18, A34, A36 (HL7 v2.5.1 sections 3.3.40, 3.3.18, 3.3.34, 3.3.36, and 3.5.2).

PID names the surviving patient, MRG-1 the prior one, who is known by that identifier no longer. A36 merges accounts,
too, which the node does not keep. A39 (persons, PID-2), A41 (accounts) and A42 (visits) merge something else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from node.errors import Hl7InputError
from node.hl7 import fields
from node.hl7.handlers import visits
from node.hl7.handlers.common import Incoming, Person, enter, person
from node.hl7.message import Hl7Message, Segment, parse
from node.records import merges, messages, patients
from node.records.schema import Patient

PAIRS_MAX = 200
"""Most merges of one message that are taken: they are one transaction, and others wait for it."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The patient who survives, and identifier and authority of those who are merged into this one."""

    survivor: Person
    prior: tuple[tuple[str, str], ...]


def read(message: Hl7Message) -> tuple[Pair, ...]:
    """Read each MRG with the PID before it.

    Raises
    ------
    Hl7InputError
        A segment (100) or an identifier (101) is missing, one is too long, or there are too many (104).
    """
    message.require("PID")
    message.require("MRG")
    pairs: list[Pair] = []
    pid: Segment | None = None
    for segment in message.segments:
        if segment.name == "PID":
            pid = segment
        elif segment.name == "MRG":
            if pid is None:
                raise Hl7InputError("MRG stands before any PID", error_code="100", location="MRG^1")
            pairs.append(_pair(pid, segment))
    if sum(len(pair.prior) for pair in pairs) > PAIRS_MAX:
        raise Hl7InputError(f"the message has more than {PAIRS_MAX} merges", error_code="104", location="MRG^1")
    return tuple(pairs)


def take(incoming: Incoming, pairs: tuple[Pair, ...]) -> str:
    """Make the patients of each pair one person; those that are not known yet are entered."""
    session = incoming.session
    count = changed = 0
    survivors: list[Patient] = []
    for pair in pairs:
        survivor = enter(incoming, pair.survivor)
        survivors.append(survivor)
        for identifier, issuer in pair.prior:
            prior = patients.find_or_create(session, identifier, issuer)
            count += prior.id != survivor.id
            changed += merges.merge(session, survivor, prior, stated_at=incoming.stated_at, message=incoming.row)
    if changed:
        _take_again(incoming, survivors)
        visits.take_again(incoming)
    if not count:
        return "prior and surviving identifier are the same; there is nothing to merge"
    return f"merges: {count}; {changed} changed who survives"


def _take_again(incoming: Incoming, survivors: Iterable[Patient]) -> None:
    """Have messages about the merged patients taken over again that were refused as another patient's (205)."""
    session = incoming.session
    people: set[int] = set()
    for one in survivors:
        if one.id not in people:
            people.update(patients.same_person(session, one))
    for kept in messages.foreign(session):
        try:
            pids = list(parse(kept.raw, incoming.settings.charset, incoming.settings.charsets).all("PID"))
            found = [patients.find(session, *fields.person_id(pid)) for pid in pids]
        except Hl7InputError:  # understood once, and no longer, by other settings
            continue
        if any(patient is not None and patient.id in people for patient in found):
            messages.retry_foreign(session, kept)


def _pair(pid: Segment, mrg: Segment) -> Pair:
    survivor = person(pid)
    same = (survivor.identifier, survivor.issuer)
    return Pair(survivor, tuple(prior for prior in fields.prior_ids(mrg) if prior != same))
