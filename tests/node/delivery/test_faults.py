"""Destinations that fail in every way there is: the ledger says so, and all arrives once they heal."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from node.delivery.outbox import RECORDED_TOGETHER
from node.gateway import Gateway
from node.records import results
from node.records.engine import Records
from node.records.states import DeliveryState
from node.settings import NodeSection, Settings
from node.simulator.pacs import PacsSimulator
from tests.node.delivery.archive import Archive, running
from tests.node.delivery.conftest import Owing, looping, to
from tests.peers import eventually, free_port

Make = Callable[..., Owing]


def test_an_archive_without_room_ten_times_gets_everything_once_it_has_room(owing: Make) -> None:
    with running(Archive(comment="disk full")) as archive:
        node = owing(to(archive.port))
        [uid] = node.queue(1)
        [box] = node.outboxes()
        archive.statuses.extend([0xA700] * 10)
        for attempt in range(1, 11):
            node.hurry()
            assert box.work() == 1
            [row] = node.rows()
            assert (row.state, row.status, row.attempts) == (DeliveryState.RETRYING, "0xA700", attempt)
            assert row.reason == "Failure 0xA700; Refused: Out of Resources; disk full"
        node.hurry()
        box.work()
        [row] = node.rows()
        assert (row.state, row.status, row.reason) == (DeliveryState.ACCEPTED, "0x0000", "")
        assert archive.stored == [uid]
        assert archive.associations == 1, "the association is used again"
        told = node.lines("delivery.retrying")
        assert not any("disk full" in line for line in told), "what others write may hold anything"
        assert [f"(attempt {n};" in line for n, line in enumerate(told, 1)] == [True] * 10
        assert node.lines("delivery.accepted") == ["SEG accepted by archive (0x0000)."]
        box.close()


def test_an_association_dropped_in_the_middle_loses_nothing_and_the_ledger_says_so(owing: Make) -> None:
    with running(Archive(aborts=3)) as archive:
        node = owing(to(archive.port))
        uids = node.queue(30)
        [box] = node.outboxes()
        with looping(box.work):
            eventually("all is accepted", lambda: node.states() == {DeliveryState.ACCEPTED}, 20)
        assert sorted(archive.stored) == sorted(uids), "each exactly once"
        assert archive.tries == 33
        told = node.lines("delivery.retrying")
        assert len(told) == 3
        assert all("aborted the association" in line for line in told)
        assert sum(row.attempts for row in node.rows()) == 33, "what was not tried was not counted"
        box.close()


def test_a_dead_destination_gets_all_once_it_is_there_and_is_told_of_in_one_line_a_try(owing: Make) -> None:
    archive = Archive(port=free_port())
    node = owing(to(archive.port))
    uids = node.queue(20)
    [box] = node.outboxes()
    assert box.work() == 20
    assert node.states() == {DeliveryState.RETRYING}
    assert {row.status for row in node.rows()} == {"no association"}
    [line] = node.lines("delivery.retrying")
    assert line.startswith(f"20 SEG not taken by archive: ARCHIVE at 127.0.0.1:{archive.port} does not answer")
    with running(archive), looping(box.work):
        eventually("all is accepted", lambda: node.states() == {DeliveryState.ACCEPTED}, 20)
    assert archive.stored == uids


def test_what_a_killed_process_left_is_sent_again_and_arrives(owing: Make, records: Records) -> None:
    with running(Archive()) as archive:
        node = owing(to(archive.port))
        uids = node.queue(4)
        with records.write() as session:  # a process that was killed between sending and recording
            results.start(session, [row.id for row in node.rows()][:2])
        with records.write() as session:
            assert results.recover(session) == 2
        [box] = node.outboxes()
        assert box.work() == 4
        assert archive.stored == uids
        box.close()


KILLED = """
import sys
from pathlib import Path
from node.delivery.outbox import Outbox
from node.records.engine import Records
from node.settings import Destination, NodeSection, Settings
root, port = Path(sys.argv[1]), int(sys.argv[2])
to = Destination(name="archive", kind="dicom", host="127.0.0.1", port=port, ae_title="ARCHIVE")
records = Records(f"sqlite:///{root / 'records.sqlite'}")
Outbox(to, Settings(node=NodeSection(root=root), destinations=(to,)), records).work()
"""


def test_a_process_killed_while_it_sends_loses_nothing(owing: Make, records: Records, tmp_path: Path) -> None:
    with running(Archive()) as archive:
        node = owing(to(archive.port))
        uids = node.queue(400)
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path), str(archive.port)])
        eventually("some are stored", lambda: len(archive.stored) > 50, 60, 0.01)
        process.kill()
        process.wait()
        before = len(archive.stored)
        assert before < 400
        assert DeliveryState.SENDING in node.states()
        with records.write() as session:  # as the gateway does when it starts
            results.recover(session)
        [box] = node.outboxes()
        with looping(box.work):
            eventually("all is accepted", lambda: node.states() == {DeliveryState.ACCEPTED}, 30)
        assert set(archive.stored) == set(uids)
        again = len(archive.stored) - 400
        assert again <= RECORDED_TOGETHER + 1, "only what was not recorded yet is sent again"
        box.close()


@pytest.fixture
def black_hole() -> int:
    """Listen on a port, accept connections, and never answer."""
    server = socket.create_server(("127.0.0.1", 0))
    kept: list[socket.socket] = []

    def serve() -> None:
        while True:
            kept.append(server.accept()[0])

    threading.Thread(target=serve, daemon=True).start()
    return int(server.getsockname()[1])


def test_a_dead_and_a_silent_destination_do_not_slow_down_the_third(
    owing: Make, black_hole: int, tmp_path: Path
) -> None:
    """Not a figure: the third must be done long before the silent one's time limit is over even once."""
    with PacsSimulator(tmp_path / "pacs") as pacs:
        node = owing(
            to(black_hole, "silent"), to(free_port(), "refusing"), to(pacs.port, "well", "SIM_PACS"), timeout=20.0
        )
        uids = node.queue(100)
        boxes = node.outboxes()
        begin = time.monotonic()
        with looping(*(box.work for box in boxes)):
            eventually("the third has all", lambda: node.states("well") == {DeliveryState.ACCEPTED}, 30)
        assert time.monotonic() - begin < 15.0
        assert [row.sop_instance for row in pacs.received] == uids
        assert node.states("silent") == {DeliveryState.SENDING}
        assert node.states("refusing") <= {DeliveryState.RETRYING, DeliveryState.SENDING, DeliveryState.QUEUED}
        boxes[0].interrupt()
        eventually("the silent one is said to be so", lambda: node.states("silent") == {DeliveryState.RETRYING}, 5)
        assert {row.status for row in node.rows("silent")} == {"no answer"}
        boxes[2].close()


def test_loops_that_wait_take_no_thread_from_one_that_has_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = Gateway(Settings(node=NodeSection(root=tmp_path)))
    over, worked = threading.Event(), threading.Event()
    waiting = [(f"silent {number}", lambda: int(over.wait(30.0))) for number in range(40)]

    def work() -> int:
        worked.set()
        return 0

    monkeypatch.setattr(gateway, "_works", lambda: [*waiting, ("well", work)])

    async def run() -> bool:
        loops = gateway._start()
        try:
            return await asyncio.to_thread(worked.wait, 5.0)
        finally:
            gateway.stop()
            over.set()
            await asyncio.gather(*loops)

    assert asyncio.run(run())
    gateway._records.close()
