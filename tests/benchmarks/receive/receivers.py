"""Who receives: our node's receiver as production starts it, and its peers, each in a new folder on the same disk."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from sqlalchemy import func, select

from node.config import load
from node.processes import die_with_parent
from node.records.engine import Records
from node.records.schema import Instance
from node.settings import DicomSection
from node.supervisor import roles
from tests.benchmarks.receive.processes import cpu_seconds, listeners, wait_until_idle
from tests.peers import free_port

START_SECONDS = 60.0
STOP_SECONDS = 15.0
OUR_ROLES = ("receiver", "indexer")
"""Names of the processes of `overread serve` that take objects in. The gateway and the workers are not started."""


class ReceiverFailed(Exception):
    """A receiver did not start or did not do its work; the text says what it printed."""


@dataclass(frozen=True, slots=True)
class Command:
    """A process of a receiver."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to start, and how to see that it is there.

    Parameters
    ----------
    storage
        The folder below which the objects end up as files.
    sockets
        How many sockets listen on the port once it is ready.
    indexed
        Counts the objects that the receiver's own index knows, where it has one that can be asked cheaply.
    """

    commands: tuple[Command, ...]
    storage: Path
    sockets: int = 1
    indexed: Callable[[], int] | None = None


def our_processes(config: Path) -> list[Command]:
    """Return the processes of a node that take objects in, exactly as `overread serve` would start them."""
    found = roles(load(config, {}), config)
    return [Command(r.name, r.command, r.environment) for r in found if r.name.startswith(OUR_ROLES)]


def ours(durability: str, processes: int = DicomSection().processes) -> Callable[[Path, int], Plan]:
    """Return what starts our receiver with a policy of durability."""

    def plan(folder: Path, port: int) -> Plan:
        root, config = folder / "data", folder / "overread.toml"
        config.write_text(
            f"[node]\nroot = {json.dumps(str(root))}\n"
            f'[dicom]\nhost = "127.0.0.1"\nport = {port}\nprocesses = {processes}\ndurability = "{durability}"\n',
            encoding="utf-8",
        )
        root.mkdir()
        url = load(config, {}).database_url
        records = Records(url)
        records.migrate()  # as the supervisor does before it starts anything
        records.close()
        return Plan(tuple(our_processes(config)), root / "spool", processes, lambda: _count(url))

    return plan


def _count(url: str) -> int:
    records = Records(url)
    try:
        with records.read() as session:
            return session.scalar(select(func.count(Instance.id))) or 0
    finally:
        records.close()


def storescp(*options: str) -> Callable[[Path, int], Plan]:
    """Return what starts DCMTK's storescp; it does not sync what it writes."""

    def plan(folder: Path, port: int) -> Plan:
        storage = folder / "out"
        storage.mkdir()
        command = Command("storescp", (program("storescp"), *options, "-od", str(storage), str(port)))
        return Plan((command,), storage)

    return plan


def orthanc(folder: Path, port: int) -> Plan:
    """Return what starts Orthanc with its own index (SQLite), no compression, and its defaults in all the rest."""
    settings = {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "StorageCompression": False,
        "OverwriteInstances": True,
        "DicomAet": "ORTHANC",
        "DicomPort": port,
        "HttpServerEnabled": False,
        "Plugins": [],
    }
    path = folder / "orthanc.json"
    path.write_text(json.dumps(settings), encoding="utf-8")
    return Plan((Command("orthanc", (program("Orthanc"), str(path))),), folder / "storage")


def pynetdicom(folder: Path, port: int) -> Plan:
    """Return what starts pynetdicom's own storescp application."""
    storage = folder / "out"
    storage.mkdir()
    arguments = (sys.executable, "-m", "pynetdicom", "storescp", str(port), "-od", str(storage), "-q")
    return Plan((Command("pynetdicom", arguments),), storage)


RECEIVERS: Mapping[str, Callable[[Path, int], Plan]] = {
    "ours": ours("instance"),
    "ours, none": ours("none"),
    "storescp --fork": storescp("--fork"),
    "storescp": storescp(),
    "Orthanc": orthanc,
    "pynetdicom": pynetdicom,
}
PROGRAMS = {"storescp --fork": "storescp", "storescp": "storescp", "Orthanc": "Orthanc"}


def program(name: str) -> str:
    """Return the path of a program, which may be in a folder for administrators.

    Raises
    ------
    ReceiverFailed
        If it is not installed.
    """
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if path is None:
        raise ReceiverFailed(f"{name} is not installed")
    return path


def installed(receiver: str) -> bool:
    """Whether a receiver can be started here."""
    name = PROGRAMS.get(receiver)
    return name is None or bool(shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin"))


class Running:
    """A receiver at work: a context that starts it, waits until it is ready and idle, and stops it."""

    def __init__(self, receiver: str, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder, self.port = folder, free_port()
        self._environment = environment
        folder.mkdir(parents=True)
        self.plan = RECEIVERS[receiver](folder, self.port)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def groups(self) -> dict[str, int]:
        """The process group of each process."""
        return {name: process.pid for name, process in self._processes.items()}

    def cpu(self) -> dict[str, float]:
        """Return the CPU time that each process has used, with its children."""
        return {name: cpu_seconds(group) for name, group in self.groups.items()}

    def log(self) -> str:
        """Return the end of what it printed."""
        return (self.folder / "log.txt").read_text(encoding="utf-8", errors="replace")[-400:]

    def check(self) -> None:
        """See that all processes live.

        Raises
        ------
        ReceiverFailed
            If one has ended.
        """
        dead = [name for name, process in self._processes.items() if process.poll() is not None]
        if dead:
            raise ReceiverFailed(f"{', '.join(dead)} ended: {self.log()}")

    def __enter__(self) -> Running:
        try:
            for command in self.plan.commands:
                self._start(command)
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _start(self, command: Command) -> None:
        with (self.folder / "log.txt").open("ab") as log:
            self._processes[command.name] = subprocess.Popen(
                command.arguments,
                env={**self._environment, **command.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a process group of its own, which is what CPU time is summed over
                preexec_fn=die_with_parent(signal.SIGKILL),
            )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while listeners(self.port) < self.plan.sockets:
            self.check()
            if time.monotonic() > deadline:
                raise ReceiverFailed(f"it does not listen after {START_SECONDS:g} s: {self.log()}")
            time.sleep(0.02)
        wait_until_idle(self.groups.values(), timeout=START_SECONDS)
        self.check()

    def stop(self) -> None:
        """Stop all processes; kill what takes too long."""
        for process in self._processes.values():
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in self._processes.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            with suppress(ProcessLookupError):  # what it forked and left behind
                os.killpg(process.pid, signal.SIGKILL)
