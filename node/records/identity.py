"""Whether the person in the images is the one of the record: demographics of DICOM against those of HL7.

Each study has one row with what its images say. While that contradicts what registrations said of its patient, or its
instances name patients that are not known to be one, the row is open and the study is analysed alone: notes, laboratory
values and earlier studies of somebody else must not reach its report. A correction on either side closes it; so does a
person, who may also say that it is somebody else's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.errors import StateError
from node.records import jobs, names, patients, timeline
from node.records.names import Likeness
from node.records.patients import WORDS
from node.records.schema import IdentityConflict, Patient, Study, now

OPEN = ""
AGREED = "agreed"
"""Nothing contradicts, or no longer."""
SAME_PERSON = "same_person"
"""A person decided: it is the patient in spite of what contradicts."""
OTHER_PERSON = "other_person"
"""A person decided: it is somebody else, and the study stays alone for good."""
OTHERS = "others"
"""Key of :attr:`~node.records.schema.IdentityConflict.dicom`: patients that instances name beside the study's own."""
OTHERS_MAX = 20
PATIENT_ID = "patient ID"
"""What contradicts where instances of one study name several patients."""
DECISIONS = (SAME_PERSON, OTHER_PERSON)


def observe(
    session: Session,
    study: Study,
    said: Mapping[str, str],
    known: IdentityConflict | None = None,
    *,
    other: tuple[str, str] | None = None,
) -> IdentityConflict:
    """Take over what the images of a study say of the patient; of several instances the latest counts.

    Parameters
    ----------
    said
        ``name``, ``birth_date``, ``sex`` as in :func:`node.records.patients.state`.
    known
        The study's row, where the caller has it.
    other
        Number and authority of another patient than the study's, where an instance names one.
    """
    row = known or session.scalars(select(IdentityConflict).filter_by(study_fk=study.id)).first()
    if row is None:
        row = IdentityConflict(
            study_fk=study.id,
            patient_fk=study.patient_fk,
            attributes=[],
            dicom={},
            found_at=now(),
            resolved_at=now(),
            resolution=AGREED,
        )
        session.add(row)
    dicom = {**row.dicom, **{key: value for key in WORDS if (value := said.get(key, ""))}}
    others = dicom.get(OTHERS, [])
    if other is not None and list(other) not in others and len(others) < OTHERS_MAX:
        dicom[OTHERS] = [*others, list(other)]
    if dicom != row.dicom:
        row.dicom = dicom
        session.flush()
        _judge(session, row, study, _stated(session, study.patient), None)
    return row


def review(session: Session, patient: Patient, message: int | None = None) -> None:
    """Judge the studies of a person again, as after a correction or a merge."""
    people = patients.same_person(session, patient)
    query = (
        select(IdentityConflict, Study)
        .join(Study, Study.id == IdentityConflict.study_fk)
        .where(Study.patient_fk.in_(people))
        .order_by(Study.id)
    )
    found = session.execute(query).all()
    if found:
        stated = _stated(session, patient)
        for row, study in found:
            _judge(session, row, study, stated, message)


def in_question(session: Session, study: Study) -> bool:
    """Whether it is open, or decided against, that the study is of the patient that it names."""
    query = select(IdentityConflict.id).where(
        IdentityConflict.study_fk == study.id, IdentityConflict.resolution.in_((OPEN, OTHER_PERSON))
    )
    return session.scalar(query.limit(1)) is not None


def open_conflicts(session: Session) -> Sequence[IdentityConflict]:
    """Return the contradictions that wait for a correction or a person, oldest first."""
    query = select(IdentityConflict).where(IdentityConflict.resolution == OPEN)
    return session.scalars(query.order_by(IdentityConflict.found_at, IdentityConflict.id)).all()


def all_conflicts(session: Session) -> Sequence[IdentityConflict]:
    """Return all contradictions that there ever were, oldest first."""
    rows = session.scalars(select(IdentityConflict).order_by(IdentityConflict.found_at, IdentityConflict.id))
    return [row for row in rows if row.attributes]


