"""The receiver as processes of their own: one port for several, SIGTERM, and a kill in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from pynetdicom import build_context
from sqlalchemy import func, select

from node.dicom.index_process import start_index
from node.dicom.indexer import Indexer
from node.dicom.requestor import associated
from node.dicom.sender import VERIFICATION, echo, send
from node.errors import DeliveryError
from node.records.engine import Records
from node.records.schema import Instance, Study
from node.storage import Spool
from tests.node.dicom.objects import outgoing_image
from tests.part10 import read_file
from tests.peers import free_port

PROGRAM = """
import sys
from pathlib import Path
from node import logs
from node.dicom.receiver import run_receiver
from node.settings import DicomSection, NodeSection, Settings

logs.configure()
root, port = Path(sys.argv[1]), int(sys.argv[2])
section = DicomSection(host="127.0.0.1", port=port, journal_bytes=1 << 22, min_free_bytes=0, min_free_percent=0)
run_receiver(Settings(node=NodeSection(root=root, stop_seconds=8), dicom=section))
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


@contextmanager
def indexed(root: Path) -> Iterator[Records]:
    """Enter what the receivers left in new records, as the indexer's process does when it starts."""
    store = Records(f"sqlite:///{root / 'overread.sqlite'}")
    store.migrate()
    spool = Spool(root / "spool")
    indexer = Indexer(store, spool.root)
    start_index(spool, store, indexer)
    try:
        indexer.flush()
        yield store
    finally:
        assert indexer.stop(10)
        spool.close()
        store.close()


def test_two_processes_share_a_port_and_stop_when_asked(tmp_path: Path) -> None:
    root, port = tmp_path / "node", free_port()
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
    with indexed(root) as store, store.read() as session:
        assert session.scalar(select(func.count(Instance.id))) == 24
        assert session.scalars(select(Study)).one().released_at is not None


def test_two_processes_share_the_limit_of_associations(tmp_path: Path) -> None:
    """Whichever of them gets a connection counts those of the other."""
    root, port = tmp_path / "node", free_port()
    with receiver(root, port), receiver(root, port), ExitStack() as stack:
        for _ in range(32):  # dicom.max_associations_per_peer
            stack.enter_context(associated([build_context(VERIFICATION)], "127.0.0.1", port, "OVERREAD", "MR1", 10.0))
        with pytest.raises(DeliveryError, match="rejected"):
            echo("127.0.0.1", port, "OVERREAD", "MR1")
        echo("127.0.0.1", port, "OVERREAD", "CT1")


@pytest.mark.parametrize(("rows", "columns"), [(6, 5), (22, 50_000)])  # in memory, and in pieces
def test_what_was_answered_with_success_survives_a_kill_and_is_indexed_at_the_next_start(
    tmp_path: Path, rows: int, columns: int
) -> None:
    root, port = tmp_path / "node", free_port()
    values = {"Rows": rows, "Columns": columns, "PixelData": bytes(2 * rows * columns)}
    items = [outgoing_image(tmp_path / "out", **values) for _ in range(30)]
    answered = []
    with receiver(root, port) as process:
        try:
            for outcome in send(items, "127.0.0.1", port, "OVERREAD", "MR1", timeout=10.0):
                answered.append(outcome)
                if len(answered) == 15:
                    threading.Timer(0.002, os.kill, (process.pid, signal.SIGKILL)).start()
        except DeliveryError:
            pass
    done = {outcome.sop_uid for outcome in answered if outcome.status == 0}
    assert len(done) >= 15
    with receiver(root, port):
        echo("127.0.0.1", port, "OVERREAD", "MR1")
        assert list((root / "spool" / "incoming").rglob("*.part")) == []
    with indexed(root) as store, store.read() as session:
        assert done <= set(session.scalars(select(Instance.uid)))
    spool = Spool(root / "spool")
    kept = dict(spool.files())
    assert done <= set(kept)
    sent = {item.sop_instance: item.dataset() for item in items}
    for uid, path in kept.items():
        assert read_file(spool.root / path)[1] == sent[uid]


def test_an_association_that_is_under_way_is_finished_before_the_process_stops(tmp_path: Path) -> None:
    root, port = tmp_path / "node", free_port()
    with receiver(root, port) as process:
        outcomes = send([outgoing_image(tmp_path / "out") for _ in range(20)], "127.0.0.1", port, "OVERREAD", "MR1")
        assert next(outcomes).ok
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert all(outcome.ok for outcome in outcomes)
        assert process.wait(timeout=15) == 0
    with indexed(root) as store, store.read() as session:
        assert session.scalar(select(func.count(Instance.id))) == 20
