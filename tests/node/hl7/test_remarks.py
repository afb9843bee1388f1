"""Lines of the listener on the timeline: together, bounded, and not lost while the records are away."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.hl7 import remarks as remarks_module
from node.hl7.remarks import MOST_LINES, OTHERS, TEXTS, Remarks
from node.records import timeline
from node.records.engine import Records
from tests.peers import eventually


def lines(records: Records) -> list[str]:
    with records.read() as session:
        return [event.text for event in timeline.of_node(session)]


def test_remarks_of_one_kind_and_peer_are_one_line(records: Records) -> None:
    remarks = Remarks(records.url)
    for _ in range(100):
        remarks.add("message.slow", "192.0.2.1")
    remarks.add("message.garbage", "192.0.2.1", 17)
    remarks.stop()
    assert sorted(lines(records)) == [
        "Bytes from 192.0.2.1 that were outside of MLLP frames and were ignored: 17",
        "Connections of 192.0.2.1 that were closed, a message not whole within hl7.read_seconds: 100",
    ]


def test_lines_of_many_addresses_are_bounded_and_none_is_left_uncounted(records: Records) -> None:
    remarks = Remarks(records.url)
    for n in range(1000):
        remarks.add("message.stranger", f"192.0.{n // 250}.{n % 250}")
    remarks.stop()
    found = lines(records)
    assert len(found) <= MOST_LINES + 1
    assert sum(int(line.rpartition(": ")[2]) for line in found) == 1000
    assert any(OTHERS in line for line in found)


def test_what_the_records_did_not_take_is_written_once_they_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remarks_module, "FAULT_SECONDS", 0.2)
    monkeypatch.setattr(remarks_module, "TOGETHER_SECONDS", 0.01)
    records = Records(f"sqlite:///{tmp_path / 'late.sqlite'}")
    remarks = Remarks(records.url)
    remarks.add("message.crowded", "192.0.2.1")
    eventually("it was tried", lambda: (tmp_path / "late.sqlite").exists(), pause=0.02)
    remarks.add("message.crowded", "192.0.2.1")
    records.migrate()
    assert eventually("it is written", lambda: lines(records), pause=0.05) == [
        "Connections of 192.0.2.1 that were closed, as there were as many as hl7 allows: 2"
    ]
    remarks.stop()
    records.close()


@pytest.mark.parametrize("kind", sorted(TEXTS))
def test_every_kind_names_the_address_and_the_count(kind: str) -> None:
    assert TEXTS[kind].format(peer="192.0.2.1", count=3).endswith(": 3")
    assert "192.0.2.1" in TEXTS[kind].format(peer="192.0.2.1", count=3)
