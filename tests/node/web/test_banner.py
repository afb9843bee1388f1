"""Alerts that nobody acknowledged: on every page, until their destination has them."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from node.clock import now
from node.records import merges, patients
from node.records.engine import Records
from node.records.schema import Delivery, IdentityConflict, Study
from node.records.states import DeliveryState
from node.settings import NodeSection, Settings
from node.web import metrics
from node.web.banner import Banner
from tests.node.web.conftest import Client
from tests.node.web.seed import SECRET_WORDS, Seeded
from tests.node.web.seed_record import Recorded

SAID = "1 critical finding is not acknowledged."


def change(records: Records, recorded: Recorded, **columns: object) -> None:
    with records.write() as session:
        row = session.query(Delivery).filter_by(result_fk=recorded.alert).one()
        for name, value in columns.items():
            setattr(row, name, value)


def test_every_page_says_which_alert_is_not_acknowledged(
    client: TestClient, seeded: Seeded, recorded: Recorded
) -> None:
    for path in ("/", "/identity", "/messages", "/messages/1", "/messages/1/content", "/studies/2", "/nothing"):
        page = client.get(path).text
        assert SAID in page, path
        banner = re.search(r'<div class="banner late" role="alert">(.*?)</div>', page, re.DOTALL)
        assert banner is not None
        assert f'href="/studies/{seeded.done}"' in banner[1]
        assert "ris has not acknowledged" in banner[1]


def test_an_alert_that_is_acknowledged_is_no_alarm(client: TestClient, recorded: Recorded, records: Records) -> None:
    change(records, recorded, state=DeliveryState.ACCEPTED)
    assert SAID not in client.get("/").text
    assert SAID not in client.get("/alerts/part").text


def test_the_banner_alone_is_sent_only_if_it_changed(client: TestClient, recorded: Recorded, records: Records) -> None:
    first = client.get("/alerts/part")
    digest = re.search(r'"X-Part-Digest": "(\w+)"', first.text)
    assert digest
    headers = {"X-Part-Digest": digest.group(1)}
    assert client.get("/alerts/part", headers=headers).status_code == 204
    change(records, recorded, state=DeliveryState.FAILED)
    assert "was given up" in client.get("/alerts/part", headers=headers).text


def test_before_the_login_nobody_learns_of_a_patient(make_client: Client, recorded: Recorded) -> None:
    client = make_client(address=("10.1.2.3", 1), host="0.0.0.0", user="reader", password="right horse")
    page = client.get("/login").text
    assert "banner" not in page
    assert not [word for word in SECRET_WORDS if word in page]
    assert client.get("/alerts/part").status_code == 303


@pytest.mark.parametrize(
    ("state", "age", "late"),
    [
        (DeliveryState.QUEUED, 10, False),
        (DeliveryState.QUEUED, 100, True),
        (DeliveryState.FAILED, 10, True),
    ],
)
def test_an_alert_is_late_after_the_time_that_its_destination_is_given(
    records: Records, recorded: Recorded, tmp_path: Path, state: DeliveryState, age: int, late: bool
) -> None:
    ris = {"name": "ris", "kind": "mllp", "host": "127.0.0.1", "port": 2576, "send": ["alert"], "alert_seconds": 60}
    given = Settings.model_validate({"node": NodeSection(root=tmp_path), "destinations": [ris]})
    change(records, recorded, state=state, created_at=now() - dt.timedelta(seconds=age))
    alarms = Banner(given, records).alarms()
    assert alarms is not None
    assert [alarm.late for alarm in alarms] == [late]


def test_alerts_that_cannot_be_read_do_not_look_like_none(
    make_client: Client, recorded: Recorded, records: Records
) -> None:
    client = make_client()
    with records.write() as session:
        session.execute(text("ALTER TABLE deliveries RENAME TO elsewhere"))
    page = client.get("/nothing")
    assert page.status_code == 404
    assert "cannot be read now" in page.text


def test_metrics_count_alerts_and_doubts(settings: Settings, records: Records, recorded: Recorded) -> None:
    found = metrics.registry(records, ())
    assert found.get_sample_value("overread_unacknowledged_alerts") == 1
    assert found.get_sample_value("overread_open_identity_conflicts") == 1
    with records.write() as session:
        session.query(IdentityConflict).update({"resolution": "same_person"})
    assert found.get_sample_value("overread_open_identity_conflicts") == 0


def test_the_banner_names_the_patient_as_whom_it_is_known_after_a_merge(
    client: TestClient, seeded: Seeded, recorded: Recorded, records: Records
) -> None:
    with records.write() as session:
        old = session.get_one(Study, seeded.done).patient
        new = patients.upsert(session, patient_id="PID-1234", issuer="HOSP", name="Neumann^Hilde", origin="hl7")
        merges.merge(session, new, old, stated_at=now())
        session.query(IdentityConflict).filter_by(study_fk=seeded.done).delete()
    said = client.get("/alerts/part").text
    assert "Neumann" in said
    assert "Zweifel" not in said
