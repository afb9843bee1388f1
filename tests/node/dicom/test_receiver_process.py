"""The receiver as processes of their own: one port for several, SIGTERM, and a kill in the middle."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import func, select

from node.dicom.sender import echo, send
from node.errors import DeliveryError
from node.records.engine import Records
from node.records.schema import Event, Instance, Study
from node.storage import Spool
from tests.node.dicom.objects import outgoing_image

PROGRAM = """
import sys
from pathlib import Path
from node import logs
from node.dicom.receiver import run_receiver
from node.settings import DicomSection, NodeSection, Settings

logs.configure()
root, port = Path(sys.argv[1]), int(sys.argv[2])
run_receiver(Settings(node=NodeSection(root=root, stop_seconds=8), dicom=DicomSection(host="127.0.0.1", port=port)))
"""


@contextmanager
def receiver(root: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(root), str(port)], stderr=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    try:
        assert process.stderr is not None
        while "listening" not in (line := process.stderr.readline()):
            assert line, "the receiver did not start"
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def open_store(root: Path) -> Records:
    store = Records(f"sqlite:///{root / 'overread.sqlite'}")
    store.migrate()
    return store


def test_two_processes_share_a_port_and_stop_when_asked(tmp_path: Path) -> None:
    root, port = tmp_path / "node", free_port()
    open_store(root).close()
    with receiver(root, port) as first, receiver(root, port) as second:
        items = [outgoing_image(tmp_path / "out") for _ in range(24)]
        for start in range(0, 24, 2):  # connections are shared out by the kernel, so there are many of them
            assert all(outcome.ok for outcome in send(items[start : start + 2], "127.0.0.1", port, "OVERREAD", "MR1"))
        for process in (first, second):
            process.send_signal(signal.SIGTERM)
        logs = [process.communicate(timeout=15)[1] for process in (first, second)]
        assert [process.returncode for process in (first, second)] == [0, 0]
    assert all('"event": "stopped"' in log for log in logs)
    served = [log.count('"event": "association released"') for log in logs]
    assert sum(served) == 12
    assert all(served)
    store = open_store(root)
    with store.read() as session:
        assert session.scalar(select(func.count(Instance.id))) == 24
        assert session.scalars(select(Study)).one().released_at is not None
    store.close()


def test_what_was_answered_with_success_survives_a_kill_and_is_indexed_at_the_next_start(tmp_path: Path) -> None:
    root, port = tmp_path / "node", free_port()
    store = open_store(root)
    items = [outgoing_image(tmp_path / "out") for _ in range(60)]
    answered = []
    with receiver(root, port) as process, store.write():  # the records are held, so that nothing can be indexed
        try:
            for outcome in send(items, "127.0.0.1", port, "OVERREAD", "MR1", timeout=10.0):
                answered.append(outcome)
                if len(answered) == 30:
                    os.kill(process.pid, signal.SIGKILL)
        except DeliveryError:
            pass
    done = {outcome.sop_uid for outcome in answered if outcome.status == 0}
    assert len(done) >= 30
    with store.read() as session:
        assert session.scalar(select(func.count(Instance.id))) == 0
    with receiver(root, port):
        echo("127.0.0.1", port, "OVERREAD", "MR1")
    with store.read() as session:
        assert done <= set(session.scalars(select(Instance.uid)))
        assert session.scalar(select(func.count(Event.id)).where(Event.kind == "spool.repaired")) == 1
    assert list((root / "spool" / "incoming").iterdir()) == []
    assert done <= {uid for uid, _ in Spool(root / "spool").files()}
    store.close()


def test_an_association_that_is_under_way_is_finished_before_the_process_stops(tmp_path: Path) -> None:
    root, port = tmp_path / "node", free_port()
    with receiver(root, port) as process:
        outcomes = send([outgoing_image(tmp_path / "out") for _ in range(20)], "127.0.0.1", port, "OVERREAD", "MR1")
        assert next(outcomes).ok
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert all(outcome.ok for outcome in outcomes)
        assert process.wait(timeout=15) == 0
    store = open_store(root)
    with store.read() as session:
        assert session.scalar(select(func.count(Instance.id))) == 20
    store.close()
