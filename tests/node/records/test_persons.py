"""As whom a study's patient is known after merges, for many studies at once, and what finds it."""

from __future__ import annotations

import datetime as dt
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.orm import Session

from node.records import merges, patients, persons, views
from node.records.engine import Records
from node.records.schema import IdentityConflict, Patient, Study
from node.records.views import WorklistQuery
from tests import factories

AT = dt.datetime(2026, 11, 26, 9, tzinfo=dt.UTC)


def merge(session: Session, survivor: Patient, prior: Patient, minutes: int = 0) -> None:
    merges.merge(session, survivor, prior, stated_at=AT + dt.timedelta(minutes=minutes))


def merged(session: Session) -> Study:
    """Add a study under a number that was merged into another."""
    old = patients.upsert(
        session, patient_id="OVR0001", issuer="H", name="Meier^Eva", birth_date="19500102", origin="hl7"
    )
    new = patients.upsert(session, patient_id="OVR0002", issuer="H", name="Schulz^Eva", origin="hl7")
    study = factories.study(session, "1.2.3", patient=old)
    factories.study(session, "1.2.4")
    merge(session, new, old)
    return study


def found(session: Session, text: str) -> list[int]:
    return [row.study.id for row in views.worklist(session, WorklistQuery(text))]


def test_a_merged_study_is_shown_as_the_survivors_with_the_retired_number_beside_it(records: Records) -> None:
    with records.write() as session:
        study = merged(session)
        [row] = [row for row in views.worklist(session, WorklistQuery()) if row.study.id == study.id]
        view = views.study(session, study.id)
    assert view is not None
    assert row.person == view.person
    assert (row.person.patient_id, row.person.name, row.person.also) == ("OVR0002", "Schulz^Eva", ("OVR0001",))
    assert row.person.birth_date == "19500102"  # nobody said the survivor's


@pytest.mark.parametrize("text", ["OVR0001", "ovr0002", "Meier", "schulz", "Meier OVR0002"])
def test_a_merged_study_is_found_by_every_number_and_name_of_the_person(records: Records, text: str) -> None:
    with records.write() as session:
        study = merged(session)
        assert found(session, text) == [study.id]
        assert found(session, f"{text} nobody") == []


def test_a_study_of_the_survivor_is_found_by_the_retired_number_and_a_sibling_by_the_others(records: Records) -> None:
    with records.write() as session:
        one, two, top = (patients.find_or_create(session, number, "H") for number in ("A1", "B2", "C3"))
        studies = {factories.study(session, f"1.2.{row.id}", patient=row).id for row in (one, two, top)}
        merge(session, top, one)
        merge(session, top, two, 1)
        for number in ("A1", "B2", "C3"):
            assert set(found(session, number)) == studies


def test_a_number_without_authority_is_found_by_what_the_one_with_it_was_merged_into(records: Records) -> None:
    with records.write() as session:
        named = Patient(patient_id="A1", issuer="H")
        bare = Patient(patient_id="A1", issuer="")
        session.add_all([named, bare])
        session.flush()
        study = factories.study(session, "1.2.3", patient=bare)
        merge(session, patients.find_or_create(session, "B2", "H"), named)
        assert found(session, "B2") == [study.id]
        assert persons.of_studies(session, [study])[study.id].patient_id == "B2"
        session.add(Patient(patient_id="A1", issuer="K"))  # now it could be either's
        session.flush()
        assert found(session, "B2") == []
        assert persons.of_studies(session, [study])[study.id].patient_id == "A1"


@pytest.mark.parametrize(
    ("resolution", "number"), [("", "OVR0001"), ("other_person", "OVR0001"), ("agreed", "OVR0002")]
)
def test_a_study_in_question_keeps_the_number_of_its_images(records: Records, resolution: str, number: str) -> None:
    with records.write() as session:
        study = merged(session)
        session.add(
            IdentityConflict(
                study_fk=study.id, patient_fk=study.patient_fk, attributes=["sex"], dicom={}, resolution=resolution
            )
        )
        session.flush()
        [row] = [row for row in views.worklist(session, WorklistQuery()) if row.study.id == study.id]
        view = views.study(session, study.id)
    assert view is not None
    assert row.person.patient_id == view.person.patient_id == number
    assert bool(row.person.also) == (number == "OVR0002")


def test_wildcards_of_the_database_are_words_like_others(records: Records) -> None:
    with records.write() as session:
        merged(session)
        assert found(session, "OVR%") == found(session, "OVR____") == []


def test_more_merged_studies_take_no_more_queries(records: Records) -> None:
    def count(engine: Engine) -> int:
        asked: list[str] = []
        listener = lambda *given: asked.append(given[2])  # noqa: E731
        event.listen(engine, "before_cursor_execute", listener)
        try:
            with records.read() as session:
                assert views.worklist(session, WorklistQuery())
        finally:
            event.remove(engine, "before_cursor_execute", listener)
        return len(asked)

    with records.write() as session:
        merged(session)
    few = count(records.engine)
    with records.write() as session:
        for number in range(20):
            old, new = (patients.find_or_create(session, f"{kind}{number}", "H") for kind in ("OLD", "NEW"))
            factories.study(session, f"1.3.{number}", patient=old)
            merge(session, new, old)
    assert count(records.engine) == few


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=8))
def test_many_studies_give_the_same_survivors_as_one_asked_by_one(
    records: Records, pairs: list[tuple[int, int]]
) -> None:
    keys = [("A", "H"), ("A", ""), ("B", "H"), ("B", "K"), ("C", ""), ("", "1.2.3")]
    with records.write() as session:
        rows = [Patient(patient_id=number, issuer=issuer) for number, issuer in keys]
        session.add_all(rows)
        session.flush()
        for at, (survivor, prior) in enumerate(pairs):
            merge(session, rows[survivor], rows[prior], at)
        studies = [Study(id=row.id, uid=f"1.{row.id}", patient=row) for row in rows]
        people = persons.of_studies(session, studies)
        for row in rows:
            top = patients.survivor(session, row)
            assert (people[row.id].patient_id, people[row.id].issuer) == (top.patient_id, top.issuer)
        session.rollback()


def test_a_merged_study_is_found_and_shown_on_postgresql_too(postgresql: str) -> None:
    name = f"overread_{uuid.uuid4().hex}"
    admin = create_engine(f"{postgresql}/postgres", isolation_level="AUTOCOMMIT")
    try:
        with admin.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        store = Records(f"{postgresql}/{name}")
        store.migrate()
        with store.write() as session:
            study = merged(session)
            assert found(session, "OVR0002 meier") == [study.id]
            assert persons.of_studies(session, [study])[study.id].also == ("OVR0001",)
        store.close()
        with admin.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        admin.dispose()
