"""What a node must survive: killed workers, an emptied broker, dead processes, a stop in the middle of work."""

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

import pytest
import redis

from node.records.states import JobState
from node.simulator.modality import send_study
from node.simulator.pacs import PacsSimulator
from node.simulator.studies import generate
from tests.nodes import RunningNode, running
from tests.peers import eventually

pytestmark = pytest.mark.e2e
AT = dt.datetime(2026, 1, 1, 12)


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[PacsSimulator]:
    with PacsSimulator(tmp_path / "pacs") as simulator:
        yield simulator


def destination(pacs: PacsSimulator) -> str:
    where = f'host = "127.0.0.1"\nport = {pacs.port}\nae_title = "SIM_PACS"\n'
    return f'[[destinations]]\nname = "pacs"\nkind = "dicom"\n{where}'


def send(node: RunningNode, seed: int) -> None:
    study = generate(seed, accession_number=f"A{seed}", at=AT)
    outcomes = list(send_study(study, node.folder / "modality", "127.0.0.1", node.dicom_port, called_ae="OVERREAD"))
    assert all(outcome.ok for outcome in outcomes)


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
    pacs: PacsSimulator, tmp_path: Path
) -> None:
    workers = {"processes": 0, "lease_seconds": 2.0}
    with running(tmp_path / "node", destination(pacs), workers=workers) as node:
        with extra_worker(node, "first") as first:
            eventually("the first worker is up", lambda: any(name.startswith("first@") for name in node.workers()), 60)
            send(node, 1)
            eventually("it infers", lambda: any(job.state is JobState.RUNNING for job in node.jobs()), 30, 0.02)
            first.send_signal(signal.SIGKILL)
            first.wait()
        [job] = node.jobs()
        assert job.state is JobState.RUNNING, "the worker was faster than the kill"
        with extra_worker(node, "second"):
            eventually("the study is delivered", lambda: node.settled(1), 90)
        [job] = node.jobs()
        assert job.attempts == 2
        assert job.worker.startswith("second@")
        assert len(node.events("job.requeued")) == 1
        time.sleep(1)
        assert Counter(item.sop_instance for item in pacs.received) == {
            result.uid: 1 for result in (*node.results("seg"), *node.results("sr"))
        }


def test_three_studies_that_wait_in_an_emptied_broker_all_finish(pacs: PacsSimulator, tmp_path: Path) -> None:
    with running(tmp_path / "node", destination(pacs), workers={"processes": 0}) as node:
        for seed in (1, 2, 3):
            send(node, seed)
        eventually("three jobs wait in the broker", lambda: pending(node) == 3)
        with redis.Redis(unix_socket_path=node.broker_socket) as client:
            client.flushall()
        assert [job.state for job in node.jobs()] == [JobState.QUEUED] * 3
        with extra_worker(node, "worker"):
            eventually("all three are delivered", lambda: node.settled(3), 120)
        assert len(pacs.received) == 6
        assert [job.attempts for job in node.jobs()] == [1, 1, 1]


def test_every_process_that_is_killed_comes_back_and_the_study_is_finished(pacs: PacsSimulator, tmp_path: Path) -> None:
    with running(tmp_path / "node", destination(pacs), workers={"lease_seconds": 2.0}) as node:
        for role in ("receiver", "gateway", "worker", "valkey-server"):
            [process] = node.processes(role)
            os.kill(process.pid, signal.SIGKILL)
        eventually("four restarts are on the timeline", lambda: len(node.events("process.restarted")) >= 4, 30)
        eventually("the node is ready again", node.ready, 60)
        send(node, 1)
        eventually("the study is delivered", lambda: node.settled(1), 120)
        assert len(node.events("process.died")) >= 4


def test_sigterm_in_the_middle_of_work_stops_within_15_seconds_and_the_next_start_finishes(
    pacs: PacsSimulator, tmp_path: Path
) -> None:
    with running(tmp_path / "node", destination(pacs)) as node:
        send(node, 1)
        eventually("a job is there", node.jobs, 30, 0.05)
        began = time.monotonic()
        assert node.stop() == 0
        assert time.monotonic() - began < 15
        node.start()
        eventually("the study is delivered", lambda: node.settled(1), 90)
        assert len({item.sop_instance for item in pacs.received}) == 2
