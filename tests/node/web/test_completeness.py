from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from node.records import evidence, expectations
from node.records.engine import Records
from node.records.schema import Expectation, Study
from node.records.states import StudyState
from tests import factories
from tests.node.web.conftest import Client


@pytest.fixture
def incomplete(records: Records) -> int:
    """Give a study of which one of three instances came; the node waits for the others."""
    with records.write() as session:
        reason = "incomplete: MPPS, 1 of 3 instances; no instance for 600 s"
        study = factories.study(session, state=StudyState.INCOMPLETE, reason=reason)
        names = [f"{study.uid}.1.{number}" for number in (1, 2, 3)]
        expectations.expect(session, study.uid, "mpps", "9.1", instances=names, final=True)
        evidence.fall_short(session, study, 1, 3)
        return study.id


@pytest.fixture
def client(make_client: Client) -> TestClient:
    return make_client()


def csrf_of(text: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', text)
    assert found
    return found.group(1)


def test_the_worklist_raises_the_alarm_and_says_why(client: TestClient, incomplete: int) -> None:
    shown = html.unescape(client.get("/").text)
    assert '<span class="state state-incomplete">incomplete</span>' in shown
    assert '<span class="alarm">1 of 3 instances</span>' in shown
    assert "MPPS, 1 of 3 instances; no instance for 600 s" in shown
    assert f'href="/studies/{incomplete}"' in client.post("/", data={"state": "attention"}).text
    assert f'href="/studies/{incomplete}"' in client.post("/", data={"state": "incomplete"}).text


def test_an_incomplete_study_that_was_analysed_keeps_its_alarm(
    client: TestClient, incomplete: int, records: Records
) -> None:
    with records.write() as session:
        session.get_one(Study, incomplete).state = StudyState.DONE
    assert '<span class="alarm">1 of 3 instances</span>' in client.post("/", data={"state": "attention"}).text
    page = client.get(f"/studies/{incomplete}").text
    assert '<span class="alarm">1 of 3 instances</span>' in page
    assert "Analyse what is here" not in page


def test_scripts_can_count_what_lacks(client: TestClient, incomplete: int) -> None:
    [row] = client.get("/api/worklist?state=attention").json()["studies"]
    assert (row["incomplete"]["received"], row["incomplete"]["expected"]) == (1, 3)
    study = client.get(f"/api/studies/{incomplete}").json()
    assert study["expected"] == ["MPPS, 1 of 3 instances"]
    assert study["incomplete"]["expected"] == 3
    metrics = client.get("/metrics").text
    assert "overread_incomplete_studies 1.0" in metrics
    assert 'overread_studies{state="incomplete"} 1.0' in metrics


def test_a_person_releases_it_from_its_page(client: TestClient, incomplete: int, records: Records) -> None:
    page = client.get(f"/studies/{incomplete}").text
    assert "MPPS, 1 of 3 instances" in page
    assert "Analyse what is here" in page
    answer = client.post(f"/studies/{incomplete}/process", data={"csrf": csrf_of(page)}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/studies/{incomplete}")
    with records.read() as session:
        assert {row.source for row in session.scalars(select(Expectation))} == {"mpps", "person"}


def test_with_scripts_only_the_part_comes_back(client: TestClient, incomplete: int) -> None:
    csrf = csrf_of(client.get(f"/studies/{incomplete}").text)
    answer = client.post(f"/studies/{incomplete}/process", data={"csrf": csrf}, headers={"hx-request": "true"})
    assert answer.status_code == 200
    assert answer.text.startswith('<section class="part" id="status"')


def test_nobody_releases_a_study_by_a_form_of_another_site(client: TestClient, incomplete: int) -> None:
    assert client.post(f"/studies/{incomplete}/process", data={"csrf": "x"}).status_code == 403


@pytest.mark.parametrize("key", ["77", "0", "-1", str(1 << 70)])
def test_an_unknown_study_cannot_be_released(client: TestClient, incomplete: int, key: str) -> None:
    csrf = csrf_of(client.get(f"/studies/{incomplete}").text)
    assert client.post(f"/studies/{key}/process", data={"csrf": csrf}).status_code == 404


def test_a_study_that_waits_for_nothing_cannot_be_released(
    client: TestClient, incomplete: int, records: Records
) -> None:
    csrf = csrf_of(client.get(f"/studies/{incomplete}").text)
    with records.write() as session:
        session.get_one(Study, incomplete).state = StudyState.DONE
    assert client.post(f"/studies/{incomplete}/process", data={"csrf": csrf}).status_code == 409


def test_a_study_that_just_arrives_offers_no_release(client: TestClient, records: Records, tmp_path: Path) -> None:
    with records.write() as session:
        key = factories.study(session).id
    assert "Analyse what is here" not in client.get(f"/studies/{key}").text
