"""What goes on beside the main thread of a worker: finishing in order, and renewing leases."""

from __future__ import annotations

import datetime as dt
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node import logs
from node.records.schema import now
from node.settings import Settings, WorkersSection
from tests.workers.running.desk import Counting, Desk
from workers.context import share_cores
from workers.running.finishing import AtOnce, InBackground
from workers.running.leases import Leases

LOG = logs.get("test")


def wait_until(what: Callable[[], bool], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not what() and time.monotonic() < deadline:
        time.sleep(0.01)
    return what()


def test_finishing_at_once_is_done_on_return() -> None:
    done: list[int] = []
    AtOnce().do(lambda: done.append(1))
    assert done == [1]


def test_finishing_in_the_background_keeps_the_order_and_goes_on_after_an_error() -> None:
    done: list[int] = []
    finisher = InBackground(LOG)

    def broken() -> None:
        raise RuntimeError("Doe^Jane")

    for work in (lambda: done.append(1), broken, lambda: done.append(2), lambda: done.append(3)):
        finisher.do(work)
    finisher.close()
    assert done == [1, 2, 3]


def test_it_says_when_it_is_behind_and_makes_the_next_wait() -> None:
    finisher, go, done = InBackground(LOG), threading.Event(), list[int]()
    assert not finisher.behind
    finisher.do(lambda: done.append(int(go.wait(20))))
    finisher.do(lambda: done.append(2))
    finisher.do(lambda: done.append(3))
    assert wait_until(lambda: finisher.behind)
    fourth = threading.Thread(target=finisher.do, args=(lambda: done.append(4),))
    fourth.start()
    fourth.join(0.2)
    assert fourth.is_alive(), "two wait already"
    go.set()
    fourth.join(20)
    finisher.close()
    assert done == [1, 2, 3, 4]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    found = Desk(tmp_path, counting=Counting())
    yield found
    found.close()


def test_all_leases_that_are_held_are_renewed_and_no_others(desk: Desk) -> None:
    names = [desk.job(number) for number in range(3)]
    for name in names:
        desk.claimed_by("worker", name)
    before = {name: desk.row(name).lease_until for name in names}
    leases = Leases(desk.records, "worker", 0.3, LOG)
    for name in names[:2]:
        leases.hold(name)

    def renewed(name: str) -> bool:
        return desk.row(name).lease_until != before[name]

    assert wait_until(lambda: renewed(names[0]) and renewed(names[1]))
    assert not renewed(names[2])
    leases.close()


def test_a_lease_that_is_released_runs_out(desk: Desk) -> None:
    name = desk.job(1)
    desk.claimed_by("worker", name)
    leases = Leases(desk.records, "worker", 0.3, LOG)
    leases.hold(name)
    leases.release(name)
    time.sleep(0.5)
    until = desk.row(name).lease_until
    assert until is not None
    assert until - now() > dt.timedelta(seconds=50), "as it was claimed, for a minute"
    leases.close()


def test_a_job_that_became_another_worker_s_is_not_held_any_more(desk: Desk) -> None:
    name = desk.job(1)
    desk.claimed_by("another", name)
    leases = Leases(desk.records, "worker", 0.3, LOG)
    leases.hold(name)
    assert wait_until(lambda: not leases._held)
    leases.close()


def test_a_worker_s_threads_share_the_cores_and_sleep_while_they_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    share_cores(Settings(workers=WorkersSection(threads=3)))
    assert (os.environ["OMP_NUM_THREADS"], os.environ["OMP_WAIT_POLICY"]) == ("3", "PASSIVE")
    share_cores(Settings(workers=WorkersSection(threads=5)))
    assert os.environ["OMP_NUM_THREADS"] == "3", "what the operator set holds"
