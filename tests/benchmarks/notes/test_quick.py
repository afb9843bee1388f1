"""The benchmark of the notes runs and counts right; how fast anything is, is no test's business."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

from models.facts import Assertion, Experiencer
from tests.benchmarks.notes import __main__ as benchmark
from tests.benchmarks.notes import corpus, measure

PEER = """
import json, sys
asked = json.load(sys.stdin)
said = [{"negated": "no" in item["text"], "family": "Mother" in item["text"]} for item in asked["items"]]
json.dump({"versions": {asked["peer"]: "0"}, "assertions": said, "seconds": [1.0, 2.0]}, sys.stdout)
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two kits of three sentences, and notes."""
    (tmp_path / "text-negex").mkdir()
    (tmp_path / "text-mts-dialog").mkdir()
    lines = [
        "1\tfever\tno FEVER\tNegated",
        "2\tcough\tThere is COUGH\tAffirmed",
        "3\tstroke\tMother had a STROKE\tAffirmed",
    ]
    (tmp_path / "text-negex" / corpus.KITS["NegEx"]).write_text("\n".join(lines))
    context = [
        "1\t\tfever\tno FEVER\tNegated\tRecent\tPatient",
        "2\t\tcough\tHistory of COUGH\tAffirmed\tHistorical\tPatient",
        "3\t\tstroke\tMother had a STROKE\tAffirmed\tRecent\tOther",
    ]
    (tmp_path / "text-negex" / corpus.KITS["ConText"]).write_text("\n".join(context))
    with (tmp_path / "text-mts-dialog" / "MTS-Dialog-TrainingSet.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ID", "section_header", "section_text", "dialogue"])
        writer.writerows([[at, "GENHX", "No fever. " * 30, ""] for at in range(14)])
    return tmp_path


def test_ours_and_a_peer_are_scored_on_the_same_spans(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "peer.py"
    script.write_text(PEER)
    monkeypatch.setattr(benchmark, "one_core", lambda: None)
    monkeypatch.setattr(measure, "__file__", str(tmp_path / "measure.py"))
    target = tmp_path / "found.json"

    arguments = ["--data", str(data), "--medspacy", sys.executable, "--negspacy", sys.executable]
    assert benchmark.main([*arguments, "--rounds", "2", "--json", str(target)]) == 0

    found = json.loads(target.read_text())
    f1 = {(row["reader"], row["kit"], row["name"]): row["f1"] for row in found["scores"] if row["half"] == "all"}
    assert f1["overread", "NegEx", "negated"] == f1["medspacy", "NegEx", "negated"] == 1.0
    assert f1["overread", "ConText", "historical"] == 1.0
    assert f1["medspacy", "ConText", "historical"] == 0.0
    assert f1["overread", "ConText", "not the patient"] == f1["medspacy", "ConText", "not the patient"] == 1.0
    assert ("negspacy", "ConText", "historical") not in f1
    assert found["notes"] == 2
    assert found["notes_per_second"]["medspacy"] == pytest.approx(2 / 1.5)
    assert len(found["cpu_seconds"]["overread"]) == 2
    assert "| NegEx | all | negated | overread | 1 |" in capsys.readouterr().out


def test_the_halves_share_no_sentence_and_leave_none_out(data: Path) -> None:
    halves = corpus.halves(corpus.sentences(data / "text-negex", "ConText"))

    assert {e.text for e in halves["first"]}.isdisjoint(e.text for e in halves["second"])
    assert len(halves["first"]) + len(halves["second"]) == len(halves["all"]) == 3


def test_what_a_peer_does_not_know_it_does_not_say() -> None:
    assert measure.assertion({"negated": True}) == Assertion(negated=True)
    assert measure.assertion({"family": True}).experiencer is Experiencer.FAMILY
