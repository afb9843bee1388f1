"""The benchmark of HL7 messages runs and counts right; how fast anything is, is no test's business."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from node.hl7 import inbound
from node.settings import Hl7Section
from tests.benchmarks.hl7 import measure, receivers, report
from tests.benchmarks.hl7.__main__ import main, tasks
from tests.benchmarks.hl7.client import Client, NotAnswered
from tests.benchmarks.hl7.measure import Run
from tests.benchmarks.hl7.messages import NOTE_CHARACTERS, Sending, mix
from tests.benchmarks.hl7.receivers import HL7APY, OURS, PYTHON_HL7
from tests.node.hl7.listening import listening


def test_a_tiny_run_measures_the_node_and_a_peer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measure, "WARM_UP", 6)
    monkeypatch.setattr(receivers, "SETTLE_SECONDS", 0.1)
    target = tmp_path / "found.json"
    arguments = ["--rounds", "1", "--messages", "30", "--cases", "8", "--receivers", OURS, HL7APY, "--pause", "0"]
    assert main([*arguments, "--folder", str(tmp_path), "--json", str(target)]) == 0
    found = json.loads(target.read_text(encoding="utf-8"))
    ours, peer = found["runs"]
    assert (ours["receiver"], ours["connections"], ours["messages"]) == (OURS, 8, 30)
    assert (peer["receiver"], peer["connections"]) == (HL7APY, 30)
    assert ours["empty_after"] >= 0 <= ours["taken"] <= 30
    assert set(ours["cpu"]) == {"broker", "listener", "gateway"}
    assert 0 < ours["p50"] <= ours["p99"]
    assert found["ratios"][0]["median"] == pytest.approx(ours["rate"] / peer["rate"], rel=0.01)
    assert "| 8 connections | Overread" in capsys.readouterr().out


def test_what_is_sent_is_what_the_node_can_use() -> None:
    found = [inbound.understand(item.data[1:-2], Hl7Section()).message for item in mix(30, 1, "T")]
    assert {message.header.type for message in found} == {"ADT^A08", "ORU^R01", "MDM^T02"}
    assert len({message.header.control_id for message in found}) == 30
    assert {len(list(message.all("OBX"))) for message in found if message.header.code == "ORU"} == {10}
    text = next(message for message in found if message.header.code == "MDM")
    assert sum(len(obx.get(5)) + 1 for obx in text.all("OBX")) == pytest.approx(NOTE_CHARACTERS, abs=20)


def test_the_client_wants_each_message_accepted_under_its_own_control_id(tmp_path: Path) -> None:
    with listening(tmp_path) as node:
        sent = Client(node.port, 3).send(mix(10, 1, "A"))
        assert (len(sent.latencies), sent.connections) == (10, 3)
        assert Client(node.port, 3, anew=True).send(mix(10, 1, "B")).connections == 10
        assert len(node.kept()) == 20
        (message,) = mix(1, 1, "C")
        refused = Sending(message.data.replace(b"PID|", b"PIX|"), message.accepted)
        with pytest.raises(NotAnswered, match=r"MSA\|AE\|C000000"):
            Client(node.port, 1).send([refused])


def test_ratios_are_of_runs_of_one_round_and_one_that_failed_counts_for_nothing() -> None:
    rates = {OURS: (1.0, 2.0), PYTHON_HL7: (2.0, 8.0)}
    runs = [
        Run("8", receiver, number, 100, seconds=seconds)
        for receiver, found in rates.items()
        for number, seconds in enumerate(found)
    ]
    (ratio,) = report.ratios([*runs, Run("8", HL7APY, 0, 100, seconds=5.0, error="broken")])
    assert (ratio.peer, ratio.values, ratio.median) == (PYTHON_HL7, (2.0, 4.0), 3.0)
    assert report.failures([Run("8", HL7APY, 0, 100, error="broken")]) == ["8, hl7apy, round 0: broken"]


def test_rounds_alternate_and_who_closes_behind_each_answer_has_no_case_of_its_own_for_that() -> None:
    found = tasks(2, ["8", "anew"], [OURS, PYTHON_HL7, HL7APY])
    assert [receiver for number, case, receiver in found if (number, case) == (0, "8")] == [OURS, PYTHON_HL7, HL7APY]
    assert [receiver for number, case, receiver in found if (number, case) == (1, "8")] == [HL7APY, PYTHON_HL7, OURS]
    assert (0, "anew", HL7APY) not in found
    runs = [Run("anew", OURS, 0, 100, seconds=1.0), Run("8", HL7APY, 0, 100, seconds=4.0)]
    assert [(ratio.case, ratio.peer, ratio.values) for ratio in report.ratios(runs)] == [("anew", HL7APY, (4.0,))]
