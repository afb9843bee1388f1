from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from models.contracts import Geometry, Prediction, Record, Volume
from models.running import transport
from models.running.answers import Answers, InferenceLost
from models.running.options import RunOptions
from models.running.process import Main, ModelProcess, descendants
from tests.models.running import children

Starter = Callable[..., ModelProcess]


@pytest.fixture
def start() -> Iterator[Starter]:
    """Give a function that starts a process; it is killed after the test."""
    started = []

    def start_one(main: Main = children.obedient, seconds: float = 60.0) -> ModelProcess:
        started.append(ModelProcess(RunOptions(device="cpu"), seconds, main))
        return started[-1]

    yield start_one
    for process in started:
        process.close()


def volume(*shape: int) -> Volume:
    array = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    return Volume(array, Geometry(np.eye(4), (shape[0], shape[1], shape[2])), "MR", {"BodyPartExamined": "BRAIN"})


def who(answers: Answers) -> str:
    [outcome] = answers.outcomes
    assert isinstance(outcome, Prediction)
    return outcome.findings[0].text


def gone(pid: int) -> bool:
    """Whether a process has ended; a zombie has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_until(what: Callable[[], bool], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not what() and time.monotonic() < deadline:
        time.sleep(0.02)
    return what()


def test_arrays_go_there_and_come_back_and_what_is_written_into_the_input_there_stays_there(start: Starter) -> None:
    process = start()
    source = volume(9, 40, 30)
    before = source.array.copy()
    for _ in range(2):
        [outcome] = process.ask("any", [source]).outcomes
        assert isinstance(outcome, Prediction)
        assert outcome.labels is not None
        expected = before.copy()
        expected[0, 0, 0] = -7.0
        np.testing.assert_array_equal(outcome.labels, expected > 0)
        np.testing.assert_array_equal(outcome.maps[0].array, expected * 2)
        outcome.maps[0].array[:] = 0  # is the receiver's own
        np.testing.assert_array_equal(source.array, before)


def test_one_process_answers_until_it_is_lost_and_another_answers_after_it(start: Starter) -> None:
    process = start()
    first = who(process.ask("any", [Record()]))
    assert who(process.ask("any", [Record()])) == first == str(process.pid)
    with pytest.raises(InferenceLost, match=r"crashed \(SIGSEGV\)"):
        process.ask("any", [Record(sex="O")])
    assert gone(int(first))
    assert who(process.ask("any", [Record()])) != first


def test_a_model_that_hangs_is_killed_with_what_it_started(start: Starter, tmp_path: Path) -> None:
    process, note = start(seconds=30.0), tmp_path / "pid"
    pid = int(who(process.ask("any", [Record()])))
    process._timeout = 2.0
    with pytest.raises(InferenceLost, match="did not answer within 2 s"):
        process.ask(f"hangs-with-child:{note}", [Record()])
    assert gone(pid)
    assert wait_until(lambda: gone(int(note.read_text())))


def test_the_reason_says_how_the_process_ended(start: Starter) -> None:
    process = start()
    with pytest.raises(InferenceLost, match="was killed, as the system does when memory runs out"):
        process.ask("killed", [Record()])
    with pytest.raises(InferenceLost, match="exit status 7"):
        process.ask("exits", [Record()])


def test_an_input_that_finds_no_memory_on_its_way_is_told_of_as_that(
    start: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    process = start()
    with monkeypatch.context() as patch:
        patch.setattr(transport, "_memory", full)
        with pytest.raises(InferenceLost, match="no memory to hand the input"):
            process.ask("any", [Record()])
    assert who(process.ask("any", [Record()])) == str(process.pid)


def test_an_answer_that_is_none_is_not_taken(start: Starter) -> None:
    process = start(children.strange)
    with pytest.raises(InferenceLost, match="an answer that is none"):
        process.ask("any", [Record()])
    assert process.pid is None


def test_a_process_that_ends_before_it_is_ready_is_told_of(start: Starter) -> None:
    with pytest.raises(InferenceLost, match="exit status 0"):
        start(children.silent).ask("any", [Record()])


def test_signals_to_the_group_do_not_end_it_but_closing_does(start: Starter) -> None:
    process = start()
    pid = int(who(process.ask("any", [Record()])))
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGINT)
    assert who(process.ask("any", [Record()])) == str(pid)
    began = time.monotonic()
    process.close()
    assert gone(pid)
    assert time.monotonic() - began < 15


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel ends the child with its parent on Linux")
def test_it_ends_with_a_parent_that_is_killed() -> None:
    script = (
        "from models.contracts import Record\n"
        "from models.running.options import RunOptions\n"
        "from models.running.process import ModelProcess\n"
        "from tests.models.running import children\n"
        "if __name__ == '__main__':\n"
        "    process = ModelProcess(RunOptions(), 600.0, children.obedient)\n"
        "    process.ask('any', [Record()])\n"
        "    print(process.pid, flush=True)\n"
        "    process.ask('hangs', [Record()])\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert pid in descendants(parent.pid)
        parent.kill()
    try:
        assert wait_until(lambda: gone(pid))
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
