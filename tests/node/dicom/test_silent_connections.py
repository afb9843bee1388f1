"""Connections that never ask for an association."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from node.dicom.sender import send
from tests.node.dicom.conftest import Node
from tests.node.dicom.objects import outgoing_image
from tests.peers import eventually

Start = Callable[..., Node]


def connect(node: Node, stack: ExitStack, count: int) -> None:
    for _ in range(count):
        stack.enter_context(socket.create_connection(("127.0.0.1", node.receiver.port)))
    eventually("all are accepted", lambda: node.receiver.connections() == count)


def test_connections_that_ask_for_nothing_cost_nothing_and_slow_nobody_down(start: Start, tmp_path: Path) -> None:
    node = start()
    with ExitStack() as stack:
        connect(node, stack, 200)
        before = psutil.Process().cpu_times()
        time.sleep(1.0)
        after = psutil.Process().cpu_times()
        assert after.user + after.system - before.user - before.system < 0.3
        assert node.receiver.associations() == 0
        item = outgoing_image(tmp_path / "out")
        assert [outcome.ok for outcome in send([item], "127.0.0.1", node.receiver.port, "OVERREAD", "MR1")] == [True]


def test_a_connection_that_asks_for_nothing_is_closed_in_time(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """PS3.8 section 9.1.4: ARTIM; table 9-10, AA-2: closed, without a word."""
    monkeypatch.setattr("node.dicom.scp.association.ASSOCIATE_SECONDS", 0.3)
    node = start(read_seconds=0.5)
    with socket.create_connection(("127.0.0.1", node.receiver.port)) as silent:
        silent.settimeout(5)
        assert silent.recv(100) == b""


def test_a_stop_waits_for_no_connection_that_asked_for_nothing(start: Start, capfd: pytest.CaptureFixture[str]) -> None:
    node = start()
    with ExitStack() as stack:
        connect(node, stack, 5)
        began = time.monotonic()
        node.receiver.stop(10.0)
        assert time.monotonic() - began < 5.0
    said = capfd.readouterr()
    assert "Traceback" not in said.err
    assert "broke the receiver" not in said.out + said.err


def test_one_host_may_not_take_all_connections(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.dicom.scp.server.MAX_CONNECTIONS_OF_HOST", 3)
    node = start()
    with ExitStack() as stack:
        connect(node, stack, 3)
        with socket.create_connection(("127.0.0.1", node.receiver.port)) as fourth:
            fourth.settimeout(5)
            assert fourth.recv(100) == b""
    node.settle()
    with ExitStack() as stack:
        connect(node, stack, 3)
