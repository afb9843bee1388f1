"""What the record says of a job's patient at the moment of the study: the values that models of the record read."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from pydicom.dataset import Dataset
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.contracts import Code, Record, RecordNeeds, RecordValue
from models.fusion import graph
from models.fusion.graph import Graph
from models.fusion.knowledge_types import NodeKind
from models.fusion.reading_values import ANALYTES
from models.fusion.units import LOINC, ucum
from node.records import identity, observations, patients
from node.records.schema import IdentityConflict, Job, Observation, Study
from workers import dates

#: Most values that a model gets: those nearest to the study. Two days of hourly vital signs are some two thousand.
MAX_VALUES = 5000

#: What senders call LOINC (HL7 table 0396 says ``LN``).
LOINC_SCHEMES = frozenset({"LN", "LOINC"})


def record_of(
    session: Session, job: Job, needs: RecordNeeds, *, header: Dataset | None = None, knowledge: Graph | None = None
) -> Record:
    """Give the values of a job's patient that count, within the hours and of the codes that a model asks for.

    Where the patient's identity is in question there are none, and age and sex are what the images say
    (:mod:`node.records.identity`).

    Parameters
    ----------
    needs
        What the model's card asks for.
    header
        Header of an instance of the job's series, where it is at hand: its acquisition time and offset from UTC tell
        the moment better than the study's date and time in the records, which are taken to be in this machine's zone.
    knowledge
        Where a site's own codes are looked up, by default the shipped graph.
    """
    study = job.study
    said = _said_by_images(session, study)
    at = moment(study, header)
    if identity.in_question(session, study):
        return Record((), dates.age_at(said.get("birth_date", ""), at), _sex(said.get("sex", "")))
    person = patients.survivor(session, study.patient)
    born = person.birth_date or said.get("birth_date", "")
    sex = person.sex or said.get("sex", "")
    values = _values(session, study, at, needs, knowledge or graph.load()) if at is not None else ()
    return Record(values, dates.age_at(born, at), _sex(sex))


def moment(study: Study, header: Dataset | None = None) -> dt.datetime | None:
    """Tell when the study was made: the moment from which hours are counted.

    The acquisition's date and time with its offset from UTC where the header has them, else the study's in the records.
    Where only a day is known, its end, or the arrival of the first instance if that came before: values of that day
    were not of the future then.
    """
    acquired = acquired_at(header) if header is not None else None
    if acquired is not None:
        return acquired
    at = dates.studied_by_record(study)
    if at is None or study.study_time:
        return at
    return min(at + dt.timedelta(days=1), max(study.first_instance_at, at))


def acquired_at(header: Dataset) -> dt.datetime | None:
    """Read Acquisition DateTime, or date and time of acquisition, else of the study; None where the time is missing."""
    offset = str(header.get("TimezoneOffsetFromUTC") or "").strip()
    stamps = [str(header.get("AcquisitionDateTime") or "")]
    stamps += [
        f"{header.get(f'{level}Date') or ''}{header.get(f'{level}Time') or ''}" if header.get(f"{level}Time") else ""
        for level in ("Acquisition", "Study")
    ]
    for stamp in stamps:
        if (at := _time(stamp.strip(), offset)) is not None:
            return at
    return None


def _time(stamp: str, offset: str) -> dt.datetime | None:
    """Read a DT (PS3.5 section 6.2) of at least the minute; without an offset of its own it has the object's."""
    own = stamp[-5:] if len(stamp) > 5 and stamp[-5] in "+-" else ""
    digits = (stamp[: -len(own)] if own else stamp).partition(".")[0]
    if not (digits.isascii() and digits.isdigit() and 12 <= len(digits) <= 14):
        return None
    try:
        at = dt.datetime.strptime(digits[:14].ljust(14, "0"), "%Y%m%d%H%M%S")
        zone = dt.datetime.strptime(own or offset, "%z").tzinfo if own or offset else None
        return at.replace(tzinfo=zone) if zone is not None else at.astimezone()
    except (ValueError, OverflowError):
        return None


def _values(
    session: Session, study: Study, at: dt.datetime, needs: RecordNeeds, knowledge: Graph
) -> tuple[RecordValue, ...]:
    first, last = needs.hours
    found = []
    for row in observations.in_use(session, study.patient):
        value = _value(row, at, knowledge)
        if value is not None and first <= value.hours <= last and (not needs.codes or value.code in needs.codes):
            found.append(value)
    nearest = sorted(found, key=lambda value: (abs(value.hours), value.code, value.value))[:MAX_VALUES]
    return tuple(sorted(nearest, key=lambda value: (value.hours, value.code, value.value)))


def _value(row: Observation, at: dt.datetime, knowledge: Graph) -> RecordValue | None:
    """Give an observation that is a number with a time and a LOINC code; bounds such as ``<5`` are no numbers."""
    if row.number is None or not math.isfinite(row.number) or row.observed_at is None:
        return None
    code = loinc_of(row, knowledge)
    if not code:
        return None
    hours = (row.observed_at - at).total_seconds() / 3600
    return RecordValue(code, row.number, ucum(row.unit) or row.unit, hours)


def loinc_of(row: Observation, knowledge: Graph) -> str:
    """Tell the LOINC code of an observation; "" where it is not known.

    The sender's, else that of a concept of the knowledge graph that has the sender's own code (a site adds these in its
    knowledge folder), else that of the few names that scores go by too (:data:`models.fusion.reading_values.ANALYTES`).
    """
    if row.scheme in LOINC_SCHEMES:
        return row.code
    for node in knowledge.match(Code(row.code, row.scheme, row.name)):
        if node.kind is NodeKind.LAB and node.code is not None and node.code.scheme == "LN":
            return node.code.value
    return _by_name().get(row.name.strip().casefold()[:80], "")


@cache
def _by_name() -> Mapping[str, str]:
    codes: dict[str, str] = {}
    for code, name in LOINC.items():
        codes.setdefault(name.casefold(), code)
    alike = {"bun": "urea nitrogen", "blood urea nitrogen": "urea nitrogen"}
    found = {}
    for analyte in ANALYTES.values():
        main = next(name.casefold() for name in analyte.names if name.casefold() in codes)
        for name in (spelling.casefold() for spelling in analyte.names):
            found[name] = codes.get(alike.get(name, name), codes[main])
    return MappingProxyType(found)


def _said_by_images(session: Session, study: Study) -> Mapping[str, str]:
    row = session.scalars(select(IdentityConflict).filter_by(study_fk=study.id)).first()
    return {key: value for key, value in row.dicom.items() if isinstance(value, str)} if row is not None else {}


def _sex(sex: str) -> str:
    return sex if sex in ("M", "F", "O") else ""
