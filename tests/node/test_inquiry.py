from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from node.dicom.query import QueryError
from node.inquiry import Answer, Ask, Inquiry
from node.records.evidence import Arriving
from node.records.states import StudyState
from node.settings import Settings
from tests.peers import eventually

T0 = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
STUDY = Arriving(1, "1.2.3", StudyState.RECEIVING, "PACS", T0, None)


def inquiry(ask: Ask) -> Inquiry:
    peers = [
        {"ae_title": "PACS", "host": "127.0.0.1", "port": 104, "query": True},
        {"ae_title": "MR1", "host": "127.0.0.1", "port": 105},
    ]
    return Inquiry(Settings.model_validate({"dicom": {"peers": peers}}), ask)


def answer(asked: Inquiry) -> Answer:
    found: list[Answer] = eventually("an answer", asked.answers, pause=0.01)
    return found[0]


def silent(uid: str, peer: object) -> int:
    raise QueryError("the peer gave no answer in time, or broke off")


@pytest.mark.parametrize("ae_title", ["MR1", "ELSE", ""])
def test_only_peers_that_are_to_be_queried_are_asked(ae_title: str) -> None:
    asked = inquiry(silent)
    assert asked.settled(replace(STUDY, calling_ae_title=ae_title))
    asked.again(replace(STUDY, calling_ae_title=ae_title))
    assert asked.answers() == []


def test_a_study_waits_for_the_answer_and_is_asked_for_once() -> None:
    calls: list[str] = []

    def ask(uid: str, peer: object) -> int:
        calls.append(uid)
        return 120

    asked = inquiry(ask)
    assert not asked.settled(STUDY)
    assert not asked.settled(STUDY)
    assert answer(asked) == Answer(STUDY, "PACS", 120)
    assert asked.settled(STUDY)
    assert calls == ["1.2.3"]


def test_more_instances_are_a_new_question() -> None:
    asked = inquiry(lambda uid, peer: 120)
    asked.settled(STUDY)
    answer(asked)
    assert not asked.settled(replace(STUDY, last_instance_at=T0 + dt.timedelta(seconds=1)))


@pytest.mark.parametrize(("count", "problem"), [(0, "does not know"), (None, "no number")])
def test_an_answer_without_a_number_says_what_it_was(count: int | None, problem: str) -> None:
    asked = inquiry(lambda uid, peer: count)
    asked.settled(STUDY)
    said = answer(asked)
    assert said.count is None
    assert problem in said.problem
    assert asked.settled(STUDY)


def test_a_peer_that_does_not_answer_is_left_alone_for_a_while() -> None:
    calls: list[str] = []

    def ask(uid: str, peer: object) -> int:
        calls.append(uid)
        return silent(uid, peer)

    asked = inquiry(ask)
    asked.settled(STUDY)
    assert "no answer in time" in answer(asked).problem
    assert asked.settled(replace(STUDY, id=2, uid="1.2.4"))
    assert "a moment ago" in answer(asked).problem
    assert calls == ["1.2.3"]


def test_an_error_of_a_library_is_an_answer_without_its_text() -> None:
    def ask(uid: str, peer: object) -> int:
        raise RuntimeError("Doe^Jane")

    asked = inquiry(ask)
    asked.settled(STUDY)
    assert answer(asked).problem == "internal error (RuntimeError)"


def test_no_study_waits_longer_than_the_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.inquiry.HOLD_SECONDS", 0.05)
    stop = threading.Event()
    asked = inquiry(lambda uid, peer: int(stop.wait(10)))
    assert not asked.settled(STUDY)
    time.sleep(0.1)
    assert asked.settled(STUDY)
    assert answer(asked).problem == "no answer in time"
    stop.set()


def test_questions_that_find_no_place_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.inquiry.WAITING", 1)
    stop = threading.Event()
    asked = inquiry(lambda uid, peer: int(stop.wait(10)))
    studies = [replace(STUDY, id=number, uid=f"1.2.{number}") for number in range(5)]
    assert any(asked.settled(study) for study in studies)
    assert "too many" in answer(asked).problem
    stop.set()


def test_a_peer_that_has_more_is_asked_again_ever_more_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = [1000.0]
    monkeypatch.setattr("node.inquiry.time.monotonic", lambda: moment[0])
    asked = inquiry(lambda uid, peer: 120)
    asked_at = []
    for _ in range(4000):
        before = asked._asked.get(1)
        asked.again(STUDY)
        if asked._asked[1] is not before:
            asked_at.append(moment[0])
            wait_for(lambda: asked.answers())
        moment[0] += 1.0
    pauses = [int(after - before) for before, after in pairwise(asked_at)]
    assert pauses == [5, 10, 20, 40, 80, 160, 320, 600, 600, 600, 600, 600]


def test_what_is_known_of_studies_that_are_over_is_forgotten() -> None:
    asked = inquiry(lambda uid, peer: 120)
    asked.settled(STUDY)
    answer(asked)
    asked.forget({2})
    assert not asked.settled(STUDY)


def wait_for(check: Callable[[], object]) -> None:
    """Wait by sleeping, where the clock is the test's."""
    for _ in range(2000):
        if check():
            return
        time.sleep(0.001)
    raise AssertionError("no answer")
