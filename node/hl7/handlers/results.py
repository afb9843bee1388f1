"""Results: ORU^R01 (HL7 v2.5.1 section 7.3.1): values become observations, text reports become notes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from node.errors import Hl7InputError
from node.hl7 import fields
from node.hl7.handlers.common import Incoming, Person, enter, person, study_uids
from node.hl7.handlers.notes import keep, references, withdraw_report
from node.hl7.handlers.text import WITHDRAWN, is_narrative, is_text, text_of
from node.hl7.handlers.values import NUMERIC, is_value, read_value
from node.hl7.message import Hl7Message, Segment
from node.records import jobs, observations, patients
from node.records.note_entry import Document, Outcome
from node.records.observations import ObservedValue, Stored

VALUES_MAX = 5000
"""Most values of one message that are taken: they are one transaction, and others wait for it."""
REPORTS_MAX = 200
"""Most text reports of one message, for the same reason; each costs as much as a hundred values."""
PERSONS_MAX = 200
"""Most persons of one message."""
CANCELLED = "X"
"""OBR-25 (table 0123): the order was cancelled, there are no results."""
NUMBER = "OBR^1^3"


@dataclass(slots=True)
class ResultGroup:
    """One OBR with its OBX segments, and whose it is."""

    pid: Segment
    obr: Segment
    obxs: list[Segment] = field(default_factory=list)

    def parted(self) -> tuple[list[Segment], list[Segment]]:
        """Return the segments of values, and those whose text is a report.

        Text without numbers is a report; beside numbers only what says so of itself is, and all else are comments.
        """
        if any(obx.get(2) in NUMERIC for obx in self.obxs):
            told = [obx for obx in self.obxs if is_narrative(obx)]
            return [obx for obx in self.obxs if not is_narrative(obx)], told
        if not any(is_text(obx) for obx in self.obxs):
            return self.obxs, []
        texts = ("ST", "")
        return [obx for obx in self.obxs if not is_text(obx) and obx.get(2) not in texts], self.obxs

    @property
    def number(self) -> str:
        """OBR-3, or OBR-2 where the filler gave none."""
        return fields.fits(fields.entity(self.obr.raw(3)) or fields.entity(self.obr.raw(2)), NUMBER)


@dataclass(frozen=True, slots=True)
class Told:
    """A part of a text report: its OBR, and the OBX whose text it is."""

    obr: Segment
    obxs: list[Segment]

    @property
    def withdrawn(self) -> bool:
        """Whether the text of the report was deleted, or posted wrongly, or never came to be."""
        stated = [obx.get(11) for obx in self.obxs if is_text(obx)]
        return self.obr.get(25) == CANCELLED or all(status in WITHDRAWN for status in stated)


@dataclass(frozen=True, slots=True)
class ResultsOfPerson:
    """What a message says of one person: values, texts, and the numbers of reports that are withdrawn."""

    person: Person
    values: tuple[ObservedValue, ...]
    reports: tuple[Document, ...]
    withdrawn: tuple[str, ...]


def read(message: Hl7Message) -> tuple[ResultsOfPerson, ...]:
    """Read the results of a message, by person.

    Raises
    ------
    Hl7InputError
        PID, OBR or a code is missing, a text cannot be decoded, or there is too much of something.
    """
    people: dict[tuple[str, str], list[ResultGroup]] = {}
    persons: dict[tuple[str, str], Person] = {}
    for group in groups(message):
        key = fields.person_id(group.pid)
        people.setdefault(key, []).append(group)
        persons.setdefault(key, person(group.pid))
    _limit(len(people), PERSONS_MAX, "patients", "PID^1")
    found = tuple(_of_person(message, persons[key], parts) for key, parts in people.items())
    _limit(sum(len(results.values) for results in found), VALUES_MAX, "values", "OBX^1")
    _limit(sum(len(results.reports) + len(results.withdrawn) for results in found), REPORTS_MAX, "reports", "OBR^1")
    return found


def _limit(count: int, most: int, what: str, location: str) -> None:
    if count > most:
        raise Hl7InputError(f"the message has more than {most} {what}", error_code="104", location=location)


def groups(message: Hl7Message) -> list[ResultGroup]:
    """Cut the message into OBR groups; a message for several patients has several PID."""
    found: list[ResultGroup] = []
    pid = message.require("PID")
    for segment in message.segments:
        if segment.name == "PID":
            pid = segment
        elif segment.name == "OBR":
            found.append(ResultGroup(pid, segment))
        elif segment.name == "OBX" and found and found[-1].pid is pid:
            found[-1].obxs.append(segment)
    if not found:
        raise Hl7InputError("segment OBR is missing", error_code="100", location="OBR^1")
    return found


def _of_person(message: Hl7Message, who: Person, parts: Sequence[ResultGroup]) -> ResultsOfPerson:
    """Read the groups of one person; several that carry one report are one."""
    values: list[ObservedValue] = []
    seen: Counter[observations.Key] = Counter()
    reports: dict[str, list[Told]] = {}
    for index, group in enumerate(parts, 1):
        stated, told = group.parted()
        values += _values(message, group, stated, seen)
        if told:
            number = group.number or f"{message.header.control_id}#{index}"
            reports.setdefault(number, []).append(Told(group.obr, told))
    texts = {number: _report(message, number, together) for number, together in reports.items()}
    return ResultsOfPerson(
        who,
        tuple(values),
        tuple(document for document in texts.values() if document is not None),
        tuple(
            number
            for number, document in texts.items()
            if document is None and all(told.withdrawn for told in reports[number])
        ),
    )


def _values(
    message: Hl7Message, group: ResultGroup, obxs: Sequence[Segment], seen: Counter[observations.Key]
) -> list[ObservedValue]:
    """Read a group's values; two that nothing tells apart are two values."""
    found: list[ObservedValue] = []
    number, zone, source = group.number, message.segments[0].raw(7), message.header.sender
    for obx in obxs:
        if not is_value(obx):
            continue
        value = read_value(obx, group.obr, source=source, filler_number=number, zone=zone)
        seen[value.key] += 1
        if seen[value.key] > 1:
            value = replace(value, sub_id=f"{value.sub_id[:50]}#{seen[value.key]}")
        found.append(value)
    return found


