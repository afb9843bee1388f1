"""What explains an answer on the study page: pictures with layers, bars, a probability with its threshold, refusals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from node.records.engine import Records
from node.records.schema import Job
from node.records.states import JobState
from node.web import findings
from node.web.explained import explained
from tests.node.web.seed import Seeded

PNG = b"\x89PNG\r\n\x1a\nnot really"
PROBABILITY = {
    "name": {"scheme": "DCM", "value": "122157", "meaning": "Probability"},
    "value": 0.87,
    "unit": {"scheme": "UCUM", "value": "1", "meaning": "no units"},
    "lower": 0.7,
    "upper": 0.95,
    "confidence": 0.9,
}
FINDING = {
    "label": "pneumonia",
    "code": {"scheme": "SCT", "value": "233604007", "meaning": "Pneumonia"},
    "measurements": [PROBABILITY],
    "confidence": 0.87,
    "present": True,
}
ABSENT = FINDING | {"present": False, "measurements": [PROBABILITY | {"value": 0.012}]}
VIEW = {
    "format": 1,
    "kind": "radiograph",
    "image": {"width": 300, "height": 400, "text": "Radiograph, PA view"},
    "overlays": ["Where the network looked <b>"],
    "threshold": 0.4,
    "scores": {"probability": 0.87},
    "contributions": [
        {
            "name": {"scheme": "LN", "value": "2524-7", "meaning": "Lactate"},
            "weight": 0.9,
            "value": 5.1,
            "unit": {"scheme": "UCUM", "value": "mmol/L", "meaning": "mmol/L"},
            "text": "highest",
        },
        {"name": {"meaning": "Age"}, "weight": -0.3, "value": None, "unit": None, "text": ""},
    ],
}


@pytest.fixture
def shown(records: Records, seeded: Seeded, tmp_path: Path) -> Seeded:
    """Give a study whose job has a picture, a layer and values."""
    put(tmp_path, VIEW)
    with records.write() as session:
        job = session.get_one(Job, seeded.job)
        job.prediction, job.findings = "predictions/p.1", [FINDING]
    return seeded


def put(root: Path, said: Any) -> None:
    folder = root / "predictions"
    folder.mkdir(exist_ok=True)
    (folder / "p.1.view.json").write_text(said if isinstance(said, str) else json.dumps(said))
    for name in ("image", "over-0"):
        (folder / f"p.1.{name}.png").write_bytes(PNG)


def test_a_picture_has_a_slider_for_each_layer_and_its_own_address(client: TestClient, shown: Seeded) -> None:
    page = client.get(f"/studies/{shown.done}").text
    assert 'type="range"' in page
    assert "Where the network looked &lt;b&gt;" in page
    base = f"/studies/{shown.done}/jobs/{shown.job}/view"
    for name in ("image", "over-0"):
        assert f"{base}/{name}.png?v=" in page
        answer = client.get(f"{base}/{name}.png")
        assert (answer.content, answer.headers["content-type"]) == (PNG, "image/png")


@pytest.mark.parametrize("name", ["over-1", "over-9", "view", "..%2Fimage", "image.png%00"])
def test_there_is_no_other_picture(client: TestClient, shown: Seeded, name: str) -> None:
    answer = client.get(f"/studies/{shown.done}/jobs/{shown.job}/view/{name}.png")
    assert answer.status_code in (404, 422)


def test_pictures_of_another_study_are_not_given(client: TestClient, shown: Seeded) -> None:
    assert client.get(f"/studies/{shown.stat}/jobs/{shown.job}/view/image.png").status_code == 404


def test_a_probability_stands_with_its_interval_and_the_operating_point(client: TestClient, shown: Seeded) -> None:
    page = client.get(f"/studies/{shown.done}/parts/findings").text.replace("\xa0", " ")
    assert "87 %" in page
    assert "70 % to 95 % (interval of 90 %)" in page
    assert "at or above the operating point of 40 %" in page


def test_bars_say_what_raised_and_what_lowered_the_answer(client: TestClient, shown: Seeded) -> None:
    page = client.get(f"/studies/{shown.done}/parts/findings").text
    assert page.index("Lactate") < page.index("Age")
    assert "5.10 mmol/L" in page
    assert "not in the record" in page
    assert "A contribution is no cause." in page


def test_what_was_not_found_is_not_read_as_found(
    client: TestClient, shown: Seeded, records: Records, tmp_path: Path
) -> None:
    with records.write() as session:
        session.get_one(Job, shown.job).findings = [ABSENT]
    page = client.get(f"/studies/{shown.done}/parts/findings").text
    assert "looked for, not found" in page
    assert "below the operating point" in page
    assert "pneumonia not found (1.2\xa0%)" in client.get("/").text


def test_a_declined_job_says_why(client: TestClient, shown: Seeded, records: Records) -> None:
    with records.write() as session:
        job = session.scalars(select(Job).where(Job.id == shown.job)).one()
        job.state, job.reason, job.findings = JobState.DECLINED, "This is no chest radiograph.", []
    page = client.get(f"/studies/{shown.done}/parts/findings").text
    assert "The model declined this input.</strong> This is no chest radiograph." in page


@pytest.mark.parametrize("said", ["", "{", "[1]", "null", "[" * 5000, json.dumps({"format": 2}), '{"format": 1}'])
def test_a_broken_file_shows_nothing_and_breaks_nothing(
    client: TestClient, shown: Seeded, tmp_path: Path, said: str
) -> None:
    put(tmp_path, said)
    page = client.get(f"/studies/{shown.done}/parts/findings")
    assert page.status_code == 200
    assert 'type="range"' not in page.text


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    put(tmp_path, json.dumps(VIEW | {"padding": "x" * (1 << 20)}))
    assert explained(tmp_path, "predictions/p.1", [FINDING]) is None


def test_a_prediction_outside_of_the_root_is_not_read(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    put(tmp_path, VIEW)
    assert explained(root, "../predictions/p.1", [FINDING]) is None


LOOSE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*VIEW, *FINDING]), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from([*VIEW, *FINDING]), LOOSE), st.lists(LOOSE, max_size=3))
def test_no_stored_value_breaks_the_page(
    tmp_path_factory: pytest.TempPathFactory, said: Mapping[str, Any], found: list[Any]
) -> None:
    root = tmp_path_factory.mktemp("root")
    put(root, json.dumps({**said, "format": 1}))
    shown = explained(root, "predictions/p.1", found)
    assert shown is not None
    findings.rows(found)
    findings.short(found)


def test_near_the_operating_point_nobody_reads_not_found(client: TestClient, shown: Seeded, records: Records) -> None:
    near = ABSENT | {"threshold": 0.9, "measurements": [PROBABILITY | {"value": 0.79}]}
    with records.write() as session:
        session.get_one(Job, shown.job).findings = [near]
    page = client.get(f"/studies/{shown.done}/parts/findings").text.replace("\xa0", " ")
    assert page.count("below the operating point of 90 %") == 2  # in the table, and at the gauge: its own, not 40 %
    assert "not found" not in page
    assert "pneumonia below the operating point of 90 % (79 %)" in client.get("/").text.replace("\xa0", " ")


def test_a_range_without_certainty_is_no_interval_and_a_small_share_is_not_none() -> None:
    loose = PROBABILITY | {"confidence": None, "method": "range over three networks", "value": 0.0004}
    (row,) = findings.rows([FINDING | {"measurements": [loose]}])
    assert row.measures[0].interval.endswith("(range over three networks)")
    assert row.measures[0].value.replace("\xa0", " ") == "< 0.1 %"
    assert findings.unit({"value": "{H.B.}/min"}) == "/min"


def test_the_part_of_a_structure_is_named_and_a_word_before_it_is_not_repeated() -> None:
    assert (
        findings.title({"label": "hippocampus-posterior", "code": {"meaning": "Hippocampus"}})
        == "Hippocampus posterior"
    )
    assert findings.title({"label": "abnormal-heart-sound", "code": {"meaning": "Sound of the heart"}}).endswith(
        "heart"
    )
