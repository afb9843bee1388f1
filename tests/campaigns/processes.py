"""The receivers and the indexer of a node as the supervisor starts them, to be killed and looked at."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from node.records.engine import Records
from node.supervisor import die_with_parent
from tests.peers import eventually, free_port

START_SECONDS = 120.0
"""How long a start may take on a machine that is busy with senders, with a spool of hundreds of thousands of files."""
RESTART_SECONDS = 0.5
"""The supervisor's first wait before a restart."""
RECEIVERS, INDEXER = ("receiver-1", "receiver-2"), "indexer"
READY = {"receiver": '"event": "listening"', "indexer": '"event": "started"'}
NEVER_LOGGED = ("internal error", "broke the receiver", "broke the index", "thread.failed", "Traceback", "no entries")
"""Nothing that a peer or a kill does may bring these into a log."""


class Service:
    """One process of the node, through its restarts."""

    def __init__(self, name: str, config: Path, folder: Path) -> None:
        self.name, self.config = name, config
        self.log = folder / f"{name}.log"
        self.log.touch()
        self.process: subprocess.Popen[bytes] | None = None
        self._seen = 0

    def start(self) -> None:
        """Start the process; :meth:`ready` says when it works."""
        self._seen = self.log.stat().st_size
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "node.service", self.name.split("-")[0], "--config", str(self.config)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),  # a campaign that is killed leaves nobody behind
            )  # fmt: skip

    def ready(self) -> bool:
        """Whether it has said so since its last start; fails if it ended instead."""
        with self.log.open("rb") as stream:
            stream.seek(self._seen)
            said = stream.read().decode(errors="replace")
        assert self.alive(), f"{self.name} ended: {said[-2000:]}"
        return READY[self.name.split("-")[0]] in said

    def alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> int:
        """End it with SIGTERM; returns its status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None
        return self.process.pid


class Services:
    """Two receivers on one port and the indexer, over one root."""

    def __init__(self, folder: Path, *, root: Path | None = None, **dicom: Any) -> None:
        self.folder, self.root = folder, root or folder / "root"
        self.port = free_port()
        self.url = f"sqlite:///{folder / 'records.sqlite'}"
        config = folder / "overread.toml"
        config.write_text(_toml(self.root, self.url, {"port": self.port, **dicom}), encoding="utf-8")
        self.all = {name: Service(name, config, folder) for name in (*RECEIVERS, INDEXER)}
        self.records = Records(self.url)

    @property
    def spool(self) -> Path:
        """The spool's folder."""
        return self.root / "spool"

    @property
    def receivers(self) -> list[Service]:
        """The receivers."""
        return [self.all[name] for name in RECEIVERS]

    def start(self, names: Sequence[str] = (*RECEIVERS, INDEXER)) -> None:
        """Start processes and wait until they work."""
        for name in names:
            self.all[name].start()
        eventually(f"{', '.join(names)} started", lambda: all(self.all[name].ready() for name in names), START_SECONDS)

    def kill(self, names: Sequence[str]) -> None:
        """Kill processes, all at the same moment."""
        for name in names:
            os.kill(self.all[name].pid, signal.SIGKILL)
        for name in names:
            self.all[name].kill()

    def restart(self, names: Sequence[str]) -> None:
        """Start what was killed as the supervisor would; the indexer, which has much to read, is not waited for."""
        time.sleep(RESTART_SECONDS)
        if INDEXER in names:
            self.all[INDEXER].start()
        self.start([name for name in names if name != INDEXER])

    def settle(self) -> None:
        """Wait for the indexer's start."""
        eventually("the indexer started", self.all[INDEXER].ready, START_SECONDS)

    def kill_while_starting(self, names: Sequence[str], seconds: float) -> None:
        """Start processes and kill them after this time, whether or not they work by then."""
        for name in names:
            self.all[name].start()
        time.sleep(seconds)
        for name in names:
            self.all[name].kill()

    def close(self) -> None:
        """Kill everything."""
        for service in self.all.values():
            service.kill()
        self.records.close()

    def complaints(self) -> list[str]:
        """Return the lines of the logs that should not be there."""
        return [
            f"{service.name} logged: {line[:300]}"
            for service in self.all.values()
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


def footprint(services: Sequence[Service]) -> dict[str, int]:
    """Return descriptors, threads and bytes of memory (PSS: shared pages are shared out) of processes, in all."""
    found = {"descriptors": 0, "threads": 0, "bytes": 0}
    for service in services:
        process = psutil.Process(service.pid)
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
