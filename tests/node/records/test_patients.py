"""Who is who: identifiers, authorities, and never two people in one."""

from __future__ import annotations

import datetime as dt
import threading

from sqlalchemy import select

from node.records import merges, patients, timeline
from node.records.engine import Records
from node.records.schema import Event, Patient, Study
from node.records.states import StudyState


def test_the_same_identifier_is_the_same_patient(records: Records) -> None:
    with records.write() as session:
        first = patients.find_or_create(session, "1", "H")
        assert patients.find_or_create(session, "1", "H") is first


def test_two_authorities_are_two_patients(records: Records) -> None:
    with records.write() as session:
        assert patients.find_or_create(session, "1", "H") is not patients.find_or_create(session, "1", "K")


def test_a_side_without_authority_is_the_one_patient_that_it_can_be(records: Records) -> None:
    with records.write() as session:
        named = patients.find_or_create(session, "1", "H")
        assert patients.find_or_create(session, "1") is named
        bare = patients.find_or_create(session, "2")
        assert patients.find_or_create(session, "2", "H") is bare
        assert bare.issuer == "H"


def test_a_side_without_authority_that_could_be_two_people_is_neither(records: Records) -> None:
    with records.write() as session:
        one, other = patients.find_or_create(session, "1", "H"), patients.find_or_create(session, "1", "K")
        assert patients.find(session, "1") is None
        bare = patients.find_or_create(session, "1")
        assert bare not in (one, other)
        assert patients.same_person(session, bare) == [bare.id]
        assert patients.same_person(session, one) == [one.id]


def test_an_empty_identifier_is_nobody_else(records: Records) -> None:
    with records.write() as session:
        one, other = patients.find_or_create(session, "", "1.2.3"), patients.find_or_create(session, "", "1.2.4")
        assert one is not other
        assert patients.find_or_create(session, "", "1.2.3") is one
        assert patients.same_person(session, one) == [one.id]


def test_two_rows_of_one_number_are_one_person_only_if_one_names_no_authority(records: Records) -> None:
    with records.write() as session:
        rows = [Patient(patient_id="1", issuer=issuer) for issuer in ("", "H")]
        session.add_all(rows)
        session.flush()
        assert patients.same_person(session, rows[0]) == [rows[0].id, rows[1].id]
        session.add(Patient(patient_id="1", issuer="K"))
        session.flush()
        assert patients.same_person(session, rows[0]) == [rows[0].id]
        assert patients.same_person(session, rows[1]) == [rows[1].id]


def test_hl7_replaces_and_dicom_only_fills(records: Records) -> None:
    with records.write() as session:
        patients.upsert(session, patient_id="1", name="Doe^Jane", origin="dicom")
        row = patients.upsert(session, patient_id="1", name="Roe^Jane", birth_date="19700101", origin="hl7")
        assert (row.name, row.birth_date) == ("Roe^Jane", "19700101")
        row = patients.upsert(session, patient_id="1", name="Doe^Jane", sex="F", origin="dicom")
        assert (row.name, row.sex) == ("Roe^Jane", "F")


def test_a_disagreement_is_said_once_a_study_and_without_values(records: Records) -> None:
    with records.write() as session:
        patient = patients.upsert(session, patient_id="1", name="Doe^Jane", sex="F", origin="hl7")
        study = Study(uid="1.2", patient=patient, state=StudyState.RECEIVING)
        session.add(study)
        session.flush()
        for _ in range(3):
            patients.upsert(session, patient_id="1", name="Roe^Jane", sex="M", origin="dicom", study=study)
        (line,) = timeline.of_study(session, study.id)
        assert (line.kind, line.level) == ("patient.conflict", "warning")
        assert "name, sex" in line.text
        assert "Roe" not in line.text
        assert session.scalars(select(Event)).all() == [line]


def test_two_writers_at_once_make_one_patient(records: Records) -> None:
    def write() -> None:
        with records.write() as session:
            patients.find_or_create(session, "1", "H")

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with records.read() as session:
        assert len(session.scalars(select(Patient)).all()) == 1


NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


def test_of_each_attribute_the_latest_statement_holds(records: Records) -> None:
    with records.write() as session:
        patient = patients.find_or_create(session, "1", "H")

        def say(hours: int, **given: str) -> bool:
            return patients.state(session, patient, given, origin="hl7", stated_at=NOON + hours * HOUR)

        assert say(2, name="Doe^Jane")
        assert say(1, name="Roe^Jane", sex="F")  # an older one fills what is empty
        assert (patient.name, patient.sex) == ("Doe^Jane", "F")
        assert not say(0, sex="M")
        assert not say(3, name="Doe^Jane")  # says the same again, later
        assert not say(2, name="Roe^Jane")
        assert (patient.name, patient.sex, patient.stated_at) == ("Doe^Jane", "F", NOON + 3 * HOUR)
        assert len(session.scalars(select(Event).where(Event.kind == "patient.older")).all()) == 3


def test_what_images_filled_in_gives_way_to_any_statement(records: Records) -> None:
    with records.write() as session:
        patient = patients.upsert(session, patient_id="1", birth_date="19700101", origin="dicom")
        assert patient.stated_at is None
        assert patients.state(session, patient, {"birth_date": "19700101"}, origin="hl7", stated_at=NOON)
        assert patients.state(session, patient, {"birth_date": "19710101"}, origin="hl7", stated_at=NOON + HOUR)
        assert patient.birth_date == "19710101"


def test_without_merges_everyone_survives_alone(records: Records) -> None:
    with records.write() as session:
        one, other = (patients.find_or_create(session, "1", issuer) for issuer in ("H", "K"))
        assert patients.survivor(session, one) is one
        assert patients.survivor(session, other) is other


def test_a_row_without_an_authority_survives_as_the_one_that_its_namesake_was_merged_into(records: Records) -> None:
    with records.write() as session:
        bare = Patient(patient_id="1", issuer="")
        named = Patient(patient_id="1", issuer="H")
        session.add_all([bare, named])
        session.flush()
        new = patients.find_or_create(session, "2", "H")
        merges.merge(session, new, named, stated_at=NOON)
        unnamed = Patient(patient_id="2", issuer="")
        session.add(unnamed)
        session.flush()
        everyone = [bare, named, new, unnamed]
        for row in everyone:
            assert list(patients.same_person(session, row)) == [one.id for one in everyone]
            assert patients.survivor(session, row) is new
