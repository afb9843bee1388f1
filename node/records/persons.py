"""As whom a study's patient is known now: after merges, the survivor's number and name, and the retired numbers.

Questions that the pages ask, for many studies at once; nothing here writes. Who is one person and who survives is the
same as in :func:`node.records.patients.same_person` and :func:`node.records.patients.survivor`, which ask for one
patient. While a study's identity is in question it keeps the numbers that its images name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session, aliased

from node.records.schema import Patient, Study


@dataclass(frozen=True, slots=True)
class Person:
    """What a reader is shown of a study's patient; attributes as in :class:`~node.records.schema.Patient`.

    ``also`` are the other identifiers of the same person, such as those that a merge retired, with the authority in
    brackets where it is another.
    """

    patient_id: str
    issuer: str
    name: str
    birth_date: str
    sex: str
    also: Sequence[str] = ()


def of_studies(session: Session, studies: Iterable[Study], doubted: Collection[int] = ()) -> dict[int, Person]:
    """Return the person of each study by the study's id, with as many queries for all studies as for one.

    Parameters
    ----------
    doubted
        Ids of the studies whose identity is in question.
    """
    patients = {study.id: study.patient for study in studies}
    groups = _groups(session, {row.id: row for key, row in patients.items() if key not in doubted})
    return {key: _person(row, () if key in doubted else groups[row.id]) for key, row in patients.items()}


def named(word: str) -> ColumnElement[bool]:
    """Condition: a number or name of a study's person has this word, under whichever row of the merged ones it stands.

    The statement must join ``Study.patient``. A study in question is found by these too, and shown with its own number.
    """
    me, other = aliased(Patient), aliased(Patient)
    base = select(me.id).where(_has(me, word), _related(me)).cte(recursive=True)
    step = aliased(Patient)
    reached = base.union(
        select(other.id)
        .select_from(base)
        .join(step, step.id == base.c.id)
        .join(other, or_(other.survivor_fk == step.id, other.id == step.survivor_fk, _alike(step, other)))
    )
    return or_(_has(Patient, word), Patient.id.in_(select(reached.c.id)))


def _has(row: type[Patient], word: str) -> ColumnElement[bool]:
    return or_(row.name.icontains(word, autoescape=True), row.patient_id.icontains(word, autoescape=True))


def _related(me: type[Patient]) -> ColumnElement[bool]:
    """Whether any other row can be the same person's: most rows are alone, and the search goes no further there."""
    other = aliased(Patient)
    near = or_(other.survivor_fk == me.id, and_(other.patient_id == me.patient_id, other.id != me.id))
    return or_(me.survivor_fk.is_not(None), select(other.id).where(near).correlate(me).exists())


def _alike(one: type[Patient], other: type[Patient]) -> ColumnElement[bool]:
    """Two rows of a number, one of them without an authority, and no third."""
    every = aliased(Patient)
    count = select(func.count(every.id)).where(every.patient_id == one.patient_id).correlate(one).scalar_subquery()
    return and_(
        other.patient_id == one.patient_id,
        one.patient_id != "",
        other.id != one.id,
        or_(one.issuer == "", other.issuer == ""),
        count == 2,
    )


def _groups(session: Session, wanted: Mapping[int, Patient]) -> dict[int, list[Patient]]:
    """Return of each patient all rows that are the same person, by id, its own among them."""
    rows = dict(wanted)
    asked: set[int] = set()
    numbers: set[str] = set()
    groups = {one: {one} for one in wanted}
    while True:
        members: set[int] = set().union(*groups.values())
        ids = members - asked
        fresh = {rows[one].patient_id for one in members & rows.keys()} - numbers - {""}
        if not ids and not fresh:
            return {key: [rows[one] for one in sorted(group & rows.keys())] for key, group in groups.items()}
        fits = or_(Patient.id.in_(ids - rows.keys()), Patient.survivor_fk.in_(ids), Patient.patient_id.in_(fresh))
        rows |= {row.id: row for row in session.scalars(select(Patient).where(fits))}
        asked, numbers = asked | ids, numbers | fresh
        links = _links(rows.values(), numbers)
        groups = {one: _reached(one, links) for one in wanted}


def _links(rows: Iterable[Patient], numbers: Collection[str]) -> dict[int, set[int]]:
    """Return who is one step away from whom; ``numbers`` are those of which all rows are here."""
    pairs: list[tuple[int, int]] = []
    alike: dict[str, list[Patient]] = {}
    for row in rows:
        if row.survivor_fk is not None:
            pairs.append((row.id, row.survivor_fk))
        if row.patient_id in numbers:
            alike.setdefault(row.patient_id, []).append(row)
    pairs += [(two[0].id, two[1].id) for two in alike.values() if len(two) == 2 and "" in {row.issuer for row in two}]
    links: dict[int, set[int]] = {}
    for one, other in pairs:
        links.setdefault(one, set()).add(other)
        links.setdefault(other, set()).add(one)
    return links


def _reached(one: int, links: Mapping[int, set[int]]) -> set[int]:
    found, ahead = {one}, [one]
    while ahead:
        new = links.get(ahead.pop(), set()) - found
        found |= new
        ahead += new
    return found


def _person(own: Patient, group: Sequence[Patient]) -> Person:
    top = _survivor(own, group)
    others = dict.fromkeys(
        row.patient_id if row.issuer in ("", top.issuer) else f"{row.patient_id} ({row.issuer})"
        for row in group
        if row.patient_id
        and row.id != top.id
        and not (row.patient_id == top.patient_id and "" in (row.issuer, top.issuer))
    )
    return Person(
        patient_id=top.patient_id,
        issuer=top.issuer,
        name=top.name or own.name,
        birth_date=top.birth_date or own.birth_date,
        sex=top.sex or own.sex,
        also=tuple(others),
    )


def _survivor(own: Patient, group: Sequence[Patient]) -> Patient:
    by_id = {row.id: row for row in group}
    if own.survivor_fk is not None:
        return by_id.get(own.survivor_fk, own)
    if any(row.survivor_fk == own.id for row in group):
        return own
    merged = next((row.survivor_fk for row in group if row.survivor_fk is not None), own.id)
    return by_id.get(merged, own)
