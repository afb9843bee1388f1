"""The worklist, the study page, the operations page and the JSON interface over a seeded store."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from node.records import merges, patients, timeline
from node.records.engine import Records
from node.records.schema import Delivery, Note, Result, Study, now
from node.records.states import DeliveryState
from node.records.timeline import of_study
from tests.node.web.conftest import Client
from tests.node.web.seed import NOTE, SECRET_WORDS, Seeded

ROW = re.compile(r'id="study-(\d+)"')


def shown_order(text: str) -> list[int]:
    return [int(number) for number in ROW.findall(text)]


def csrf_of(text: str) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', text)
    assert found
    return found.group(1)


def test_the_worklist_is_ordered_by_priority_then_attention_then_arrival(client: TestClient, seeded: Seeded) -> None:
    text = client.get("/").text
    wanted = [seeded.stat, seeded.receiving, seeded.done, seeded.failed, seeded.analysing, seeded.unwanted]
    assert shown_order(text) == wanted


def test_the_worklist_shows_findings_in_short_and_where_deliveries_stand(client: TestClient) -> None:
    text = html.unescape(client.get("/").text)
    for part in ("left anterior 1.7 mL", "1 accepted", "1 retrying", "1 failed", "delivery failed", "王 小东"):
        assert part in text


def test_why_a_study_counts_as_whole_is_on_its_page_and_not_in_the_worklist(client: TestClient, seeded: Seeded) -> None:
    worklist = client.get("/").text
    assert "released and quiet for 3 s" not in worklist
    assert "the model ran out of memory" in worklist
    assert "<dt>Completeness</dt><dd>released and quiet for 3 s</dd>" in client.get(f"/studies/{seeded.done}").text


def test_a_study_that_later_images_opened_again_says_how_often(
    client: TestClient, seeded: Seeded, records: Records
) -> None:
    assert "Reopened by later images" not in client.get(f"/studies/{seeded.done}").text
    with records.write() as session:
        session.get_one(Study, seeded.done).generation = 3
    assert "<dt>Reopened by later images</dt><dd>2 times</dd>" in client.get(f"/studies/{seeded.done}").text


def test_no_address_on_any_page_holds_patient_data(client: TestClient, seeded: Seeded) -> None:
    for path in ("/", f"/studies/{seeded.done}", "/operations"):
        addresses = re.findall(r'(?:href|src|action|hx-get|hx-post|sse-connect)="([^"]*)"', client.get(path).text)
        assert addresses
        assert not [(word, one) for one in addresses for word in SECRET_WORDS if word in html.unescape(one)]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("zweifel", ["done"]),
        ("hildegard ZWEIFEL", ["done"]),
        ("A-1001", ["done"]),
        ("王", ["stat"]),
        ("hippo", ["analysing"]),
        ("%", []),
        ("_", []),
        ("nobody", []),
    ],
)
def test_the_filter_finds_names_numbers_and_studies(
    client: TestClient, seeded: Seeded, text: str, names: list[str]
) -> None:
    answer = client.post("/worklist/rows", data={"text": text, "days": "0"})
    assert shown_order(answer.text) == [getattr(seeded, name) for name in names]


def test_the_filter_by_state_and_by_attention(client: TestClient, seeded: Seeded) -> None:
    def rows(state: str) -> list[int]:
        return shown_order(client.post("/worklist/rows", data={"state": state}).text)

    assert rows("unwanted") == [seeded.unwanted]
    assert rows("attention") == [seeded.done, seeded.failed]
    assert rows("no such state") == rows("")


def test_old_studies_are_left_out_until_asked_for(client: TestClient, records: Records, seeded: Seeded) -> None:
    with records.write() as session:
        row = session.get_one(Study, seeded.stat)
        row.first_instance_at = row.first_instance_at.replace(year=2020)
    assert seeded.stat not in shown_order(client.get("/").text)
    assert seeded.stat in shown_order(client.post("/", data={"days": "0"}).text)


def test_a_table_that_the_page_has_already_is_not_sent_again(client: TestClient) -> None:
    first = client.post("/worklist/rows", data={})
    have = re.search(r'name="have" value="(\w+)"', first.text)
    assert have
    assert client.post("/worklist/rows", data={"have": have.group(1)}).status_code == 204
    assert client.post("/worklist/rows", data={"have": "0" * 16}).status_code == 200


def test_an_empty_store_has_a_worklist_and_an_operations_page(make_client: Client) -> None:
    client = make_client()
    assert "No study matches" in client.get("/").text
    text = client.get("/operations").text
    assert "No worker has registered a model yet" in text


def test_the_study_page_shows_everything_of_the_study(client: TestClient, seeded: Seeded) -> None:
    text = html.unescape(client.get(f"/studies/{seeded.done}").text)
    for part in (
        "Zweifel, Hildegard Maria (Dr)", "PID-778", "1954-03-12", "72 y",  # patient
        "MR brain without contrast", "rule out hippocampal atrophy", "PL-1",  # order
        "Anterior hippocampus", "1.72", "1.55 to 1.90 (95\u00a0%)", "left", "0.1.0", "The side was told",  # findings
        "Not a medical device", "/slices/0.png", "mm²",
        "Progress note", "Meier, Anna", "Vitamin B12", "LL",  # context
        "results/seg.dcm", "1.2.826.0.1.3680043.8.498.1", "0xA700", "Out of resources", "Send again",  # results
        "First instance from SCANNER1.", "delivery.failed",  # timeline
    ):  # fmt: skip
        assert part in text, part


def test_the_facts_of_a_note_are_marked_by_how_they_are_meant(client: TestClient, seeded: Seeded) -> None:
    text = client.get(f"/studies/{seeded.done}").text
    marks = re.findall(r'<mark class="fact (\w+)" title="[^"]*">([^<]*)</mark>', text)
    assert marks == [
        ("present", "memory loss"),
        ("negated", "headache"),
        ("uncertain", "Alzheimer disease"),
        ("historical", "hypertension"),
        ("negated", "diabetes"),
        ("negated", "stroke"),
        ("family", "dementia"),
    ]


def test_a_note_about_another_examination_is_shown_as_one_that_was_not_used(
    client: TestClient, seeded: Seeded, records: Records
) -> None:
    assert "about another examination" not in client.get(f"/studies/{seeded.done}").text
    with records.write() as session:
        session.scalars(select(Note)).first().accession_number = "A-77"  # type: ignore[union-attr]
    text = client.get(f"/studies/{seeded.done}").text
    assert "about another examination (A-77): not used in this assessment" in text


def test_a_note_is_shown_word_for_word(client: TestClient, seeded: Seeded) -> None:
    text = client.get(f"/studies/{seeded.done}").text
    shown = re.search(r'<div class="note-text" dir="auto">(.*?)</div>', text, re.DOTALL)
    assert shown
    assert html.unescape(re.sub(r"</?(?:mark|span)[^>]*>", "", shown.group(1))) == NOTE


def test_hostile_text_is_never_markup(client: TestClient, seeded: Seeded, records: Records) -> None:
    with records.write() as session:
        note = session.query(Note).one()
        note.document_type, note.author = '"><script>1</script>', "'><svg onload=1>"
        note.facts[0].code_meaning = '" onmouseover="alert(1)'
        session.get_one(Study, seeded.done).description = "<iframe src=//evil>"
    pages = ["/", "/operations", f"/studies/{seeded.done}", f"/studies/{seeded.receiving}"]
    pages.append(f"/studies/{seeded.done}/results/{seeded.oru}/message")
    for path in pages:
        parsed = _Tags()
        parsed.feed(client.get(path).text)
        assert parsed.names
        assert not parsed.names & {"iframe", "object", "embed", "base", "b"} - (
            {"b"} if path.endswith("message") else set()
        )
        assert not [name for name in parsed.attributes if name.startswith("on")]
        assert all(source.startswith("/static/") for source in parsed.scripts)
        assert len(parsed.scripts) == parsed.script_tags


class _Tags(HTMLParser):
    """What a browser would see as elements."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.scripts: list[str] = []
        self.script_tags = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.script_tags += tag == "script"
        self.scripts += [value or "" for name, value in attrs if name == "src" and tag in ("script", "img")]
        if tag == "img":
            assert not self.scripts.pop().startswith(("x", "//", "http"))


