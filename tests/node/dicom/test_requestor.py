"""An association that the node asked for, between its own thread, who uses it, and reports that come on it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

from pynetdicom.association import Association

from node.dicom.requestor import _Gate, _Reports


@contextmanager
def walking() -> Iterator[tuple[_Gate, Any]]:
    """Run a thread through a gate again and again, as an association's does."""
    end = threading.Event()

    class Walker(threading.Thread):
        _is_paused = False

        def run(self) -> None:
            while not end.is_set():
                self._is_paused = True
                gate.wait()
                self._is_paused = False

    walker = Walker(daemon=True)
    gate = _Gate(cast(Association, walker))
    walker.start()
    try:
        yield gate, walker
    finally:
        end.set()
        gate.set()
        walker.join(5)


def test_who_closes_the_gate_finds_the_thread_standing_however_often_and_quickly() -> None:
    with walking() as (gate, walker):
        for _ in range(2000):
            gate.clear()
            assert walker._is_paused
            gate.set()


def test_a_thread_that_was_let_go_and_has_not_moved_stands_again() -> None:
    with walking() as (gate, walker):
        gate.clear()
        gate._standing.clear()  # as if it had been told between two looks
        walker._is_paused = False
        assert gate._standing.wait(5), "it says again that it stands"
        threading.Event.set(gate)
        gate.clear()
        assert walker._is_paused


def test_a_gate_is_not_waited_at_when_the_thread_is_gone() -> None:
    with walking() as (gate, walker):
        pass
    walker.join(5)
    gate.set()
    gate.clear()
    assert not gate.is_set()


def test_a_report_that_is_being_answered_is_waited_for_before_the_release() -> None:
    answered = threading.Event()

    def serve(_message: object, _context: int) -> None:
        time.sleep(0.3)
        answered.set()

    assoc: Any = SimpleNamespace(_is_paused=False, _reactor_checkpoint=threading.Event(), _serve_request=serve)
    reports = _Reports(assoc)
    threading.Thread(target=assoc._serve_request, args=("report", 1)).start()
    time.sleep(0.05)
    reports.wait(5)
    assert answered.is_set()


def test_a_report_that_is_never_answered_is_not_waited_for_for_ever() -> None:
    end = threading.Event()
    assoc: Any = SimpleNamespace(_is_paused=False, _reactor_checkpoint=threading.Event())
    assoc._serve_request = lambda message, context: end.wait(20)
    reports = _Reports(assoc)
    serving = threading.Thread(target=assoc._serve_request, args=("report", 1))
    serving.start()
    began = time.monotonic()
    reports.wait(0.2)
    assert time.monotonic() - began < 10
    end.set()
    serving.join()


def test_an_answered_report_does_not_wake_a_thread_that_stands() -> None:
    with walking() as (gate, walker):
        walker._reactor_checkpoint = gate
        walker._serve_request = lambda message, context: setattr(walker, "_is_paused", False)
        _Reports(cast(Association, walker))
        gate.clear()
        walker._serve_request("report", 1)
        assert walker._is_paused