def of_study(session: Session, study: Study) -> IdentityConflict | None:
    """Return the contradiction of a study; None if there was none ever."""
    row = session.scalars(select(IdentityConflict).filter_by(study_fk=study.id)).first()
    return row if row is not None and row.attributes else None


def stated_of(session: Session, study: Study) -> dict[str, list[str]]:
    """Return what registrations say of a study's patient, by attribute: what a person compares the images with."""
    return _stated(session, study.patient)


def resolve(session: Session, study: Study, decision: str) -> IdentityConflict:
    """Take over what a person decided; a decision may be changed. Its report is looked at again.

    Parameters
    ----------
    decision
        One of :data:`DECISIONS`.

    Raises
    ------
    StateError
        Nothing contradicts, or it is no decision.
    """
    row = of_study(session, study)
    if decision not in DECISIONS:
        raise StateError(f"a decision is one of: {', '.join(DECISIONS)}")
    if row is None or row.resolution == AGREED:
        raise StateError("the study's images do not contradict the record: there is nothing to decide")
    row.resolution, row.resolved_at = decision, now()
    words = "is the patient's" if decision == SAME_PERSON else "is another person's and stays alone"
    timeline.add(session, "identity.decided", f"A person decided that the study {words}", study=study)
    session.flush()
    jobs.rebuild(session, [study], "a person decided whose it is")
    return row


def _stated(session: Session, patient: Patient) -> dict[str, list[str]]:
    """Return what HL7 says of a person, by attribute; merged patients may each have values of their own."""
    people = patients.same_person(session, patient)
    rows = session.scalars(select(Patient).where(Patient.id.in_(people)).order_by(Patient.id)).all()
    return {key: [getattr(row, key) for row in rows if key in (row.stated or {})] for key in WORDS}


def _judge(
    session: Session, row: IdentityConflict, study: Study, stated: Mapping[str, Sequence[str]], message: int | None
) -> None:
    wrong = contradictions(row.dicom, stated)
    if _names_others(session, row, study):
        wrong.append(PATIENT_ID)
    if row.resolution == OTHER_PERSON or (row.resolution == SAME_PERSON and set(wrong) <= set(row.attributes)):
        return
    if wrong and row.resolution != OPEN:
        row.found_at, row.resolved_at, row.resolution = now(), None, OPEN
        text = f"The {', '.join(wrong)} in the images contradicts the record: the study is analysed alone"
        timeline.add(session, "identity.question", text, study=study, message=message, level="warning")
        jobs.rebuild(session, [study], "its patient is in question")
    elif not wrong and row.resolution == OPEN:
        row.resolved_at, row.resolution = now(), AGREED
        text = "Images and record agree on the patient after a correction"
        timeline.add(session, "identity.agreed", text, study=study, message=message)
        jobs.rebuild(session, [study], "its patient is no longer in question")
    if wrong:
        row.attributes = list(wrong)
        row.message_fk = message or row.message_fk
    session.flush()


def _names_others(session: Session, row: IdentityConflict, study: Study) -> bool:
    """Whether instances of a study name somebody who is not known to be its patient."""
    others = row.dicom.get(OTHERS, [])
    if not others:
        return False
    people = patients.same_person(session, study.patient)
    found = [patients.find(session, *one) for one in others]
    return any(one is None or one.id not in people for one in found)


def contradictions(dicom: Mapping[str, Any], stated: Mapping[str, Sequence[str]]) -> list[str]:
    """Return what images and record cannot both be right in, by the words for it. Pure.

    A birth date or sex that differs from all that is stated is one, and a name that has nothing in common with any.
    """
    return [
        word
        for key, word in WORDS.items()
        if (seen := str(dicom.get(key, "")))
        and (values := [value for value in stated.get(key, ()) if value])
        and not any(_fits(key, seen, value) for value in values)
    ]


def _fits(key: str, seen: str, value: str) -> bool:
    return names.compare(seen, value) is not Likeness.OTHER if key == "name" else seen == value
