"""A hospital's traffic from real records: who came, moved, was tested, noted, imaged and merged, as timed messages.

Administration and laboratory are those of the tables (:mod:`node.simulator.traffic_records`); names, notes, orders,
images, temporary numbers, corrections and cancellations are made up, by a seed. The same folder and options give the
same bytes.
"""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from node.simulator import traffic_messages as messages
from node.simulator import traffic_notes as notes
from node.simulator.ris import Person
from node.simulator.studies import GeneratedStudy, generate
from node.simulator.traffic_messages import GB_18030, UTF_8, Draft
from node.simulator.traffic_people import Identity, identity_of
from node.simulator.traffic_records import Specimen, Stay, Subject, Value, read

MINUTE, HOUR, DAY = dt.timedelta(minutes=1), dt.timedelta(hours=1), dt.timedelta(days=1)
STUDIES_A_PATIENT = 3
"""Most studies of one patient."""

REASONS = (
    "Memory loss, evaluate hippocampal volume",
    "Seizures, evaluate for hippocampal sclerosis",
    "Cognitive decline",
    "Confusion after surgery",
)


@dataclass(frozen=True, slots=True)
class Shares:
    """How often something happens, of those to whom it can; 0 to 1."""

    renamed: float = 0.15
    admission_cancelled: float = 0.08
    discharge_cancelled: float = 0.08
    preliminary: float = 0.04
    corrected: float = 0.03
    withdrawn: float = 0.01
    discharge_note: float = 0.5
    edited: float = 0.25
    cancelled: float = 0.12
    order_late: float = 0.2
    order_changed: float = 0.2
    order_cancelled: float = 0.05
    order_unused: float = 0.1
    mistyped: float = 0.08
    """Studies in which the birth date was typed wrongly."""


@dataclass(frozen=True, slots=True)
class StudyToCome:
    """A study that is made when it is sent; who the images are of may differ from what the hospital knows."""

    seed: int
    person: Person
    accession: str
    side: str
    at: dt.datetime

    def make(self) -> GeneratedStudy:
        """Make the images."""
        at = self.at.replace(tzinfo=None)
        return generate(self.seed, person=self.person, accession_number=self.accession, side=self.side, at=at)


@dataclass(frozen=True, slots=True)
class Event:
    """A message, or a study.

    Parameters
    ----------
    patient
        Number of the subject: what concerns one patient is sent in order.
    raw
        The message; b"" for a study.
    """

    at: dt.datetime
    patient: str
    control_id: str = ""
    raw: bytes = b""
    study: StudyToCome | None = None


def traffic(
    folder: Path,
    *,
    patients: int = 100,
    studies: int = 60,
    seed: int = 1,
    specimens: int = 0,
    shares: Shares | None = None,
) -> list[Event]:
    """Make the traffic of some patients, in the order of its times.

    Parameters
    ----------
    folder
        Where the tables are: that of MIMIC-IV, or its demo.
    specimens
        Most specimens of a patient; 0 for all.

    Raises
    ------
    InputError
        A table is missing, or there are not as many patients.
    """
    subjects = read(folder, patients, seed, specimens)
    seeds = _share_out(subjects, studies, random.Random(seed))  # noqa: S311  not a secret
    happenings = [
        (happening.at, subject.number, number, happening)
        for subject in subjects
        for number, happening in enumerate(
            _Story(subject, random.Random(f"{seed}|{subject.number}"), shares or Shares()).tell(seeds[subject.number])  # noqa: S311
        )
    ]
    happenings.sort(key=lambda item: item[:3])
    return [_event(item[3], item[1], f"V{seed}-{n:06d}") for n, item in enumerate(happenings, 1)]


@dataclass(frozen=True, slots=True)
class _Happening:
    at: dt.datetime
    what: Draft | StudyToCome


def _event(happening: _Happening, patient: str, control_id: str) -> Event:
    at, what = happening.at, happening.what
    if isinstance(what, StudyToCome):
        return Event(at, patient, study=what)
    return Event(at, patient, control_id, what.render(at, control_id))


