from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from node.errors import OverreadError
from node.records import timeline
from node.records.engine import Records
from node.settings import BrokerSection, NodeSection, Settings, WorkersSection
from node.supervisor import Role, Supervisor, roles
from tests.peers import eventually
from tests.processes import children

SLEEPER = "import time; time.sleep(60)"
STUBBORN = (
    "import pathlib, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); pathlib.Path({!r}).touch(); "
    "time.sleep(60)"
)


def settings(root: Path, **node: float) -> Settings:
    return Settings(
        node=NodeSection(root=root, **node),  # type: ignore[arg-type]
        broker=BrokerSection(url="redis://127.0.0.1:1/0"),
    )


def role(name: str, code: str) -> Role:
    return Role(name, (sys.executable, "-c", code))


@contextmanager
def supervised(of: Settings, *processes: Role) -> Iterator[list[int]]:
    """Run a supervisor in a thread; its exit status is in the list after the body."""
    supervisor, status = Supervisor(of, processes), []
    thread = threading.Thread(target=lambda: status.append(supervisor.run()))
    thread.start()
    try:
        yield status
    finally:
        supervisor.stop()
        thread.join(30)
        assert not thread.is_alive()


def texts(of: Settings) -> list[str]:
    records = Records(of.database_url)
    try:
        with records.read() as session:
            return [line.text for line in reversed(timeline.of_node(session))]
    except Exception:
        return []  # the supervisor has not made the tables yet
    finally:
        records.close()


def child(code: str) -> psutil.Process | None:
    return next(iter(children(code)), None)


def test_a_process_that_dies_is_restarted_and_the_timeline_says_so(tmp_path: Path) -> None:
    of = settings(tmp_path)
    with supervised(of, role("worker-1", SLEEPER)):
        first = eventually("it runs", lambda: child(SLEEPER))
        os.kill(first.pid, signal.SIGKILL)
        eventually("another one runs", lambda: (again := child(SLEEPER)) is not None and again.pid != first.pid)
    said = texts(of)
    assert "Process worker-1 ended (signal SIGKILL); restarting in 0.5 s." in said
    assert "Process worker-1 restarted." in said


def test_each_early_death_prolongs_the_wait(tmp_path: Path) -> None:
    of = settings(tmp_path)
    with supervised(of, role("gateway", "raise SystemExit(3)")):
        eventually("it died three times", lambda: sum("ended (status 3)" in text for text in texts(of)) >= 3)
    waits = [text.rsplit("restarting in ", 1)[1] for text in texts(of) if "restarting" in text]
    assert waits[:3] == ["0.5 s.", "1 s.", "2 s."]


def test_processes_that_end_on_sigterm_make_a_clean_stop(tmp_path: Path) -> None:
    of = settings(tmp_path)
    with supervised(of, role("gateway", SLEEPER)) as status:
        eventually("it runs", lambda: child(SLEEPER))
    assert status == [0]
    assert child(SLEEPER) is None
    assert texts(of)[-1] == "The node stopped."


def test_a_process_that_ignores_sigterm_is_killed_in_time_and_the_status_says_so(tmp_path: Path) -> None:
    of, deaf = settings(tmp_path, stop_seconds=0.5), tmp_path / "deaf"
    code = STUBBORN.format(str(deaf))
    with supervised(of, role("gateway", code)) as status:
        eventually("it ignores SIGTERM", deaf.exists)
        assert child(code) is not None
        began = time.monotonic()
    assert time.monotonic() - began < 10
    assert status == [1]
    assert child(code) is None


def test_a_busy_record_store_delays_neither_a_restart_nor_the_stop(tmp_path: Path) -> None:
    of = settings(tmp_path)
    busy = Records(of.database_url)
    with ExitStack() as lock:
        with supervised(of, role("gateway", SLEEPER)):
            eventually("it has started", lambda: "The node started." in texts(of))
            lock.enter_context(busy.write())
            began = time.monotonic()
            victim = child(SLEEPER)
            assert victim is not None
            victim.kill()
            eventually("it runs again", lambda: (now := child(SLEEPER)) is not None and now.pid != victim.pid)
        assert time.monotonic() - began < 10
    busy.close()


def test_two_nodes_do_not_share_a_root(tmp_path: Path) -> None:
    of = settings(tmp_path)
    with supervised(of, role("gateway", SLEEPER)):
        eventually("it runs", lambda: child(SLEEPER))
        with pytest.raises(OverreadError, match="another node runs"):
            Supervisor(of, []).run()


def test_the_settings_say_which_processes_run(tmp_path: Path) -> None:
    of = Settings(node=NodeSection(root=tmp_path), workers=WorkersSection(processes=2))
    names = [item.name for item in roles(of, tmp_path / "overread.toml")]
    assert names == ["receiver", "indexer", "listener", "gateway", "worker-1", "worker-2"]
    assert all(item.command[-1] == str(tmp_path / "overread.toml") for item in roles(of, tmp_path / "overread.toml"))
