"""Studies whose patient is in question, at the command line."""

from __future__ import annotations

import json
from pathlib import Path

from node.dicom.instance import InstanceHeader
from node.records import identity, patients, studies
from node.records.engine import Records
from node.records.schema import Study
from tests.node.commands.conftest import run


def question(store: Records) -> None:
    with store.write() as session:
        header = InstanceHeader(
            uid="1.2.3.1.1",
            sop_class="1.2.840.10008.5.1.4.1.1.4",
            transfer_syntax="1.2.840.10008.1.2.1",
            study_uid="1.2.3",
            series_uid="1.2.3.1",
            patient_id="4711",
            patient_name="Doe^Jane",
            birth_date="19700102",
        )
        studies.index(session, header)
        patient = patients.find_or_create(session, "4711")
        patients.state(session, patient, {"birth_date": "19710102"}, origin="hl7")
        identity.review(session, patient)


def test_contradictions_are_listed_without_what_they_are_about(config: Path, store: Records) -> None:
    question(store)
    listed = run("study", "identity", "list", "--config", config)
    assert "birth date" in listed.stdout
    assert "1970" not in listed.stdout
    [row] = json.loads(run("study", "identity", "list", "--content", "--config", config, "--json").stdout)
    assert (row["study"], row["uid"], row["attributes"], row["resolution"]) == (1, "1.2.3", ["birth date"], "open")
    assert (row["images"]["birth date"], row["record"]) == ("19700102", {"birth date": ["19710102"]})
    assert "19710102" in run("study", "identity", "list", "--content", "--config", config).stdout


def test_a_person_decides_whose_a_study_is(config: Path, store: Records) -> None:
    question(store)
    assert run("study", "identity", "resolve", "1", "other_person", "--config", config).exit_code == 0
    with store.read() as session:
        assert identity.in_question(session, session.get_one(Study, 1))
    assert json.loads(run("study", "identity", "list", "--config", config, "--json").stdout) == []
    decided = json.loads(
        run("study", "identity", "resolve", "1.2.3", "same_person", "--config", config, "--json").stdout
    )
    assert decided["resolution"] == "same_person"
    [row] = json.loads(run("study", "identity", "list", "--all", "--config", config, "--json").stdout)
    assert row["resolution"] == "same_person"


def test_there_is_nothing_to_decide_for_other_studies(config: Path, store: Records) -> None:
    question(store)
    assert run("study", "identity", "resolve", "1", "nobody", "--config", config).exit_code == 2
    assert run("study", "identity", "resolve", "7", "same_person", "--config", config).exit_code == 2
