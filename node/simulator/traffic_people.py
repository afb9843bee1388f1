"""Who a patient of the generated traffic is at a time: made-up names, temporary numbers, merges."""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import dataclass, field, replace

from node.simulator.ris import Person
from node.simulator.traffic_records import Subject

TEMPORARY, UNKNOWN, CHAINED, CHINESE = 0.25, 0.4, 0.3, 0.3
"""Shares: patients with a temporary number, of these without a name, and with a second one; Chinese names."""
REMAINS, STILL_PRIOR = 0.3, 0.15
"""How often a patient is known by the final number before the merge, and by the prior one after it."""

FAMILY = ("Adler", "Brooks", "Castillo", "Dubois", "Eriksen", "Fischer", "García", "Hughes", "Ivanova", "Müller")
GIVEN = {"F": ("Alice", "Beate", "Carmen", "Dora", "Ewa"), "M": ("Adam", "Boris", "Carlos", "Dirk", "Émile")}
FAMILY_ZH = (("Wang", "王"), ("Li", "李"), ("Zhang", "张"), ("Liu", "刘"), ("Chen", "陈"))
GIVEN_ZH = (("Wei", "伟"), ("Fang", "芳"), ("Na", "娜"), ("Jun", "军"), ("Xiaoming", "小明"))
ISSUER = "HOSPITAL"

Merge = tuple[Person, Person, dt.datetime]


@dataclass(slots=True)
class Identity:
    """A patient's numbers and names over time.

    Parameters
    ----------
    person
        Who it is in the end.
    temporary
        Numbers before; all are merged by ``merges``, (survivor, prior, when), in their order.
    registered
        When each number was first given.
    renamed
        The name that the patient may take later, None where it is not to change.
    """

    person: Person
    chinese: bool
    temporary: tuple[Person, ...] = ()
    merges: tuple[Merge, ...] = ()
    registered: tuple[tuple[Person, dt.datetime], ...] = ()
    renamed: str | None = None
    _renamed_at: dt.datetime | None = field(default=None)

    @property
    def plain(self) -> bool:
        """Whether there never was another number."""
        return not self.temporary

    @property
    def settled_at(self) -> dt.datetime:
        """When the last merge was stated."""
        return max(at for _, _, at in self.merges) if self.merges else dt.datetime.min.replace(tzinfo=dt.UTC)

    def rename(self, at: dt.datetime) -> None:
        """Have the patient bear the other name from now on."""
        self._renamed_at = at

    def at(self, at: dt.datetime) -> Person:
        """Return who the administration says it is: the temporary number until it is merged."""
        for _, prior, merged in self.merges:
            if at < merged:
                return prior
        return self._named(at)

    def of(self, at: dt.datetime, rng: random.Random) -> Person:
        """Return who some department says it is: not all of them know of the other number."""
        roll = rng.random()
        if self.plain:
            return self._named(at)
        if at < self.settled_at:
            known = next(given for person, given in self.registered if person.id == self.person.id)
            return self._named(at) if roll < REMAINS and at > known else self.at(at)
        return self.temporary[-1] if roll < STILL_PRIOR else self._named(at)

    def still(self, person: Person, at: dt.datetime, rng: random.Random) -> Person:
        """Return who it is in a later message about the same thing: what was said before, until all is merged."""
        return self.of(at, rng) if at >= self.settled_at else person

    def _named(self, at: dt.datetime) -> Person:
        if self.renamed is None or self._renamed_at is None or at < self._renamed_at:
            return self.person
        return replace(self.person, name=self.renamed)


def identity_of(subject: Subject, rng: random.Random, begin: dt.datetime) -> Identity:
    """Make up a patient's names and numbers; ``begin`` is when the first one is registered."""
    chinese = rng.random() < CHINESE
    person = Person(f"M{subject.number}", _name(subject, rng, chinese), _birth(subject, rng), subject.sex, ISSUER)
    renamed = None if chinese else f"{rng.choice(FAMILY)}^{person.name.split('^')[1]}"
    if rng.random() >= TEMPORARY or not subject.stays:
        return Identity(person, chinese, registered=((person, begin),), renamed=renamed)
    first = replace(person, id=f"T{subject.number}")
    if rng.random() < UNKNOWN:
        first = replace(first, name="Unknown^Patient", birth_date="")
    stay = subject.stays[0]
    hours = max(int((stay.discharged - stay.admitted).total_seconds() / 3600), 4)
    known = stay.admitted + dt.timedelta(hours=rng.randint(1, hours))
    merged = known + dt.timedelta(hours=rng.randint(1, 240))
    if rng.random() >= CHAINED:
        return Identity(
            person, chinese, (first,), ((person, first, merged),), ((first, begin), (person, known)), renamed
        )
    second = replace(person, id=f"U{subject.number}")
    between = begin + (merged - begin) / 2
    between = between.replace(second=0, microsecond=0)
    return Identity(
        person,
        chinese,
        (first, second),
        ((second, first, between), (person, second, merged)),
        ((first, begin), (second, between - dt.timedelta(hours=1)), (person, min(known, merged))),
        renamed,
    )


def _name(subject: Subject, rng: random.Random, chinese: bool) -> str:
    if chinese:
        (family, sign), (given, signs) = rng.choice(FAMILY_ZH), rng.choice(GIVEN_ZH)
        return f"{family}^{given}={sign}^{signs}"
    return f"{rng.choice(FAMILY)}^{rng.choice(GIVEN[subject.sex])}"


def _birth(subject: Subject, rng: random.Random) -> str:
    return f"{subject.birth_year}{rng.randint(1, 12):02}{rng.randint(1, 28):02}"
