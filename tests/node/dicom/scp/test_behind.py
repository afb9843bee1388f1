from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from node.dicom.scp.behind import Behind


@pytest.fixture
def behind() -> Iterator[Behind]:
    made = Behind("test")
    yield made
    made.close()


def test_work_is_done_in_order_by_one_thread_and_wait_sees_the_end_of_it(behind: Behind) -> None:
    done: list[int] = []
    threads: set[str] = set()

    def work(number: int) -> None:
        done.append(number)
        threads.add(threading.current_thread().name)

    for number in range(100):
        behind.do(lambda number=number: work(number))  # type: ignore[misc]
    behind.wait()
    assert (done, threads) == (list(range(100)), {"test"})


def test_who_hands_work_over_goes_on_at_once_but_waits_for_the_piece_before(behind: Behind) -> None:
    free, second = threading.Event(), threading.Event()

    def first() -> None:
        free.wait(10)

    behind.do(first)
    waiter = threading.Thread(target=behind.do, args=(second.set,))
    waiter.start()
    assert not second.wait(0.05)
    free.set()
    assert second.wait(10)
    waiter.join()


def test_closing_waits_and_ends_the_thread() -> None:
    before = threading.active_count()
    behind = Behind("test")
    done = threading.Event()
    behind.do(done.set)
    behind.close()
    assert done.is_set()
    assert threading.active_count() == before
    behind.close()


def test_where_no_thread_can_be_had_the_work_is_done_at_once(behind: Behind, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", full)
    done: list[int] = []
    behind.do(lambda: done.append(1))
    assert done == [1]
