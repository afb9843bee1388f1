"""Real messages of many senders: every one is answered, none is lost, none breaks the next."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from node.hl7 import inbound
from node.hl7.message import parse, peek
from node.records.schema import Note, Observation, Order
from node.records.states import MessageState
from tests.node.hl7.conftest import Desk

pytestmark = pytest.mark.data


REFUSED = {
    # Orders without placer or filler number: ORC-2 and ORC-3 are conditional, and SC needs one (section 4.5.1.2).
    "OMG-O19-02.hl7": ("AE", "101", "ORC^1^2"),
}
"""Messages of supported types that cannot be used, by file, and the answer that the standard has for them."""


@pytest.fixture
def named(real_data: Callable[[str], Path]) -> dict[str, bytes]:
    paths = sorted((real_data("hl7-fhir-converter") / "Hl7v2").glob("*.hl7"))
    return {path.name: path.read_bytes() for path in paths}


@pytest.fixture
def files(named: dict[str, bytes]) -> list[bytes]:
    return list(named.values())


def test_every_real_message_can_be_read(files: list[bytes]) -> None:
    assert len(files) > 50
    for raw in files:
        message = parse(raw)
        assert message.segments[0].name == "MSH"
        assert len(message.segments) > 1


def test_every_real_message_is_acknowledged_by_the_book(desk: Desk, named: dict[str, bytes]) -> None:
    answers: Counter[str] = Counter()
    codes = {kind.partition("^")[0] for kind in inbound.HANDLERS}
    for name, raw in named.items():
        ack = desk.take(raw)
        header = peek(raw)
        assert ack.control_id == header.control_id
        if name in REFUSED:
            assert (ack.code, ack.error_code, ack.location) == REFUSED[name]
        elif header.type in inbound.HANDLERS:
            assert ack.code == "AA", name
        else:
            assert (ack.code, ack.error_code) == ("AR", "201" if header.code in codes else "200"), name
        answers[ack.code] += 1
    assert answers["AA"] >= 30
    assert answers["AR"] >= 40
    assert answers["AE"] == len(REFUSED)
    assert {message.state for message in desk.messages()} == {MessageState.PROCESSED, MessageState.FAILED}
    assert desk.rows(Order)
    assert desk.rows(Note)
    assert desk.rows(Observation)


def test_a_real_lab_report_becomes_values(desk: Desk, files: list[bytes]) -> None:
    glucose = next(raw for raw in files if b"CNTRL-3456" in raw)
    assert desk.take(glucose).code == "AA"
    (row,) = desk.rows(Observation)
    assert (row.code, row.value, row.number, row.unit, row.flag) == ("1554-5", "182", 182.0, "mg/dl", "H")


def test_real_messages_with_bytes_changed_are_answered_too(desk: Desk, files: list[bytes]) -> None:
    choice = random.Random(20261120)
    for raw in choice.sample(files, 40):
        damaged = bytearray(raw)
        for _ in range(choice.randint(1, 10)):
            damaged[choice.randrange(len(damaged))] = choice.randrange(256)
        ack = desk.take(bytes(damaged))
        assert ack.code in ("AA", "AE", "AR")
        assert ack.error_code != "207"
