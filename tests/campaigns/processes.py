"""The receivers and the indexer of a node as the supervisor starts them, to be killed and looked at."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from node.processes import die_with_parent
from node.records.engine import Records
from tests.peers import eventually, free_port

START_SECONDS = 120.0
"""How long a start may take on a machine that is busy with senders, with a spool of hundreds of thousands of files."""
RESTART_SECONDS = 0.5
"""The supervisor's first wait before a restart."""
RECEIVER, INDEXER = "receiver", "indexer"
RECEIVERS = ("receiver-1", "receiver-2")
READY = {"receiver": '"event": "listening"', "indexer": '"event": "started"'}
NEVER_LOGGED = ("internal error", "broke the receiver", "broke the index", "thread.failed", "Traceback", "no entries")
"""Nothing that a peer or a kill does may bring these into a log."""


class Service:
    """One process that the supervisor starts, with its children, through its restarts."""

    module, said = "node.service", 1

    def __init__(self, name: str, config: Path, folder: Path) -> None:
        self.name, self.config = name, config
        self.log = folder / f"{name}.log"
        self.log.touch()
        self.process: subprocess.Popen[bytes] | None = None
        self._seen, self._awaited = 0, self.said

    def start(self) -> None:
        """Start the process; :meth:`ready` says when it works."""
        self.expect(self.said)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module, self.name, "--config", str(self.config)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),  # a campaign that is killed leaves nobody behind
            )  # fmt: skip

    def expect(self, count: int) -> None:
        """Wait in :meth:`ready` for so many starts from now on."""
        self._seen, self._awaited = self.log.stat().st_size, count

    def ready(self) -> bool:
        """Whether it has said so since its last start; fails if it ended instead."""
        with self.log.open("rb") as stream:
            stream.seek(self._seen)
            said = stream.read().decode(errors="replace")
        assert self.alive(), f"{self.name} ended: {said[-2000:]}"
        return said.count(READY[self.name]) >= self._awaited

    def alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """End it, and its children with it, with SIGKILL."""
        if self.process is not None:
            children = self.children() if self.alive() else []
            self.process.kill()
            self.process.wait()
            psutil.wait_procs(children, 10)

    def stop(self) -> int:
        """End it with SIGTERM; returns its status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def children(self) -> list[psutil.Process]:
        """Return the processes that it forked."""
        return sorted(psutil.Process(self.pid).children(), key=lambda process: process.pid)

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None
        return self.process.pid


class Receivers(Service):
    """The receivers with their parent, which starts again those that die."""

    module, said = "tests.campaigns.crew", len(RECEIVERS)

    def kill_children(self, count: int, chance: random.Random) -> None:
        """Kill some of the receivers, all at the same moment."""
        alive = self.children()
        victims = chance.sample(alive, count)
        self.expect(count + len(RECEIVERS) - len(alive))
        for victim in victims:
            victim.kill()
        psutil.wait_procs(victims, 10)


class Services:
    """Two receivers on one port with their parent, and the indexer, over one root."""

    def __init__(self, folder: Path, *, root: Path | None = None, **dicom: Any) -> None:
        self.folder, self.root = folder, root or folder / "root"
        self.port = free_port()
        self.url = f"sqlite:///{folder / 'records.sqlite'}"
        config = folder / "overread.toml"
        config.write_text(
            _toml(self.root, self.url, {"port": self.port, "processes": len(RECEIVERS), **dicom}), encoding="utf-8"
        )
        self.receivers = Receivers(RECEIVER, config, folder)
        self.indexer = Service(INDEXER, config, folder)
        self.records = Records(self.url)

    @property
    def spool(self) -> Path:
        """The spool's folder."""
        return self.root / "spool"

    @property
    def all(self) -> tuple[Service, Service]:
        """Both that the supervisor would start."""
        return self.receivers, self.indexer

    def start(self) -> None:
        """Start everything and wait until it works."""
        for service in self.all:
            service.start()
        self.settle()

    def await_receivers(self) -> None:
        """Wait for the receivers that were started last."""
        eventually("the receivers listen", self.receivers.ready, START_SECONDS)

    def settle(self) -> None:
        """Wait for everything that was started."""
        self.await_receivers()
        eventually("the indexer started", self.indexer.ready, START_SECONDS)

    def close(self) -> None:
        """Kill everything."""
        for service in self.all:
            service.kill()
        self.records.close()

    def complaints(self) -> list[str]:
        """Return the lines of the logs that should not be there."""
        return [
            f"{service.name} logged: {line[:300]}"
            for service in self.all
            for line in service.log.read_text(encoding="utf-8", errors="replace").splitlines()
            if any(word in line for word in NEVER_LOGGED)
        ]


@contextmanager
def services(folder: Path, **options: Any) -> Iterator[Services]:
    """Run a node's receivers and indexer."""
    found = Services(folder, **options)
    found.records.migrate()
    try:
        found.start()
        yield found
    finally:
        found.close()


def connect(port: int, *, source: str = "127.0.0.1", timeout: float = 20.0) -> socket.socket:
    """Connect to a port of this machine."""
    connection = socket.create_connection(("127.0.0.1", port), timeout, source_address=(source, 0))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def footprint(services: Services) -> dict[str, int]:
    """Return descriptors, threads and bytes of memory (PSS: shared pages are shared out) of the receivers, in all."""
    found = {"descriptors": 0, "threads": 0, "bytes": 0}
    for process in (psutil.Process(services.receivers.pid), *services.receivers.children()):
        found["descriptors"] += process.num_fds()
        found["threads"] += process.num_threads()
        found["bytes"] += process.memory_full_info().pss
    return found


def _toml(root: Path, url: str, dicom: dict[str, Any]) -> str:
    values: dict[str, Any] = {
        "host": "127.0.0.1",
        "journal_bytes": 4 << 20,
        "min_free_percent": 0.0,
        "min_free_bytes": 1 << 24,
    } | dicom
    tls = values.pop("tls", {})
    lines = [f'[node]\nroot = "{root}"\n', "[dicom]", *(_line(*item) for item in values.items())]
    lines += ["\n[dicom.tls]", *(_line(*item) for item in tls.items())] if tls else []
    return "\n".join([*lines, f'\n[database]\nurl = "{url}"\n'])


def _line(name: str, value: object) -> str:
    return f'{name} = "{value}"' if isinstance(value, str | Path) else f"{name} = {value}"
