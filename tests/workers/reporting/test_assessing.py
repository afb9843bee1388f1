"""What goes into a case: age and sex from whoever knows them, values near the study."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from models.facts import Quantity
from models.fusion.contracts import Case
from node.records.schema import Job, Note, Observation, Patient, Visit
from node.records.states import VisitState
from tests.workers.office import RIS, Office
from workers.reporting import assessing, gather
from workers.results import telling

AT = dt.datetime(2026, 11, 20, 10, 15, tzinfo=dt.UTC)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path, RIS)
    made.inferred()
    yield made
    made.close()


def case(office: Office) -> Case:
    with office.records.read() as session:
        job = session.get_one(Job, "job-1")
        image = assessing._header(office.context, session, job)
        return assessing.case_of(job, gather.known_of(session, job), image)


def test_the_record_s_demographics_come_before_the_images(office: Office) -> None:
    assert (case(office).demographics.age, case(office).demographics.sex) == (76.0, "F")
    with office.records.write() as session:
        person = session.scalars(select(Patient)).one()
        person.birth_date, person.sex = "19600101", "M"
    assert (case(office).demographics.age, case(office).demographics.sex) == (66.0, "M")


def test_facts_come_with_quantity_side_time_and_the_note_that_states_them(office: Office) -> None:
    office.note("N1", "R91.1", number=6.0, upper=8.0, unit="mm", comparator="<", side="left", when="2024-03")
    [stated] = case(office).facts
    fact = stated.fact
    assert (fact.quantity, fact.side, fact.when) == (Quantity(6.0, "mm", 8.0, "<"), "left", "2024-03")
    assert (stated.document, stated.written_at) == ("N1", dt.datetime(2026, 11, 1, tzinfo=dt.UTC))
    with office.records.read() as session:
        [note] = session.scalars(select(Note))
        assert gather._fact(note.facts[0]) == fact
        analysis_row = gather._row(fact)
    assert (analysis_row["number"], analysis_row["upper"], analysis_row["unit"]) == (6.0, 8.0, "mm")


def test_of_many_values_of_a_code_those_nearest_to_the_study_are_looked_at(office: Office) -> None:
    with office.records.write() as session:
        person = session.scalars(select(Patient)).one()
        for day in range(40):
            at = AT + dt.timedelta(days=day - 20)
            session.add(
                Observation(patient_fk=person.id, code="2160-0", scheme="LN", number=float(day), observed_at=at)
            )
        session.add(Observation(patient_fk=person.id, code="2160-0", scheme="LN", number=99.0, status="X"))
        session.add(Observation(patient_fk=person.id, code="other", scheme="L", value="positive"))
    seen = case(office).observations
    values = sorted(item.value for item in seen if item.code.value == "2160-0" and item.value is not None)
    assert len(values) == gather.PER_CODE
    assert values == [float(day) for day in range(int(values[0]), int(values[0]) + gather.PER_CODE)]
    assert 20.0 in values
    assert [item.text for item in seen if item.code.value == "other"] == ["positive"]


def test_the_class_of_the_open_visit_is_known(office: Office) -> None:
    with office.records.write() as session:
        person = session.scalars(select(Patient)).one()
        visit = Visit(patient_fk=person.id, number="V1", patient_class="E", state=VisitState.OPEN, stated_at=AT)
        visit.admitted_at = AT
        session.add(visit)
    assert case(office).patient_class == "E"


@pytest.mark.parametrize(
    ("value", "text"), [(3.0, "3"), (0.0, "0"), (12.345, "12.3"), (float("nan"), "not a number"), (2.5e7, "25000000")]
)
def test_figures_are_written_as_people_do(value: float, text: str) -> None:
    assert telling.figure(value) == text