def test_no_page_needs_inline_scripts_or_styles(client: TestClient, seeded: Seeded) -> None:
    for path in ("/", "/operations", f"/studies/{seeded.done}"):
        answer = client.get(path)
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert not re.search(r"\sstyle=|<style|\son\w+=|hx-on|javascript:", answer.text)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "path",
    [
        "/studies/999", "/studies/0", "/studies/-1", "/studies/99999999999999999999", "/studies/1/parts/nothing",
        "/studies/999/parts/status", "/studies/1/results/999/message", "/studies/1/results/1/message", "/nothing",
        "/studies/2/results/3/message", "/api/studies/999", "/api/studies/999/timeline",
    ],
)  # fmt: skip
def test_what_is_not_there_is_a_404(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_a_study_address_that_is_no_number_is_refused(client: TestClient) -> None:
    assert client.get("/studies/abc").status_code == 422


def test_a_part_that_did_not_change_is_not_sent_again(client: TestClient, seeded: Seeded, records: Records) -> None:
    url = f"/studies/{seeded.done}/parts/timeline"
    digest = re.search(r'"X-Part-Digest": "(\w+)"', client.get(url).text)
    assert digest
    headers = {"X-Part-Digest": digest.group(1)}
    assert client.get(url, headers=headers).status_code == 204
    with records.write() as session:
        timeline.add(session, "job.done", "One more.", study=seeded.done)
    again = client.get(url, headers=headers)
    assert again.status_code == 200
    assert "One more." in again.text


def test_the_message_that_went_out_is_shown_a_segment_a_line(client: TestClient, seeded: Seeded) -> None:
    text = client.get(f"/studies/{seeded.done}/results/{seeded.oru}/message").text
    assert len(re.findall(r"<li><code><b>(MSH|PID|OBR|OBX)</b>", text)) == 4


def test_a_result_path_that_leads_out_of_the_root_is_not_followed(
    client: TestClient, seeded: Seeded, records: Records, tmp_path: Path
) -> None:
    outside = tmp_path.parent / "outside.hl7"
    outside.write_text("MSH|secret")
    with records.write() as session:
        session.get_one(Result, seeded.oru).path = "../outside.hl7"
    answer = client.get(f"/studies/{seeded.done}/results/{seeded.oru}/message")
    assert answer.status_code == 404
    assert "secret" not in answer.text


def test_a_given_up_delivery_is_queued_again_and_the_timeline_says_so(
    client: TestClient, seeded: Seeded, records: Records
) -> None:
    csrf = csrf_of(client.get(f"/studies/{seeded.done}").text)
    url = f"/studies/{seeded.done}/deliveries/{seeded.failed_delivery}/again"
    answer = client.post(url, data={"csrf": csrf})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/studies/{seeded.done}#results")
    with records.read() as session:
        assert session.get_one(Delivery, seeded.failed_delivery).state is DeliveryState.QUEUED
        assert of_study(session, seeded.done)[-1].kind == "delivery.queued"
    assert client.post(url, data={"csrf": csrf}).status_code == 409


def test_a_delivery_that_waits_for_another_try_has_a_button_that_sends_it_now(
    client: TestClient, seeded: Seeded, records: Records
) -> None:
    with records.read() as session:
        row = session.scalars(select(Delivery).where(Delivery.state == DeliveryState.RETRYING)).first()
        assert row is not None
    page = client.get(f"/studies/{seeded.done}").text
    assert "Out of resources" in page
    url = f"/studies/{seeded.done}/deliveries/{row.id}/again"
    assert f'action="{url}"' in page
    client.post(url, data={"csrf": csrf_of(page)})
    with records.read() as session:
        assert session.get_one(Delivery, row.id).state is DeliveryState.QUEUED


@pytest.mark.parametrize("csrf", ["", "0" * 64, "ü"])
def test_sending_again_needs_the_token_of_the_session(
    client: TestClient, seeded: Seeded, records: Records, csrf: str
) -> None:
    client.get(f"/studies/{seeded.done}")
    url = f"/studies/{seeded.done}/deliveries/{seeded.failed_delivery}/again"
    assert client.post(url, data={"csrf": csrf}).status_code == 403
    with records.read() as session:
        assert session.get_one(Delivery, seeded.failed_delivery).state is DeliveryState.FAILED


def test_a_token_of_another_session_does_not_work(make_client: Client, seeded: Seeded) -> None:
    one, other = make_client(), make_client()
    csrf = csrf_of(one.get(f"/studies/{seeded.done}").text)
    other.get("/")
    url = f"/studies/{seeded.done}/deliveries/{seeded.failed_delivery}/again"
    assert other.post(url, data={"csrf": csrf}).status_code == 403


def test_a_delivery_is_sent_again_only_under_its_own_study(client: TestClient, seeded: Seeded) -> None:
    csrf = csrf_of(client.get(f"/studies/{seeded.done}").text)
    url = f"/studies/{seeded.stat}/deliveries/{seeded.failed_delivery}/again"
    assert client.post(url, data={"csrf": csrf}).status_code == 404


def test_the_operations_page_shows_what_the_node_is_doing(client: TestClient) -> None:
    text = html.unescape(client.get("/operations").text)
    for part in (
        "archive",
        "pacs",
        "ris",
        "Hippocampus, anterior",
        "Adults only.",
        "process.restarted",
        "MSH-12 names",
    ):
        assert part in text
    assert "MSH|broken" not in text
    assert not [word for word in SECRET_WORDS if word in text]


def test_what_failed_stands_above_the_models_whose_limits_are_folded(client: TestClient) -> None:
    text = client.get("/operations").text
    assert text.index("Messages that failed") < text.index("<h2>Models</h2>")
    # htmx looks for what it is to preserve by "#" and the id, where a dot would begin a class.
    folded = re.search(r"<details id=\"limits-[\w-]+\" hx-preserve=\"true\">(.*?)</details>", text, re.S)
    assert folded
    assert "Adults only." in folded.group(1)


def test_scripts_get_the_same_as_json(client: TestClient, seeded: Seeded) -> None:
    worklist: dict[str, Any] = client.get("/api/worklist").json()
    assert [row["id"] for row in worklist["studies"]] == shown_order(client.get("/").text)
    study = client.get(f"/api/studies/{seeded.done}").json()
    assert study["patient"]["name"] == "Zweifel^Hildegard^Maria^Dr"
    assert study["jobs"][0]["findings"][0]["measurements"][0]["value"] == 1.7234
    assert {result["kind"] for result in study["jobs"][0]["results"]} == {"seg", "sr", "oru"}
    events = client.get(f"/api/studies/{seeded.done}/timeline").json()["events"]
    assert [event["kind"] for event in events][:2] == ["study.received", "study.complete"]
    assert client.get("/api/studies/999").json() == {"detail": "There is no such study."}


def test_after_a_merge_pages_and_interface_name_the_survivor(
    client: TestClient, seeded: Seeded, records: Records
) -> None:
    with records.write() as session:
        study = session.get_one(Study, seeded.done)
        new = patients.upsert(session, patient_id="PID-1234", issuer="HOSP", name="Neumann^Hildegard", origin="hl7")
        merges.merge(session, new, study.patient, stated_at=now())
    for word in ("PID-1234", "neumann", "PID-778", "zweifel"):
        rows = client.post("/worklist/rows", data={"text": word}).text
        assert shown_order(rows) == [seeded.done]
        assert "PID-1234" in rows
        assert "PID-778" not in rows
    page = client.get(f"/studies/{seeded.done}").text
    assert "<bdi>PID-1234</bdi>" in page
    assert "also <bdi>PID-778</bdi>" in page
    [listed] = [one for one in client.get("/api/worklist").json()["studies"] if one["id"] == seeded.done]
    shown = client.get(f"/api/studies/{seeded.done}").json()
    for one in (listed, shown):
        assert (one["patient"]["patient_id"], one["patient"]["also"]) == ("PID-1234", ["PID-778"])
