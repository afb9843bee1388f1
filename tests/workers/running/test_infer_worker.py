"""A real worker beside a broker: its models run in another process, which ends with it."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from node.broker import INFER, Task
from node.records.schema import Job
from node.records.states import JobState
from tests.benchmarks.runtime.crew import Crew, crew
from tests.peers import eventually
from tests.processes import children

pytestmark = pytest.mark.e2e


@pytest.fixture
def found(tmp_path: Path) -> Iterator[Crew]:
    with crew(tmp_path) as running:
        yield running


def worker_of() -> psutil.Process:
    """The worker among this process's children."""
    return children(" worker")[0]


def spawned(worker: psutil.Process) -> psutil.Process | None:
    return next(iter(children("spawn_main", worker.pid)), None)


def idle(process: psutil.Process) -> bool:
    """Whether a process does nothing for a while."""
    before = process.cpu_times()
    time.sleep(1)
    after = process.cpu_times()
    return bool(after.user + after.system - before.user - before.system < 0.05)


def test_a_model_process_that_is_killed_costs_an_attempt_and_sigterm_ends_all_of_it(found: Crew) -> None:
    worker, job = worker_of(), found.add(1)
    eventually("the process for models runs", lambda: spawned(worker) is not None, 60)
    first = spawned(worker)
    assert first is not None
    first.suspend()  # it cannot answer before it is killed
    found.broker.send(Task(INFER, job, 0))
    eventually("the job runs", lambda: _row(found, job).state is JobState.RUNNING, 60)
    eventually("the worker waits for the answer", lambda: idle(worker), 60)
    first.kill()
    eventually("the job is back", lambda: _row(found, job).state is JobState.QUEUED, 60)
    assert "was killed, as the system does when memory runs out" in _row(found, job).reason
    found.run([job])  # the gateway, which is not here, asks again
    assert _row(found, job).attempts == 2
    second = spawned(worker)
    assert second is not None
    assert second.pid != first.pid
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0
    eventually("the process for models is gone", lambda: not second.is_running(), 10)


def _row(found: Crew, name: str) -> Job:
    with found.records.read() as session:
        return session.get_one(Job, name)
