"""`overread serve`: starts the node's processes, watches them, restarts what dies, stops all of them in order.

Children are killed by the kernel if the supervisor itself is killed (Linux), so that nothing holds ports or files
behind its back.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from node import logs, ports
from node.broker import Broker, broker_url, embedded_command
from node.errors import OverreadError
from node.processes import die_with_parent
from node.records import timeline
from node.records.engine import Records
from node.restarts import Restarts
from node.settings import Settings

TICK_SECONDS = 0.1
BROKER_START_SECONDS = 10.0
BROKER_STOP_SECONDS = 2.5
LINE_SECONDS = 1.0
"""How long a line for the timeline waits for other writers: neither a restart nor the stop waits for a busy store."""


class AlreadyRunning(OverreadError):
    """Another node runs on the same root."""


@dataclass(frozen=True, slots=True)
class Role:
    """A process to keep alive."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


class Child:
    """One role's process through its restarts."""

    def __init__(self, role: Role) -> None:
        self.role = role
        self.process: subprocess.Popen[bytes] | None = None
        self.restarts = Restarts()

    def start(self) -> None:
        """Start the process."""
        self.process = subprocess.Popen(
            self.role.command,
            env={**os.environ, **self.role.environment},
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            start_new_session=True,  # a Ctrl-C on the terminal reaches the supervisor only
            preexec_fn=die_with_parent(signal.SIGKILL),
        )
        self.restarts.started()

    def died(self) -> int | None:
        """Return the exit status if the process has just ended by itself, and plan its restart."""
        if self.process is None or (code := self.process.poll()) is None:
            return None
        self.process = None
        self.restarts.died()
        return code

    def signal(self, number: int) -> None:
        """Send a signal, if the process still runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def wait(self, deadline: float) -> bool:
        """Wait for the end until ``deadline``; kill it then. True if it ended by itself."""
        if self.process is None:
            return True
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return False
        return True


def roles(settings: Settings, config: Path | None) -> list[Role]:
    """Return the processes that the settings ask for, without the broker."""
    base = (sys.executable, "-m", "node")
    tail = ("--config", str(config.resolve())) if config else ()
    light = (sys.executable, "-m", "node.service")
    found = [Role(name, (*light, name, *tail)) for name in ("receiver", "indexer", "listener")]
    found.append(Role("gateway", (*base, "gateway", *tail)))
    found += [
        Role(f"worker-{n}", (*base, "worker", "--name", f"worker-{n}", *tail))
        for n in range(1, settings.workers.processes + 1)
    ]
    return found


class Supervisor:
    """Runs the node on one machine."""

    def __init__(self, settings: Settings, processes: Sequence[Role]) -> None:
        self._settings = settings
        self._records = Records(settings.database_url, busy_seconds=LINE_SECONDS)
        self._broker = (
            None if settings.broker.url else Child(Role("broker", tuple(embedded_command(settings.node.root))))
        )
        self._children = [Child(role) for role in processes]
        self._stopping = False
        self._log = logs.get("supervisor")

    def stop(self, *_: object) -> None:
        """Ask :meth:`run` to end."""
        self._stopping = True

    def run(self) -> int:
        """Start everything and watch until asked to stop; returns the exit status, 1 if something had to be killed."""
        root = self._settings.node.root
        root.mkdir(parents=True, exist_ok=True)
        _keep_private(root)
        with _lock(root):
            try:
                self._start()
                while not self._stopping:
                    self._watch()
                    time.sleep(TICK_SECONDS)
            finally:
                clean = self._stop()
            return 0 if clean else 1

    def _all(self) -> list[Child]:
        return [*([self._broker] if self._broker else []), *self._children]

    def _start(self) -> None:
        if self._broker is not None:
            self._broker.start()
            self._await_broker()
        records = Records(self._settings.database_url)
        records.migrate()
        records.close()
        for child in self._children:
            child.start()
        self._event("process.started", "The node started.", "info")
        self._log.info("node.started", count=len(self._all()), root=str(self._settings.node.root.resolve()))

    def _await_broker(self) -> None:
        broker = Broker(broker_url(self._settings))
        deadline = time.monotonic() + BROKER_START_SECONDS
        try:
            while not broker.ready():
                if self._stopping:
                    return
                if time.monotonic() > deadline or (self._broker and self._broker.died() is not None):
                    raise OverreadError("the embedded broker did not start: see broker/valkey.log under the root")
                time.sleep(0.05)
        finally:
            broker.close()

    def _watch(self) -> None:
        for child in self._all():
            code = child.died()
            if code is not None:
                how = f"signal {signal.Signals(-code).name}" if code < 0 else f"status {code}"
                text = f"Process {child.role.name} ended ({how}); restarting in {child.restarts.wait_seconds:g} s."
                self._event("process.died", text, "error")
                self._log.error(
                    "process.died", task=child.role.name, returncode=code, seconds=child.restarts.wait_seconds
                )
            elif child.process is None and child.restarts.due:
                child.start()
                self._event("process.restarted", f"Process {child.role.name} restarted.", "warning")
                self._log.warning("process.restarted", task=child.role.name, count=child.restarts.failures)

    def _stop(self) -> bool:
        self._log.info("node.stopping")
        deadline = time.monotonic() + self._settings.node.stop_seconds
        clean = _end(self._children, deadline)
        if self._broker is not None:
            clean &= _end([self._broker], time.monotonic() + BROKER_STOP_SECONDS)
        self._event(
            "process.stopped", "The node stopped." if clean else "The node stopped; a process was killed.", "info"
        )
        self._records.close()
        self._log.info("node.stopped", state="clean" if clean else "killed")
        return clean

    def _event(self, kind: str, text: str, level: timeline.Level) -> None:
        """Write a line; a record store that is out of reach must not end the supervisor."""
        try:
            with self._records.write() as session:
                timeline.add(session, kind, text, level=level)
        except Exception as exc:
            self._log.error("timeline.unreachable", error=exc)


def _keep_private(root: Path) -> None:
    """Take from others what an earlier version or another umask gave them: the records hold patient data."""
    for path in (root, *root.glob("overread.sqlite*")):
        try:
            path.chmod(0o700 if path is root else 0o600)
        except OSError as exc:
            logs.get("supervisor").warning("node.not_private", error=exc)


def _end(children: Sequence[Child], deadline: float) -> bool:
    for child in children:
        child.signal(signal.SIGTERM)
    ended = [child.wait(deadline) for child in children]  # a list: each is waited for, or killed
    return all(ended)


class _lock:  # noqa: N801  used as a function
    """Hold the root for this node alone."""

    def __init__(self, root: Path) -> None:
        self._path = root / "serve.lock"
        self._file: IO[str] | None = None

    def __enter__(self) -> None:
        self._file = self._path.open("w")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            self._file.close()
            raise AlreadyRunning(f"another node runs on {self._path.parent}: stop it, or set node.root") from exc

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


def serve(settings: Settings, config: Path | None) -> int:
    """Run the node until SIGTERM or SIGINT; returns the exit status.

    Raises
    ------
    OverreadError
        If a port is taken, another node runs on the root, or the broker does not start.
    """
    if taken := ports.problems(settings):
        raise OverreadError("\n".join(taken))
    supervisor = Supervisor(settings, roles(settings, config))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, supervisor.stop)
    return supervisor.run()
