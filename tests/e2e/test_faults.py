"""What a node must survive: killed workers, an emptied broker, dead processes, a stop in the middle of work.

Two nodes do for all of it, one without workers of its own; each test sends studies of its own and looks at these alone.
"""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from node.records.schema import Event, Job, Result
from node.records.states import JobState
from node.simulator.modality import send_study
from node.simulator.pacs import PacsSimulator, Received
from node.simulator.studies import generate
from tests.nodes import RunningNode, running
from tests.peers import eventually

pytestmark = pytest.mark.e2e
AT = dt.datetime(2026, 1, 1, 12)


class House:
    """A node with its PACS, and what both have got since :meth:`begin`."""

    def __init__(self, node: RunningNode, pacs: PacsSimulator) -> None:
        self.node, self.pacs = node, pacs
        self.begin()

    def begin(self) -> None:
        """Leave out what earlier tests have left."""
        self._studies, self._received, self._jobs = len(self.node.studies()), len(self.pacs.received), self.node.jobs()
        self._events = {
            kind: len(self.node.events(kind)) for kind in ("job.requeued", "process.restarted", "process.died")
        }
        self._results = {kind: len(self.node.results(kind)) for kind in ("seg", "sr")}

    def send(self, seed: int) -> None:
        """Send a generated study, another one for each seed."""
        study = generate(seed, accession_number=f"A{seed}", at=AT)
        folder, port = self.node.folder / "modality", self.node.dicom_port
        assert all(outcome.ok for outcome in send_study(study, folder, "127.0.0.1", port, called_ae="OVERREAD"))

    def settled(self, count: int) -> bool:
        """Whether ``count`` studies are settled and nothing of them is on its way."""
        return self.node.settled(self._studies + count)

    def jobs(self) -> list[Job]:
        """Return the jobs."""
        before = {job.id for job in self._jobs}
        return [job for job in self.node.jobs() if job.id not in before]

    def events(self, kind: str) -> list[Event]:
        """Return the timeline's lines of a kind."""
        return self.node.events(kind)[self._events[kind] :]

    def results(self, kind: str) -> list[Result]:
        """Return the built results of a kind."""
        return self.node.results(kind)[self._results[kind] :]

    def received(self) -> list[Received]:
        """Return what the PACS has got."""
        return self.pacs.received[self._received :]


@contextmanager
def living(folder: Path, **workers: Any) -> Iterator[House]:
    """Run a node that sends its results to a PACS."""
    with PacsSimulator(folder / "pacs") as pacs:
        where = f'host = "127.0.0.1"\nport = {pacs.port}\nae_title = "SIM_PACS"\n'
        extra = f'[[destinations]]\nname = "pacs"\nkind = "dicom"\n{where}'
        with running(folder / "node", extra, workers=workers) as node:
            yield House(node, pacs)


@pytest.fixture(scope="module")
def without_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with living(tmp_path_factory.mktemp("unmanned"), processes=0, lease_seconds=6.0) as house:
        yield house


@pytest.fixture(scope="module")
def with_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with living(tmp_path_factory.mktemp("manned")) as house:
        yield house


@pytest.fixture
def unmanned(without_workers: House) -> House:
    """The node without workers, at the beginning of a test."""
    without_workers.begin()
    return without_workers


@pytest.fixture
def manned(with_worker: House) -> House:
    """The node with one worker, at the beginning of a test."""
    with_worker.begin()
    return with_worker


@contextmanager
def extra_worker(node: RunningNode, name: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "node", "worker", "--name", name, "--config", str(node.config)]
    with (node.folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def pending(node: RunningNode) -> int:
    with redis.Redis(unix_socket_path=node.broker_socket) as client:
        return sum(client.llen(key) for key in client.scan_iter("gpu*"))


def test_a_worker_killed_in_mid_inference_loses_its_job_to_another_and_results_are_delivered_once(
    unmanned: House,
) -> None:
    node = unmanned.node
    with extra_worker(node, "first") as first:
        eventually("the first worker is up", lambda: any(name.startswith("first@") for name in node.workers()), 60)
        unmanned.send(1)
        eventually("it infers", lambda: any(job.state is JobState.RUNNING for job in unmanned.jobs()), 30, 0.02)
        first.send_signal(signal.SIGKILL)
        first.wait()
    [job] = unmanned.jobs()
    assert job.state is JobState.RUNNING, "the worker was faster than the kill"
    with extra_worker(node, "second"):
        eventually("the study is delivered", lambda: unmanned.settled(1), 90)
    [job] = unmanned.jobs()
    assert job.attempts == 2
    assert job.worker.startswith("second@")
    assert len(unmanned.events("job.requeued")) == 1
    time.sleep(1)
    assert Counter(item.sop_instance for item in unmanned.received()) == {
        result.uid: 1 for result in (*unmanned.results("seg"), *unmanned.results("sr"))
    }


def test_three_studies_that_wait_in_an_emptied_broker_all_finish(unmanned: House) -> None:
    node = unmanned.node
    for seed in (2, 3, 4):
        unmanned.send(seed)
    eventually("three jobs wait in the broker", lambda: pending(node) == 3)
    with redis.Redis(unix_socket_path=node.broker_socket) as client:
        client.flushall()
    assert [job.state for job in unmanned.jobs()] == [JobState.QUEUED] * 3
    with extra_worker(node, "worker"):
        eventually("all three are delivered", lambda: unmanned.settled(3), 120)
    assert len(unmanned.received()) == 6
    assert [job.attempts for job in unmanned.jobs()] == [1, 1, 1]


def test_every_process_that_is_killed_comes_back_and_the_study_is_finished(manned: House) -> None:
    node = manned.node
    for role in ("receiver", "gateway", "worker", "valkey-server"):
        [process] = node.processes(role)
        os.kill(process.pid, signal.SIGKILL)
    eventually("four restarts are on the timeline", lambda: len(manned.events("process.restarted")) >= 4, 30)
    eventually("the node is ready again", node.ready, 60)
    manned.send(1)
    eventually("the study is delivered", lambda: manned.settled(1), 120)
    assert len(manned.events("process.died")) >= 4


def test_sigterm_in_the_middle_of_work_stops_within_15_seconds_and_the_next_start_finishes(manned: House) -> None:
    node = manned.node
    manned.send(2)
    eventually("a job is there", manned.jobs, 30, 0.05)
    began = time.monotonic()
    assert node.stop() == 0
    assert time.monotonic() - began < 15
    node.start()
    eventually("the study is delivered", lambda: manned.settled(1), 90)
    assert len({item.sop_instance for item in manned.received()}) == 2
