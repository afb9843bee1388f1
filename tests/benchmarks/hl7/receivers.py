"""Who receives: the node's listener and gateway as `overread serve` starts them, and the peers, each a new process."""

from __future__ import annotations

import importlib.util
import json
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from node.broker import embedded_command
from node.config import load
from node.hl7.inbox import FILE
from node.records.engine import Records
from node.supervisor import roles
from tests.benchmarks.receive.processes import listeners
from tests.benchmarks.receive.receivers import START_SECONDS, Command, Plan, ReceiverFailed, Running
from tests.peers import free_port

OURS, PYTHON_HL7, HL7APY = "ours", "python-hl7", "hl7apy"
OUR_ROLES = ("listener", "gateway")
"""Processes of `overread serve` that have to do with messages; the broker is started beside them."""
MODULES = {PYTHON_HL7: "hl7", HL7APY: "hl7apy"}
CLOSES = frozenset({HL7APY})
"""Receivers that close the connection behind each answer: their senders need a new one for each message."""
SETTLE_SECONDS = 2.0
"""After the start: the gateway looks around before it is idle."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What the node has kept: messages in the inbox, in the records but not taken over, taken over, and failed."""

    inbox: int
    received: int
    processed: int
    failed: int

    @property
    def left(self) -> int:
        """Messages that are still to be taken over."""
        return self.inbox + self.received


def ours(folder: Path, port: int) -> Plan:
    """Return what starts a node's listener, gateway and broker over a new root."""
    root, config = folder / "data", folder / "overread.toml"
    config.write_text(
        f"[node]\nroot = {json.dumps(str(root))}\n"
        f'[dicom]\nhost = "127.0.0.1"\nport = {free_port()}\n'
        f'[hl7]\nhost = "127.0.0.1"\nport = {port}\n[web]\nport = {free_port()}\n',
        encoding="utf-8",
    )
    root.mkdir()
    settings = load(config, {})
    records = Records(settings.database_url)
    records.migrate()  # as the supervisor does before it starts anything
    records.close()
    found = [Command(role.name, role.command, role.environment) for role in roles(settings, config)]
    broker = Command("broker", tuple(embedded_command(root)))
    return Plan((broker, *(command for command in found if command.name in OUR_ROLES)), root)


def peer(module: str) -> Callable[[Path, int], Plan]:
    """Return what starts a peer's server."""
    return lambda folder, port: Plan((Command(module, (sys.executable, "-m", module, str(port))),), folder)


PLANS: Mapping[str, Callable[[Path, int], Plan]] = {
    OURS: ours,
    PYTHON_HL7: peer("tests.benchmarks.hl7.peer_python_hl7"),
    HL7APY: peer("tests.benchmarks.hl7.peer_hl7apy"),
}


def installed(receiver: str) -> bool:
    """Whether a receiver can be started here."""
    module = MODULES.get(receiver)
    return module is None or importlib.util.find_spec(module) is not None


class Receiver(Running):
    """A receiver at work: a context that starts it in a new folder, waits until it is ready, and stops it."""

    def __init__(self, name: str, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder, self.port = folder, free_port()
        self._environment = environment
        folder.mkdir(parents=True)
        self.plan = PLANS[name](folder, self.port)
        self._processes = {}
        self._web = 0
        if name == OURS:
            self._web = load(folder / "overread.toml", {}).web.port

    def __enter__(self) -> Receiver:
        super().__enter__()
        return self

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not (listeners(self.port) and (not self._web or listeners(self._web))):
            self.check()
            if time.monotonic() > deadline:
                raise ReceiverFailed(f"it does not listen after {START_SECONDS:g} s: {self.log()}")
            time.sleep(0.02)
        time.sleep(SETTLE_SECONDS)
        self.check()

    def backlog(self) -> Backlog:
        """Count what the node has kept, in its two stores."""
        root = self.plan.storage
        counts = _counts(root / "overread.sqlite", "SELECT state, count(*) FROM messages GROUP BY state")
        inbox = _counts(root / FILE, "SELECT 'inbox', count(*) FROM arrivals")
        return Backlog(inbox["inbox"], *(counts.get(state, 0) for state in ("received", "processed", "failed")))


def _counts(path: Path, query: str) -> dict[str, int]:
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
    try:
        return {str(name).lower(): int(count) for name, count in database.execute(query)}
    finally:
        database.close()