def _report(message: Hl7Message, number: str, parts: Sequence[Told]) -> Document | None:
    """Return the text of the groups that carry one report, None where none of it holds."""
    shown = [part for part in parts if part.obr.get(25) != CANCELLED]
    text = "\n".join(filter(None, (text_of(part.obxs, message.codec) for part in shown)))
    if not text:
        return None
    obr, zone = shown[0].obr, message.segments[0].raw(7)
    kind = fields.code(obr, 4)
    return Document(
        number=number,
        text=text,
        type=kind.text or kind.value,
        accession_number=next((stated for part in parts if (stated := part.obr.get(18))), ""),
        author=fields.person(obr.raw(32).replace("&", "^").split("~")[0]),
        written_at=next((at for n in (22, 7) if (at := fields.time(obr.get(n), zone))), None),
        about=references(
            [fields.entity(part.obr.raw(2)) for part in parts],
            [fields.entity(part.obr.raw(3)) for part in parts],
            study_uids(obx for part in parts for obx in part.obxs),
        ),
    )


def take(incoming: Incoming, said: tuple[ResultsOfPerson, ...]) -> str:
    """Keep values and reports.

    Raises
    ------
    Hl7InputError
        The number of a report belongs to another patient's (205).
    """
    if incoming.message.header.sending_application == incoming.settings.application:
        return "it is a result of this node that came back; it is not used"
    values = reports = older = 0
    for results in said:
        stored, outcomes = _take_person(incoming, results)
        values, reports = values + len(results.values), reports + len(results.reports)
        older += stored.older + outcomes.count(Outcome.OLDER)
    return f"values: {values}; text reports: {reports}" + (f"; known from newer messages: {older}" if older else "")


def _take_person(incoming: Incoming, results: ResultsOfPerson) -> tuple[Stored, list[Outcome]]:
    session = incoming.session
    patient = enter(incoming, results.person)
    people = patients.same_person(session, patient)
    stored = observations.store_all(session, patient, results.values, incoming.stated_at, incoming.row, people=people)
    outcomes = [keep(incoming, patient, document, location=NUMBER)[1] for document in results.reports]
    outcomes += [withdraw_report(incoming, patient, number, NUMBER) for number in results.withdrawn]
    if stored.changed:
        jobs.values_came(session, people)
    return stored, outcomes
