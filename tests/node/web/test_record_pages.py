"""What the pages show of the record beside the images: the assessment with its evidence, values over time, results."""

from __future__ import annotations

import html
import re

from fastapi.testclient import TestClient
from sqlalchemy import inspect

from node.records.engine import Records
from node.records.schema import Fact, Job, Merge, Note, Observation, Patient, Study
from tests.node.web.seed import NOTE, SECRET_WORDS, Seeded
from tests.node.web.seed_record import CHINESE, Recorded
from tests.node.web.tags import Tags
from tests.node.web.test_pages import shown_order


def part(client: TestClient, study: int, name: str) -> str:
    return client.get(f"/studies/{study}/parts/{name}").text


def plain(markup: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", markup)).split())


def test_the_assessment_shows_everything_that_it_holds(client: TestClient, seeded: Seeded, recorded: Recorded) -> None:
    text = plain(part(client, seeded.done, "assessment"))
    for words in (
        "Priority STAT: anticoagulated.", "STAT critical finding", "clinical convention",  # summary, triage
        "supports it", "makes it more urgent", "speaks against it", "may explain it otherwise", "0.80",  # links
        "Memory complaints go with a small hippocampus.", "characters 62 to 73 of this note", "I10C R41.3",
        "142 pg/mL, flag LL, reference 200-900",
        "Hippocampal volume against age norms 7 % below the 10th percentile",  # scores
        "Missing: intracranial volume, years of education", "intracranial volume 1500 mL assumed",
        "Nobis et al.", "Norms of another segmentation protocol.", "3 to 18", "low to normal",
        "CHA2DS2-VASc no value", "It cannot be computed",
        "A note says left, the images say right.",  # conflicts
        "Neuropsychological examination", "no earlier CT", "fusion 1, graph 2026.1",
        "AL1", "ris", "retrying",  # alerts
    ):  # fmt: skip
        assert words in text, words


def test_the_summary_stands_before_everything_else(client: TestClient, seeded: Seeded, recorded: Recorded) -> None:
    page = client.get(f"/studies/{seeded.done}").text
    wanted = [
        'aria-label="Summary"',
        'class="verdict',
        "Does not fit together",
        "What the models report",
        "Results and",
    ]
    places = [page.index(words) for words in wanted]
    assert places == sorted(places)


def test_evidence_is_ranked_by_weight_within_what_it_says(
    client: TestClient, seeded: Seeded, recorded: Recorded
) -> None:
    text = part(client, seeded.done, "assessment")
    weights = re.findall(r'class="fill" width="(\d+)"', text)
    assert weights == ["60", "80", "30", "45", "30", "40"]


def test_image_findings_and_statements_of_the_record_are_told_apart(
    client: TestClient, seeded: Seeded, recorded: Recorded
) -> None:
    text = part(client, seeded.done, "assessment")
    heads = re.findall(r"<h3><span class=\"source source-(\w+)\">", text)
    assert heads == ["image", "image"]
    tables = re.findall(r'<table class="links">.*?</table>', text, re.DOTALL)
    assert len(tables) == 2
    assert not [table for table in tables if "source-image" in table]


def test_evidence_of_a_note_leads_to_its_words(client: TestClient, seeded: Seeded, recorded: Recorded) -> None:
    page = client.get(f"/studies/{seeded.done}").text
    start = CHINESE.index("华法林")
    anchor = f"note-{recorded.chinese}-{start}-{start + 3}"
    assert f'href="#{anchor}" lang="zh"' in page
    found = re.search(rf'<span class="at" id="{anchor}"><mark class="fact present"[^>]*>([^<]*)</mark></span>', page)
    assert found is not None
    assert found[1] == "华法林"
    assert f"characters {start} to {start + 3} of this note" in page


def test_evidence_of_the_laboratory_and_of_earlier_studies_leads_there(
    client: TestClient, seeded: Seeded, recorded: Recorded
) -> None:
    page = client.get(f"/studies/{seeded.done}").text
    tags = Tags(page)
    assert f"#lab-{recorded.value}" in tags.links
    assert f"lab-{recorded.value}" in tags.ids
    assert f"/studies/{seeded.analysing}" in tags.links
    assert "#order" in tags.links


def test_every_place_on_a_page_has_one_name_and_every_link_within_it_a_place(
    client: TestClient, seeded: Seeded, recorded: Recorded
) -> None:
    tags = Tags(client.get(f"/studies/{seeded.done}").text)
    assert len(tags.ids) == len(set(tags.ids))
    within = {link[1:] for link in tags.links if link.startswith("#") and link != "#main"}
    assert len(within) >= 4
    assert within <= set(tags.ids)


def test_values_that_the_assessment_used_are_drawn_over_time_with_their_range(
    client: TestClient, seeded: Seeded, recorded: Recorded
) -> None:
    text = part(client, seeded.done, "labs")
    assert text.count('<figure class="course">') == 1
    assert "142 to 310 pg/mL" in plain(text)
    line = re.search(r'<polyline class="line" points="([^"]*)"', text)
    assert line is not None
    xs = [float(point.split(",")[0]) for point in line[1].split()]
    ys = [float(point.split(",")[1]) for point in line[1].split()]
    assert xs == sorted(xs)
    assert ys == sorted(ys)  # the values fall, and y grows downwards
    assert text.count('<circle class="outside"') == 2
    assert text.count('<circle class="inside"') == 2
    assert '<rect class="band"' in text
    assert "Withdrawn value" not in text
    assert re.search(rf'id="lab-{recorded.value}">.*?used', text, re.DOTALL)


def test_results_are_folded_by_kind_and_open_where_something_was_not_taken(
    client: TestClient, seeded: Seeded, recorded: Recorded
) -> None:
    text = part(client, seeded.done, "results")
    folds = re.findall(r'<details class="shelf"( open)?>\s*<summary><strong>([^<]*)</strong>', text)
    assert folds == [
        (" open", "Alerts on critical findings (HL7)"),
        (" open", "Result messages (HL7 ORU)"),
        (" open", "Structured reports (SR)"),
        ("", "Segmentations (SEG)"),
    ]


def test_an_alert_can_be_read_segment_by_segment(client: TestClient, seeded: Seeded, recorded: Recorded) -> None:
    assert f"/studies/{seeded.done}/results/{recorded.alert}/message" in part(client, seeded.done, "assessment")
    text = client.get(f"/studies/{seeded.done}/results/{recorded.alert}/message").text
    assert len(re.findall(r"<li><code><b>(MSH|PID|OBR|OBX|ZZZ)</b>", text)) == 5


def test_a_withdrawn_note_is_marked_as_such(client: TestClient, seeded: Seeded, recorded: Recorded) -> None:
    text = part(client, seeded.done, "notes")
    found = re.search(r'<article class="note superseded"[^>]*>(.*?)</article>', text, re.DOTALL)
    assert found is not None
    assert "withdrawn" in plain(found[1])
    assert "cancelled by its author" in plain(found[1])


def test_chinese_words_carry_their_language(client: TestClient, seeded: Seeded, recorded: Recorded) -> None:
    text = part(client, seeded.done, "notes")
    assert '<div class="note-text" dir="auto" lang="zh">' in text
    assert '<span lang="zh">门诊病历</span>' in text
    assert '<bdi lang="zh">王医生</bdi>' in text
    assert '<td lang="zh">华法林</td>' in text
    assert "2.5 mg" in plain(text)
    assert Tags(client.get(f"/studies/{seeded.done}").text).languages == {"en", "zh"}


def test_notes_under_a_merged_number_are_the_persons_too(
    client: TestClient, seeded: Seeded, recorded: Recorded, records: Records
) -> None:
    with records.write() as session:
        study = session.get_one(Study, seeded.done)
        other = Patient(patient_id="TEMP-1", issuer="HOSP", survivor_fk=study.patient_fk)
        session.add(other)
        session.flush()
        session.add(Merge(prior_fk=other.id, survivor_fk=study.patient_fk))
        session.add(Note(patient_fk=other.id, document_number="DOC-T", document_type="Temporary", text="x"))
        session.add(Observation(patient_fk=other.id, code="9", name="Under the other number", value="1"))
    assert "Temporary" in part(client, seeded.done, "notes")
    assert "Under the other number" in part(client, seeded.done, "labs")


def test_nothing_that_came_in_is_markup(client: TestClient, seeded: Seeded, recorded: Recorded) -> None:
    paths = [f"/studies/{seeded.done}", f"/studies/{seeded.stat}", "/", "/identity", "/messages", "/operations"]
    paths += [f"/messages/{recorded.failed}", f"/messages/{recorded.failed}/content"]
    for path in paths:
        tags = Tags(client.get(path).text)
        images = path == f"/studies/{seeded.done}"  # its key slices are images of ours
        assert [name for name in tags.hostile if not (images and name == "img")] == [], path
        assert tags.unnamed_fields == 0, path
    page = client.get(f"/studies/{seeded.done}").text
    assert "&lt;svg onload=alert(1)&gt;" in page
    assert "<svg onload" not in page


def test_no_address_of_the_new_pages_holds_patient_data(client: TestClient, seeded: Seeded, recorded: Recorded) -> None:
    paths = [f"/studies/{seeded.done}", "/identity", "/messages", f"/messages/{recorded.failed}", "/"]
    words = (*SECRET_WORDS, "DOC-5", "文-9", "F-3", "memory", "华法林")
    for path in paths:
        links = Tags(client.get(path).text).links
        assert links
        assert not [(word, link) for link in links for word in words if word in html.unescape(link)], path


def test_the_new_pages_need_no_inline_scripts_or_styles(client: TestClient, seeded: Seeded, recorded: Recorded) -> None:
    for path in (f"/studies/{seeded.done}", "/identity", "/messages", f"/messages/{recorded.failed}/content"):
        answer = client.get(path)
        tags = Tags(answer.text)
        assert not tags.attributes & {"style", "hx-on", "srcdoc"}, path
        assert not [link for link in tags.links if ":" in link or link.startswith("//")], path
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"


ODD: list[dict[str, object]] = [
    {},
    {"links": [{"finding": 0, "relation": "supports", "weight": "NaN", "evidence": None}], "scores": [None, 3]},
    {"summary": "no list", "triage": [], "scores": [{"value": True, "sensitivity": [{"low": 1, "high": None}]}]},
    {"links": 7, "conflicts": {"text": "x"}, "missing": [1, ["x"]], "versions": "1", "follow_up": None},
    {"links": [{"finding": 10**400, "evidence": {"reference": ":9-1", "source": "note", "at": "0001-01-01"}}]},
    {"links": [{"finding": 1, "relation": "supports", "weight": 10**400}], "scores": [{"value": 10**400}]},
]
"""Assessments of another form than ours."""


def test_a_stored_assessment_of_another_form_breaks_no_page(
    client: TestClient, seeded: Seeded, recorded: Recorded, records: Records
) -> None:
    for assessment in ODD:
        with records.write() as session:
            session.get_one(Job, seeded.job).assessment = assessment
        assert client.get(f"/studies/{seeded.done}").status_code == 200


def test_a_study_without_an_assessment_says_so(client: TestClient, seeded: Seeded) -> None:
    assert "No report of this study has an assessment." in part(client, seeded.done, "assessment")
    assert "None yet" in part(client, seeded.analysing, "assessment")


def test_the_worklist_puts_critical_findings_first_and_says_why(
    client: TestClient, seeded: Seeded, recorded: Recorded
) -> None:
    page = client.get("/").text
    assert shown_order(page)[:2] == [seeded.done, seeded.stat]
    row = re.search(r'<tr class="priority-stat.*?</tr>', page, re.DOTALL)
    assert row is not None
    assert '<span class="alarm">critical</span>' in row[0]
    assert "Anticoagulated with a small hippocampus" in row[0]
    assert "[source]" not in row[0]
    assert page.count("identity in question</span>") == 1


def test_the_worklist_is_filtered_by_critical_findings_and_by_identity(
    client: TestClient, seeded: Seeded, recorded: Recorded
) -> None:
    def rows(state: str) -> list[int]:
        return shown_order(client.post("/worklist/rows", data={"state": state}).text)

    assert rows("critical") == [seeded.done]
    assert rows("identity") == [seeded.stat]


def test_scripts_get_assessment_and_doubt_as_json(client: TestClient, seeded: Seeded, recorded: Recorded) -> None:
    study = client.get(f"/api/studies/{seeded.done}").json()
    assert study["triage"]["critical"] is True
    assert study["jobs"][0]["assessment"]["scores"][0]["name"] == "hippocampal-volume"
    assert study["identity"] is None
    assert client.get(f"/api/studies/{seeded.stat}").json()["identity"]["attributes"] == ["birth date", "sex"]
    rows = {row["id"]: row["doubt"] for row in client.get("/api/worklist").json()["studies"]}
    assert rows[seeded.stat] == "identity in question"
    assert rows[seeded.done] == ""


def test_a_note_with_facts_that_overlap_is_still_shown_word_for_word(
    client: TestClient, seeded: Seeded, recorded: Recorded, records: Records
) -> None:
    with records.write() as session:
        note = session.query(Note).filter_by(document_number="DOC-5").one()
        first = note.facts[0]
        for start, end in ((first.start, first.end + 5), (first.start + 3, first.end + 9), (first.start, first.end)):
            copied = {name: getattr(first, name) for name in inspect(Fact).attrs.keys() if name not in ("id", "note")}  # noqa: SIM118
            session.add(Fact(**copied | {"start": start, "end": end}))
    text = part(client, seeded.done, "notes")
    shown = re.search(r'<div class="note-text" dir="auto">(.*?)</div>', text, re.DOTALL)
    assert shown
    assert html.unescape(re.sub(r"</?(?:mark|span)[^>]*>", "", shown.group(1))) == NOTE
    ids = Tags(text).ids
    assert len(ids) == len(set(ids))
    assert len([name for name in ids if name.startswith(f"note-{note.id}-{first.start}-")]) == 2
