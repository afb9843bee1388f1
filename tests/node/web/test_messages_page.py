"""HL7 messages: the list, one message, its content behind a click, and taking it over again."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from node.clock import now
from node.hl7 import processing
from node.hl7.inbox import FILE, Arrival, Inbox
from node.records import message_views
from node.records.engine import Records
from node.records.schema import Message, Observation
from node.records.states import MessageState
from node.settings import Hl7Section
from node.web.hl7_content import MAX_CHARACTERS, MAX_SEGMENTS, content, field_names
from node.web.text import duration
from tests.node.web.conftest import Client
from tests.node.web.seed import Seeded
from tests.node.web.seed_record import MESSAGE, Recorded
from tests.node.web.test_pages import csrf_of

SHOWN = re.compile(r'href="/messages/(\d+)"')


def numbers(client: TestClient, query: str = "") -> list[int]:
    return [int(one) for one in SHOWN.findall(client.get(f"/messages{query}").text)]


def test_the_list_shows_state_type_sender_and_reason_newest_first(client: TestClient, recorded: Recorded) -> None:
    page = client.get("/messages").text
    assert numbers(client) == [recorded.processed, recorded.failed, 1]
    for words in ("ORU^R01", "LAB|HOSP", "no order has the number", "MSH-12 names a version", "median 0.5 s"):
        assert words in page
    assert "Zweifel" not in re.sub(r'<section class="part" id="banner".*?</section>', "", page, flags=re.DOTALL)


def test_the_list_is_filtered_by_state(client: TestClient, recorded: Recorded) -> None:
    assert numbers(client, "?state=failed") == [recorded.failed, 1]
    assert numbers(client, "?state=processed") == [recorded.processed]
    assert numbers(client, "?state=received") == []
    assert numbers(client, "?state=nonsense") == numbers(client)


def test_a_long_list_goes_on_on_another_page(
    client: TestClient, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_views, "PAGE", 2)
    assert numbers(client) == [recorded.processed, recorded.failed]
    assert f'href="/messages?before={recorded.failed}"' in client.get("/messages").text
    assert numbers(client, f"?before={recorded.failed}") == [1]


def test_messages_that_wait_for_the_records_are_counted(client: TestClient, seeded: Seeded, tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / FILE)
    inbox.keep([Arrival(b"MSH", now()), Arrival(b"MSH", now())])
    inbox.close()
    for path in ("/messages", "/operations"):
        text = re.sub(r"<[^>]*>", "", client.get(path).text)
        assert re.search(r"not yet in the records:?\s*2", text), path


def test_a_message_is_shown_without_its_content(client: TestClient, recorded: Recorded) -> None:
    page = client.get(f"/messages/{recorded.failed}").text
    for words in ("no order has the number", "C-0", "10.0.0.7", "CA", "message.failed", f"{len(MESSAGE)} bytes"):
        assert words in page
    assert "19540312" not in page
    assert f'href="/messages/{recorded.failed}/content"' in page


def test_its_content_is_shown_field_by_field_with_their_names(client: TestClient, recorded: Recorded) -> None:
    page = html.unescape(re.sub(r"<[^>]*>", " ", client.get(f"/messages/{recorded.failed}/content").text))
    text = " ".join(page.split())
    for words in (
        "PID-3 Patient identifier list PID-778^^^HOSP X^^^Y", "PID-5 Patient name Zweifel^Hildegard<script>",
        "MSH-18 Character set UNICODE UTF-8", "OBX-5 Observation value 142", "ZZZ-1 — 1",
        "MSH-2 Encoding characters ^~",
    ):  # fmt: skip
        assert words in text, words


def test_a_message_that_cannot_be_read_is_shown_line_by_line(client: TestClient, recorded: Recorded) -> None:
    page = client.get("/messages/1/content").text
    assert "cannot be read" in page
    assert "MSH|broken" in page


def test_taking_a_message_over_again_is_done_and_told(client: TestClient, recorded: Recorded, records: Records) -> None:
    page = client.get(f"/messages/{recorded.failed}").text
    answer = client.post(f"/messages/{recorded.failed}/replay", data={"csrf": csrf_of(page)})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/messages/{recorded.failed}")
    with records.read() as session:
        assert session.get_one(Message, recorded.failed).state is MessageState.PROCESSED
        assert session.scalars(select(Observation).where(Observation.message_fk == recorded.failed)).first() is not None
    after = client.get(f"/messages/{recorded.failed}").text
    assert "message.processed" in after
    assert "Process again" not in after
    assert client.post(f"/messages/{recorded.failed}/replay", data={"csrf": csrf_of(page)}).status_code == 409


def test_a_message_that_fails_again_says_why(client: TestClient, recorded: Recorded) -> None:
    csrf = csrf_of(client.get("/messages/1").text)
    assert client.post("/messages/1/replay", data={"csrf": csrf}).status_code == 303
    page = client.get("/messages/1").text
    assert "MSH-1 and MSH-2 must be a separator" in page
    assert "Process again" in page


def test_records_that_are_busy_are_told_and_nothing_is_lost(
    client: TestClient, recorded: Recorded, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object) -> None:
        raise OperationalError("x", {}, Exception("locked"))

    csrf = csrf_of(client.get("/messages/1").text)
    monkeypatch.setattr(processing, "replay", busy)
    assert client.post("/messages/1/replay", data={"csrf": csrf}).status_code == 503


def test_taking_over_again_needs_the_token_of_the_session(
    client: TestClient, recorded: Recorded, records: Records
) -> None:
    client.get("/messages")
    for csrf in ("", "0" * 64):
        assert client.post(f"/messages/{recorded.failed}/replay", data={"csrf": csrf}).status_code == 403
    with records.read() as session:
        assert session.get_one(Message, recorded.failed).state is MessageState.FAILED


def test_what_is_not_there_is_a_404(client: TestClient, recorded: Recorded) -> None:
    csrf = csrf_of(client.get("/messages/1").text)
    for number in (999, 0, 1 << 60):
        assert client.get(f"/messages/{number}").status_code == 404
        assert client.get(f"/messages/{number}/content").status_code == 404
        assert client.post(f"/messages/{number}/replay", data={"csrf": csrf}).status_code == 404
    assert client.get("/messages/abc").status_code == 422
    assert client.get("/messages?before=0").status_code == 422


def test_a_list_that_the_page_has_already_is_not_sent_again(client: TestClient, recorded: Recorded) -> None:
    first = client.get("/messages/part?state=failed")
    digest = re.search(r'"X-Part-Digest": "(\w+)"', first.text)
    assert digest
    assert 'hx-get="/messages/part?state=failed"' in first.text
    again = client.get("/messages/part?state=failed", headers={"X-Part-Digest": digest.group(1)})
    assert again.status_code == 204


def test_scripts_get_the_list_as_json(client: TestClient, recorded: Recorded) -> None:
    rows = client.get("/api/messages", params={"state": "failed"}).json()["messages"]
    assert [row["id"] for row in rows] == [recorded.failed, 1]
    assert "raw" not in rows[0]
    assert rows[0]["reason"] == "no order has the number"


def test_an_empty_node_has_a_list(make_client: Client) -> None:
    assert "None." in make_client().get("/messages").text


def test_names_of_fields_are_those_of_the_standard() -> None:
    assert field_names("PID")[3] == "Patient identifier list"
    assert field_names("PID")[1] == "Set ID"
    assert field_names("TXA")[12] == "Unique document number"
    assert field_names("MRG")[1] == "Prior patient identifier list"
    assert field_names("ZXT") == {}
    assert field_names("<b>") == {}


def test_long_fields_and_long_messages_are_cut() -> None:
    raw = b"MSH|^~\\&|A|B|C|D|20260101||MDM^T02|1|P|2.5\r" + b"OBX|1|ED|||" + b"A" * 9000 + b"\r"
    (field,) = [one for one in content(raw, Hl7Section()).segments[1].fields if one.number == "OBX-5"]
    assert (len(field.values[0]), field.left_out) == (MAX_CHARACTERS, 9000 - MAX_CHARACTERS)
    many = content(raw + b"NTE|1||x\r" * 600, Hl7Section())
    assert (len(many.segments), many.left_out) == (MAX_SEGMENTS, 602 - MAX_SEGMENTS)


@settings(max_examples=60, deadline=None)
@given(
    st.binary(max_size=200) | st.binary(max_size=100).map(lambda tail: b"MSH|^~\\&|A|B|C|D|2||ADT^A08|1|P|2.5" + tail)
)
def test_whatever_came_in_can_be_shown(raw: bytes) -> None:
    shown = content(raw, Hl7Section())
    assert bool(shown.problem) != bool(shown.segments)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0421, "0.042 s"), (12, "12 s"), (300, "5 min"), (10800, "3 h"), (4 * 86400, "4 d")]
)
def test_time_spans_are_said_in_the_unit_that_tells_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text
