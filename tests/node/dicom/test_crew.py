"""The receivers of one port and their parent."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from pynetdicom import build_context

from node.dicom.requestor import associated
from node.dicom.sender import VERIFICATION, echo
from tests.peers import eventually, free_port


class Running:
    """`overread receiver` with four processes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.log, self.ledger = folder / "log.txt", folder / "data" / "spool" / "ledger"
        config = folder / "overread.toml"
        config.write_text(
            f'[node]\nroot = "{folder / "data"}"\n[dicom]\nhost = "127.0.0.1"\nport = {self.port}\nprocesses = 4\n'
            "min_free_percent = 0.0\nmin_free_bytes = 0\njournal_bytes = 4194304\n",
            encoding="utf-8",
        )
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", "node.service", "receiver", "--config", str(config)]
            self.process = subprocess.Popen(command, stderr=log)

    def children(self) -> list[psutil.Process]:
        return list(psutil.Process(self.process.pid).children())

    def lines(self, event: str) -> list[dict[str, str]]:
        found = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in found if line["event"] == event]

    def told(self, word: str) -> bool:
        return any(word.encode() in path.read_bytes() for path in self.ledger.rglob("*") if path.is_file())


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path)
    try:
        eventually("four receivers listen", lambda: len(running.lines("listening")) == 4, 60)
        yield running
    finally:
        running.process.kill()
        running.process.wait()


def test_associations_are_shared_out_evenly_and_all_stop_when_asked(crew: Running) -> None:
    with ExitStack() as stack:
        for number in range(12):
            context = [build_context(VERIFICATION)]
            stack.enter_context(associated(context, "127.0.0.1", crew.port, "OVERREAD", f"MR{number}", 10.0))
    eventually("all are released", lambda: len(crew.lines("association released")) == 12)
    served = Counter(line["association"].split("#")[1].split("-")[0] for line in crew.lines("association released"))
    assert sorted(served.values()) == [3, 3, 3, 3]
    crew.process.send_signal(signal.SIGTERM)
    assert crew.process.wait(20) == 0
    assert len(crew.lines("stopped")) == 4


def test_a_receiver_that_is_killed_comes_back_and_the_others_go_on(crew: Running) -> None:
    context = [build_context(VERIFICATION)]
    with associated(context, "127.0.0.1", crew.port, "OVERREAD", "MR1", 10.0) as association:
        for _ in range(2):
            connected = {one.pid for one in crew.children() if one.net_connections()[1:]}
            victim = next(one for one in crew.children() if one.pid not in connected)
            victim.kill()
            victim.wait(10)
            eventually("it is back", lambda: len(crew.children()) == 4, 30)
        assert association.send_c_echo().Status == 0
    assert crew.told("Process receiver-")
    assert crew.told("restarted")
    eventually("all listen", lambda: len(crew.lines("listening")) == 6, 30)
    for _ in range(8):
        echo("127.0.0.1", crew.port, "OVERREAD", "MR1")


def test_the_receivers_end_with_their_parent(crew: Running) -> None:
    children = crew.children()
    crew.process.kill()
    assert psutil.wait_procs(children, 10)[1] == []


def test_a_receiver_that_is_asked_to_stop_while_it_starts_stops(tmp_path: Path) -> None:
    running = Running(tmp_path)
    eventually("they are forked", lambda: len(running.children()) == 4, 60, 0.001)
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(20) == 0


def test_receivers_of_one_parent_share_most_of_their_memory(crew: Running) -> None:
    everyone = [psutil.Process(crew.process.pid), *crew.children()]
    proportional = sum(process.memory_full_info().pss for process in everyone)
    alone = psutil.Process(crew.process.pid).memory_info().rss
    assert proportional < 2.5 * alone, "five processes"


def test_a_port_that_is_taken_ends_the_crew_with_the_reason(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = tmp_path / "overread.toml"
        port = taken.getsockname()[1]
        config.write_text(f'[node]\nroot = "{tmp_path / "data"}"\n[dicom]\nhost = "127.0.0.1"\nport = {port}\n')
        command = [sys.executable, "-m", "node.service", "receiver", "--config", str(config)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ})
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr
