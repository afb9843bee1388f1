"""Patients in question: both sides, and what a person decides."""

from __future__ import annotations

import html
import re

from fastapi.testclient import TestClient

from node.records import identity, patients
from node.records.engine import Records
from node.records.schema import Study
from node.records.timeline import of_study
from tests.node.web.conftest import Client
from tests.node.web.objects import ago
from tests.node.web.seed import Seeded
from tests.node.web.seed_record import Recorded
from tests.node.web.test_pages import csrf_of


def decide(client: TestClient, study: int, decision: str) -> int:
    csrf = csrf_of(client.get("/identity").text)
    return client.post(f"/studies/{study}/identity", data={"csrf": csrf, "decision": decision}).status_code


def resolution(records: Records, study: int) -> str | None:
    with records.read() as session:
        row = identity.of_study(session, session.get_one(Study, study))
        return None if row is None else row.resolution


def test_the_list_shows_both_sides_and_which_attributes_differ(
    client: TestClient, seeded: Seeded, recorded: Recorded
) -> None:
    page = client.get("/identity").text
    rows = re.findall(r"<tr( class=\"contradicts\")?><th scope=\"row\">(name|birth date|sex)", page)
    assert rows == [("", "name"), (' class="contradicts"', "birth date"), (' class="contradicts"', "sex")]
    for words in (
        "1988-12-31",
        "1999-01-01",
        "王 小东",
        f'href="/studies/{seeded.stat}"',
        "Same person",
        "Other person",
    ):
        assert words in html.unescape(page)


def test_the_study_page_warns_on_top_and_says_what_is_not_used(
    client: TestClient, seeded: Seeded, recorded: Recorded
) -> None:
    page = client.get(f"/studies/{seeded.stat}").text
    assert page.index("Is this the right patient?") < page.index("<h1>")
    assert "The birth date and sex in the images contradict" in page
    assert "are not used" in page
    assert "Is this the right patient?" not in client.get(f"/studies/{seeded.done}").text


def test_same_person_ends_the_question(
    client: TestClient, seeded: Seeded, recorded: Recorded, records: Records
) -> None:
    assert decide(client, seeded.stat, "same_person") == 303
    assert resolution(records, seeded.stat) == "same_person"
    page = client.get(f"/studies/{seeded.stat}").text
    assert "Is this the right patient?" not in page
    assert "a person decided that it is the same person" in page
    assert "a person: same person" in client.get("/identity").text
    assert "identity in question</span>" not in client.get("/").text
    with records.read() as session:
        assert of_study(session, seeded.stat)[-1].kind == "identity.decided"


def test_other_person_keeps_the_study_alone_and_can_be_changed(
    client: TestClient, seeded: Seeded, recorded: Recorded, records: Records
) -> None:
    assert decide(client, seeded.stat, "other_person") == 303
    page = client.get(f"/studies/{seeded.stat}").text
    assert "This study is another person" in page
    assert 'value="other_person"' not in page
    assert "another person&#39;s</span>" in client.get("/").text
    csrf = csrf_of(page)
    client.post(f"/studies/{seeded.stat}/identity", data={"csrf": csrf, "decision": "same_person"})
    assert resolution(records, seeded.stat) == "same_person"


def test_only_the_two_decisions_are_taken(
    client: TestClient, seeded: Seeded, recorded: Recorded, records: Records
) -> None:
    for decision in ("", "agreed", "<b>", "x" * 19):
        assert decide(client, seeded.stat, decision) == 422
    assert resolution(records, seeded.stat) == identity.OPEN


def test_where_nothing_contradicts_there_is_nothing_to_decide(
    client: TestClient, seeded: Seeded, recorded: Recorded
) -> None:
    csrf = csrf_of(client.get("/identity").text)
    answers = {
        study: client.post(f"/studies/{study}/identity", data={"csrf": csrf, "decision": "same_person"}).status_code
        for study in (seeded.done, 999, 0, 1 << 60)
    }
    assert answers == {seeded.done: 409, 999: 404, 0: 404, 1 << 60: 404}


def test_a_decision_needs_the_token_of_the_session(
    client: TestClient, seeded: Seeded, recorded: Recorded, records: Records
) -> None:
    client.get("/identity")
    for csrf in ("", "0" * 64, "ü"):
        data = {"csrf": csrf, "decision": "same_person"}
        assert client.post(f"/studies/{seeded.stat}/identity", data=data).status_code == 403
    assert resolution(records, seeded.stat) == identity.OPEN


def test_a_correction_of_the_registration_moves_it_to_the_settled(
    client: TestClient, seeded: Seeded, recorded: Recorded, records: Records
) -> None:
    with records.write() as session:
        patient = session.get_one(Study, seeded.stat).patient
        patients.state(session, patient, {"birth_date": "19881231", "sex": "M"}, origin="hl7", stated_at=ago(minutes=1))
        identity.review(session, patient)
    page = client.get("/identity").text
    assert "Nothing waits for a decision." in page
    assert "corrected: both sides agree" in page
    assert "Is this the right patient?" not in client.get(f"/studies/{seeded.stat}").text


def test_a_study_whose_images_name_several_patients_shows_their_numbers(
    client: TestClient, seeded: Seeded, recorded: Recorded, records: Records
) -> None:
    with records.write() as session:
        row = identity.of_study(session, session.get_one(Study, seeded.stat))
        assert row is not None
        row.dicom = {**row.dicom, identity.OTHERS: [["PID-999<b>", "HOSP"], ["7", ""]]}
        row.attributes = [*row.attributes, identity.PATIENT_ID]
    for path in ("/identity", f"/studies/{seeded.stat}"):
        page = client.get(path).text
        row_of_it = re.search(r'<tr class="contradicts"><th scope="row">patient ID.*?</tr>', page, re.DOTALL)
        assert row_of_it is not None
        assert "PID-999&lt;b&gt; (HOSP), 7" in row_of_it[0]
        assert "PID-900 (HOSP)" in row_of_it[0]


def test_a_node_without_doubts_says_so(make_client: Client) -> None:
    assert "Nothing waits for a decision." in make_client().get("/identity").text