def _share_out(subjects: Sequence[Subject], studies: int, rng: random.Random) -> dict[str, list[int]]:
    """Give studies to patients by chance; a study is the seed of its anatomy."""
    able = [subject.number for subject in subjects if subject.stays]
    given: Counter[str] = Counter()
    seeds: dict[str, list[int]] = {subject.number: [] for subject in subjects}
    for number in range(1, min(studies, STUDIES_A_PATIENT * len(able)) + 1):
        patient = rng.choice([one for one in able if given[one] < STUDIES_A_PATIENT])
        given[patient] += 1
        seeds[patient].append(number)
    return seeds


class _Story:
    """What happens to one patient."""

    def __init__(self, subject: Subject, rng: random.Random, shares: Shares) -> None:
        self._subject, self._rng, self._shares = subject, rng, shares
        times = [stay.admitted for stay in subject.stays] + [specimen.taken for specimen in subject.specimens[:1]]
        self._begin = min(times, default=dt.datetime(subject.birth_year + 50, 1, 1, tzinfo=dt.UTC)) - DAY
        self._who: Identity = identity_of(subject, rng, self._begin)
        self._charset = rng.choice((UTF_8, GB_18030)) if self._who.chinese else UTF_8
        self._found: list[_Happening] = []
        self._documents = 0

    def tell(self, seeds: Sequence[int]) -> list[_Happening]:
        """Return all that happens, by time."""
        self._persons()
        for stay in self._subject.stays:
            self._stay(stay)
        for specimen in self._subject.specimens:
            self._specimen(specimen)
        for number, seed in enumerate(seeds, 1):
            self._study(seed, number)
        self._found.sort(key=lambda happening: happening.at)
        return self._found

    def _add(self, at: dt.datetime, what: Draft | StudyToCome) -> None:
        self._found.append(_Happening(at, what))

    def _chance(self, share: float) -> bool:
        return self._rng.random() < share

    def _later(self, at: dt.datetime, most: dt.timedelta) -> dt.datetime:
        return at + MINUTE * self._rng.randint(1, max(int(most / MINUTE), 2))

    def _persons(self) -> None:
        who = self._who
        for person, at in who.registered:
            self._add(at, messages.registration(person, "A28", self._charset))
        for survivor, prior, at in who.merges:
            self._add(at, messages.merge(survivor, prior, self._charset))
        if who.renamed is not None and self._chance(self._shares.renamed):
            at = self._later(max(who.settled_at, self._begin), 30 * DAY)
            who.rename(at)
            self._add(at, messages.registration(who.at(at), "A31", self._charset))

    def _stay(self, stay: Stay) -> None:
        def tell(at: dt.datetime, event: str, ward: str) -> None:
            self._add(at, messages.visit(self._who.at(at), event, stay, ward, self._charset))

        wards = [transfer.ward for transfer in stay.transfers] or ["Ward"]
        if stay.emergency and stay.transfers:
            tell(min(stay.transfers[0].at, stay.admitted - 10 * MINUTE), "A04", wards[0])
        tell(stay.admitted, "A01", wards[0])
        if self._chance(self._shares.admission_cancelled):
            tell(stay.admitted + MINUTE, "A11", wards[0])
            tell(stay.admitted + 2 * MINUTE, "A01", wards[0])
        for transfer in stay.transfers[1:]:
            if stay.admitted + 2 * MINUTE < transfer.at < stay.discharged:
                tell(transfer.at, "A02", transfer.ward)
        tell(stay.discharged, "A03", wards[-1])
        if self._chance(self._shares.discharge_cancelled):
            tell(stay.discharged + 10 * MINUTE, "A13", wards[-1])
            tell(stay.discharged + 30 * MINUTE, "A08", wards[-1])
            tell(stay.discharged + 2 * HOUR, "A03", wards[-1])
        if self._chance(self._shares.discharge_note):
            self._note(self._later(stay.discharged, 10 * HOUR), stay, "")
        if self._chance(self._shares.order_unused):
            self._orders(self._later(stay.admitted, DAY), f"X{stay.number}", cancelled=True)

    def _specimen(self, specimen: Specimen) -> None:
        shares, at = self._shares, specimen.stored
        person = self._who.of(at, self._rng)
        values = specimen.values
        if self._chance(shares.preliminary):
            first = values[: (len(values) + 1) // 2]
            early = specimen.taken + (specimen.stored - specimen.taken) / 2
            early = max(early.replace(second=0), self._begin)
            person = self._who.of(early, self._rng)
            self._add(early, messages.results(person, specimen, first, "P"))
        wrong = self._chance(shares.corrected) and values[0].number
        sent = (replace(values[0], text="999", number="999"), *values[1:]) if wrong else values
        person = self._who.still(person, at, self._rng)
        self._add(at, messages.results(person, specimen, sent, "F"))
        if wrong:
            again = self._later(at, 5 * HOUR)
            person = self._who.still(person, again, self._rng)
            self._add(again, messages.results(person, specimen, values[:1], "F", [values[0].item]))
        if self._chance(shares.withdrawn):
            again = self._later(at + 5 * HOUR, DAY)
            person = self._who.still(person, again, self._rng)
            self._add(again, messages.results(person, specimen, values[-1:], "W"))

    def _study(self, seed: int, number: int) -> None:
        stay = self._rng.choice(self._subject.stays)
        at = self._later(stay.admitted, max(stay.discharged - stay.admitted, 2 * HOUR))
        accession = f"A{self._subject.number}-{number}"
        imaged = self._orders_of(at, accession)
        if self._who.plain and self._chance(self._shares.mistyped):
            imaged = replace(imaged, birth_date=f"{int(imaged.birth_date[:4]) - 10}{imaged.birth_date[4:]}")
        self._add(at, StudyToCome(seed, imaged, accession, self._rng.choice(("left", "right")), at))
        noted = at + MINUTE * self._rng.randint(-2000, 2000)
        self._note(max(noted, self._begin + HOUR), stay, accession)

    def _orders_of(self, at: dt.datetime, accession: str) -> Person:
        """Order a study that is taken ``at``, before or after it; returns whom the images are said to be of."""
        late = self._chance(self._shares.order_late)
        ordered = at + MINUTE * self._rng.randint(5, 300) * (1 if late else -1)
        self._orders(max(ordered, self._begin + HOUR), accession, cancelled=self._chance(self._shares.order_cancelled))
        return self._who.of(at, self._rng)

    def _orders(self, at: dt.datetime, accession: str, *, cancelled: bool) -> None:
        person, reason = self._who.of(at, self._rng), self._rng.choice(REASONS)
        priority = self._rng.choice("RRRAS")
        draft = messages.order(person, accession, priority=priority, reason=reason, charset=self._charset)
        self._add(at, draft)
        if self._chance(self._shares.order_changed):
            at = self._later(at, 3 * HOUR)
            person = self._who.still(person, at, self._rng)
            reason, priority = self._rng.choice(REASONS), self._rng.choice("RAS")
            draft = messages.order(
                person, accession, control="XO", priority=priority, reason=reason, charset=self._charset
            )
            self._add(at, draft)
        if cancelled:
            at = self._later(at, 5 * HOUR)
            person = self._who.still(person, at, self._rng)
            draft = messages.order(
                person, accession, control="CA", priority=priority, reason=reason, charset=self._charset
            )
            self._add(at, draft)

    def _note(self, at: dt.datetime, stay: Stay, accession: str) -> None:
        self._documents += 1
        number, person = f"N{self._subject.number}-{self._documents}", self._who.of(at, self._rng)
        events = ["T02"]
        events += ["T08"] if self._chance(self._shares.edited) else []
        events += ["T11"] if self._chance(self._shares.cancelled) else []
        written = at
        for event in events:
            text = self._text(stay, at)
            draft = messages.document(
                person, event, number, text, written=written, accession=accession, charset=self._charset
            )
            self._add(at, draft)
            at = self._later(at, 20 * HOUR)
            person = self._who.still(person, at, self._rng)

    def _text(self, stay: Stay, at: dt.datetime) -> str:
        words, age = notes.compose(self._rng, stay.diagnoses), at.year - self._subject.birth_year
        return (notes.chinese if self._who.chinese else notes.english)(words, age, self._subject.sex)


__all__ = ["Event", "Shares", "StudyToCome", "Value", "traffic"]
