"""Connections that never ask for an association."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from node.dicom.association import SILENT_PAUSE
from node.dicom.sender import send
from tests.node.dicom.conftest import Node
from tests.node.dicom.objects import outgoing_image
from tests.peers import eventually

Start = Callable[..., Node]


def connect(node: Node, stack: ExitStack, count: int) -> None:
    for _ in range(count):
        stack.enter_context(socket.create_connection(("127.0.0.1", node.receiver.port)))
    eventually("all are accepted", lambda: len(node.receiver.associations()) == count)


def test_connections_that_ask_for_nothing_are_looked_at_seldom_and_slow_nobody_down(
    start: Start, tmp_path: Path
) -> None:
    node = start()
    with ExitStack() as stack:
        connect(node, stack, 30)
        eventually(
            "they are let rest",
            lambda: all(assoc.dul._run_loop_delay == SILENT_PAUSE for assoc in node.receiver.associations()),
            5,
        )
        item = outgoing_image(tmp_path / "out")
        assert [outcome.ok for outcome in send([item], "127.0.0.1", node.receiver.port, "OVERREAD", "MR1")] == [True]


def test_a_stop_waits_for_no_connection_that_asked_for_nothing(start: Start, capfd: pytest.CaptureFixture[str]) -> None:
    node = start()
    with ExitStack() as stack:
        connect(node, stack, 5)
        began = time.monotonic()
        node.receiver.stop(5.0)
        assert time.monotonic() - began < 3.0
    assert "Traceback" not in capfd.readouterr().err
