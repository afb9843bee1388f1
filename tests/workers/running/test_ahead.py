from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.records.schema import Job
from node.records.states import JobState
from tests.workers.running.desk import Counting, Desk
from workers import tasks
from workers.reading.inputs import Loaded
from workers.running import ahead
from workers.running.ahead import Ahead


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    found = Desk(tmp_path, counting=Counting())
    yield found
    found.close()


def expected(desk: Desk, count: int = 1) -> list[str]:
    with desk.records.read() as session:
        return [job.id for job in ahead.following(session, "worker", count)]


def test_what_is_urgent_comes_next_and_then_the_oldest(desk: Desk) -> None:
    for number, priority in enumerate(["ROUTINE", "ROUTINE", "STAT"]):
        desk.job(number, priority=priority)
    assert expected(desk, 3) == ["job-2", "job-0", "job-1"]


def test_workers_that_are_at_work_take_one_each_before_this_one(desk: Desk) -> None:
    names = [desk.job(number) for number in range(4)]
    desk.claimed_by("another", names[0])
    assert expected(desk) == [names[2]]
    desk.claimed_by("worker", names[1])
    assert expected(desk) == [names[3]], "its own job is not another's"


class Reader:
    """Reads when it is let, and counts."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.let = threading.Event()
        self.let.set()
        self.read: list[tuple[str, str]] = []

    def __call__(self, job: Job) -> Loaded:
        self.read.append((job.id, threading.current_thread().name))
        assert self.let.wait(20)
        return self.desk.context.read(job)


def test_the_next_series_is_read_beside_the_model_and_once(desk: Desk) -> None:
    reader = Reader(desk)
    desk.context.ahead = Ahead(reader)
    names = [desk.job(number) for number in range(2)]
    desk.inferrer.at_once = 1
    for name in names:
        tasks.infer(desk.context, name)
        assert desk.state(name) is JobState.INFERRED
    assert [job for job, _ in reader.read] == ["job-1"], "the first was not expected, the second not read again"
    assert reader.read[0][1].startswith("ahead")


def test_reading_ahead_claims_nothing(desk: Desk) -> None:
    desk.context.ahead = Ahead(desk.context.read)
    desk.inferrer.at_once = 1
    first, second = desk.job(1), desk.job(2)
    tasks.infer(desk.context, first)
    assert (desk.state(second), desk.row(second).attempts) == (JobState.QUEUED, 0)
    desk.claimed_by("another", second)
    tasks.infer(desk.context, second)
    assert desk.row(second).worker == "another"


def test_what_reading_ahead_raised_is_that_job_s_reason(desk: Desk) -> None:
    desk.context.ahead = Ahead(desk.context.read)
    desk.inferrer.at_once = 1
    first, second = desk.job(1), desk.job(2)
    path = desk.file(second)
    kept = path.read_bytes()
    path.unlink()
    tasks.infer(desk.context, first)
    tasks.infer(desk.context, second)
    assert desk.row(second).reason == "internal error (FileNotFoundError)"
    path.write_bytes(kept)
    tasks.infer(desk.context, second)
    assert desk.state(second) is JobState.INFERRED


def test_what_is_not_expected_any_more_is_dropped_and_what_was_not_begun_is_left_to_the_taker(desk: Desk) -> None:
    names = [desk.job(number) for number in range(3)]
    rows = [desk.row(name) for name in names]
    reader = Reader(desk)
    reader.let.clear()
    reading = Ahead(reader)
    reading.begin(rows[:2])
    assert reading.take(rows[1]) is None, "it waits behind the first: reading it here is quicker"
    reading.begin(rows[2:])
    assert reading.take(rows[0]) is None, "dropped"
    reader.let.set()
    assert reading.take(rows[2]) is None or [job for job, _ in reader.read] == ["job-0", "job-2"]
    reading.close()


def test_other_inputs_of_the_same_series_are_read_anew(desk: Desk) -> None:
    row = desk.row(desk.job(1))
    reading = Ahead(desk.context.read)
    reading.begin([row])
    row.input_digest = "another"
    assert reading.take(row) is None
    reading.close()


def test_what_would_fill_the_memory_is_not_read_ahead(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    row = desk.row(desk.job(1))
    with desk.records.read() as session:
        assert ahead.fits(session, row)
        monkeypatch.setattr("models.machine.free_memory", lambda: 10_000)
        assert not ahead.fits(session, row)
