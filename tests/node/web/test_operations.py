"""Health, readiness and metrics."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from node.records.engine import Records
from node.web import metrics
from tests.node.web.conftest import Client
from tests.node.web.seed import SECRET_WORDS, Seeded


def samples(client: TestClient) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {
        (sample.name, *(sample.labels[key] for key in sorted(sample.labels))): sample.value
        for family in families
        for sample in family.samples
    }


def test_healthz_answers(client: TestClient) -> None:
    assert client.get("/healthz").text == "ok\n"


def test_readyz_is_ready_when_database_and_broker_are(make_client: Client) -> None:
    answer = make_client(broker_ready=lambda: True).get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "checks": {"database": "ok", "broker": "ok"}})


def test_readyz_leaves_out_a_broker_that_nobody_asks(make_client: Client) -> None:
    assert make_client().get("/readyz").json() == {"ready": True, "checks": {"database": "ok"}}


def test_readyz_names_a_broker_that_fails_or_raises(make_client: Client) -> None:
    def raises() -> bool:
        raise ConnectionError

    for broker in (lambda: False, raises):
        answer = make_client(broker_ready=broker).get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["checks"] == {"database": "ok", "broker": "failed"}


def test_readyz_names_a_database_that_fails(make_client: Client, records: Records) -> None:
    client = make_client(broker_ready=lambda: True)
    with records.write() as session:
        session.execute(text("ALTER TABLE studies RENAME TO elsewhere"))
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"] == {"database": "failed", "broker": "ok"}


def test_metrics_count_what_the_records_hold(client: TestClient) -> None:
    found = samples(client)
    assert found["overread_studies", "done"] == 1
    assert found["overread_studies", "analysing"] == 2
    assert found["overread_jobs", "hippocampus", "superseded"] == 1
    assert found["overread_deliveries", "pacs", "accepted"] == 1
    assert found["overread_deliveries", "archive", "failed"] == 0
    assert found["overread_oldest_undelivered_seconds", "pacs"] == pytest.approx(39 * 60, abs=60)
    assert found["overread_oldest_undelivered_seconds", "ris"] == 0
    assert found["overread_instances",] == 24
    assert found["overread_messages", "failed"] == 1
    assert found["overread_messages", "received"] == 0


def test_metrics_give_the_durations_of_finished_jobs(client: TestClient) -> None:
    found = samples(client)
    stage = "overread_job_stage_seconds"
    assert found[f"{stage}_count", "hippocampus", "work"] == 1
    assert found[f"{stage}_sum", "hippocampus", "work"] == pytest.approx(24, abs=0.5)
    assert found[f"{stage}_sum", "hippocampus", "queue"] == pytest.approx(6, abs=0.5)
    assert found[f"{stage}_bucket", "10.0", "hippocampus", "work"] == 0
    assert found[f"{stage}_bucket", "30.0", "hippocampus", "work"] == 1
    assert found[f"{stage}_bucket", "+Inf", "hippocampus", "work"] == 1


def test_metrics_hold_no_patient_data(client: TestClient, seeded: Seeded) -> None:
    body = client.get("/metrics").text
    assert "overread_studies" in body
    assert not [word for word in SECRET_WORDS if word.lower() in body.lower()]


def test_metrics_of_an_empty_store_are_valid(make_client: Client) -> None:
    assert samples(make_client())["overread_instances",] == 0


def test_label_values_are_bounded() -> None:
    labels = metrics._bounded(f"model-{index}" for index in range(1000))
    assert len(set(labels.values())) == metrics.MAX_LABELS + 1


def test_the_operations_page_lists_dead_letters_with_their_reason_and_study(client: TestClient, seeded: Seeded) -> None:
    page = client.get("/operations").text
    assert "Deliveries given up" in page
    assert "The other side refused it" in page
    assert f'href="/studies/{seeded.done}#results"' in page
