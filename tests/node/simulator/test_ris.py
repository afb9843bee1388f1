"""The simulated RIS: what it sends is good HL7, what it gets it keeps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message

from node.errors import DeliveryError, OverreadError
from node.hl7 import ack as acks
from node.hl7 import inbound
from node.hl7.message import parse
from node.hl7.mllp import MllpClient
from node.records.engine import Records
from node.settings import Settings
from node.simulator import ris

PERSON = ris.Person()
MESSAGES = {
    "admit": ris.admit(PERSON, control_id="1"),
    "order": ris.order(PERSON, accession="A1", control_id="2", priority="STAT"),
    "note": ris.note(PERSON, document_number="D1", accession="A1", control_id="3"),
    "labs": ris.labs(PERSON, control_id="4"),
}


@pytest.mark.parametrize("name", ["admit", "note", "labs"])
def test_its_messages_pass_the_validation_of_hl7apy(name: str) -> None:
    message = parse_message(MESSAGES[name].decode("utf_8"), validation_level=VALIDATION_LEVEL.TOLERANT)
    assert message.validate()


def test_its_order_has_segments_that_hl7apy_finds_valid() -> None:
    """hl7apy takes the choice of OBR, RQD, RXO... in ORM_O01 for a sequence, so each segment is looked at alone."""
    message = parse_message(MESSAGES["order"].decode("utf_8"), find_groups=False)
    assert [segment.name for segment in message.children] == ["MSH", "PID", "PV1", "ORC", "OBR"]
    assert all(segment.validate() for segment in message.children)


@pytest.mark.parametrize("raw", MESSAGES.values(), ids=MESSAGES)
def test_the_node_takes_its_messages(raw: bytes, records: Records) -> None:
    assert acks.read(inbound.handle(records, Settings(), raw)).code == "AA"


def test_what_it_gets_is_kept_and_accepted(tmp_path: Path) -> None:
    with ris.RisSimulator(tmp_path / "ris") as server:
        with MllpClient("127.0.0.1", server.port, 5) as client:
            for raw in MESSAGES.values():
                assert client.exchange(raw).code == "AA"
        paths = server.wait(4)
    assert [path.read_bytes() for path in paths] == list(MESSAGES.values())
    assert paths[1].name == "000002_ORM-O01_2.hl7"
    assert sorted((tmp_path / "ris").iterdir()) == paths


def test_it_refuses_closes_and_confuses_when_told_to(tmp_path: Path) -> None:
    answers = ["AE", "AR", "close", "wrong-id", "delay:0.05"]
    with ris.RisSimulator(tmp_path, answers=answers) as server:
        statuses = []
        for _ in answers[:4]:
            with pytest.raises(DeliveryError) as caught:
                ris.send("127.0.0.1", server.port, MESSAGES["labs"], 5)
            statuses.append(caught.value.status)
        assert statuses == ["AE", "AR", "", ""]
        assert ris.send("127.0.0.1", server.port, MESSAGES["labs"], 5).code == "AA"
        assert len(server.wait(5)) == 5


def test_waiting_for_what_does_not_come_ends_in_time(tmp_path: Path) -> None:
    with ris.RisSimulator(tmp_path) as server, pytest.raises(OverreadError, match="0 of 1"):
        server.wait(1, timeout=0.1)


def test_the_notes_speak_of_what_they_should() -> None:
    english, chinese = ris.NOTE_ENGLISH.lower(), ris.NOTE_CHINESE
    assert all(words in english for words in ("memory loss", "denies seizures", "mother had dementia", "hypertension"))
    assert all(words in chinese for words in ("记忆力", "否认癫痫", "母亲患痴呆", "高血压"))


def test_a_chinese_note_can_be_sent_in_gb_18030() -> None:
    raw = ris.note(PERSON, document_number="D1", text=ris.NOTE_CHINESE, charset="GB 18030-2000")
    lines = [obx.get(5) for obx in parse(raw).all("OBX")]
    assert "\n".join(lines) == ris.NOTE_CHINESE


def test_it_runs_as_a_process_and_ends_on_a_signal(tmp_path: Path) -> None:
    script = (
        f"from pathlib import Path; from node.simulator.ris import run_ris; run_ris(Path({str(tmp_path)!r}), port=0)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().split(":")[1].split(",")[0])
        assert ris.send("127.0.0.1", port, MESSAGES["labs"], 5).code == "AA"
        process.terminate()
        assert process.wait(10) is not None
    assert len(list(tmp_path.glob("*.hl7"))) == 1
