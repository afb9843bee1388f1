"""A whole node as a user runs it: `overread serve` with a configuration file, watched through its records."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import func, select

from node.broker import embedded_socket
from node.records.engine import Records
from node.records.schema import Delivery, Event, Job, ModelRegistration, Result, Study
from node.records.states import TAKEN, StudyState
from tests.peers import eventually, free_port
from tests.processes import children

SETTLED = (StudyState.DONE, StudyState.FAILED, StudyState.UNWANTED)


class RunningNode:
    """A node under test; its root is ``folder/data``."""

    def __init__(self, folder: Path, extra: str = "", **sections: dict[str, Any]) -> None:
        self.folder, self.root = folder, folder / "data"
        self.dicom_port, self.hl7_port, self.web_port = free_port(), free_port(), free_port()
        tables: dict[str, dict[str, Any]] = {
            "node": {"root": str(self.root)},
            "dicom": {"host": "127.0.0.1", "port": self.dicom_port, "processes": 1, "journal_bytes": 8 << 20},
            "hl7": {"host": "127.0.0.1", "port": self.hl7_port},
            "web": {"port": self.web_port},
            "completeness": {"quiet_seconds": 2.0, "release_quiet_seconds": 0.5},
            "delivery": {"retry_seconds": 1.0, "retry_max_seconds": 5.0},
        }
        for name, values in sections.items():
            tables.setdefault(name, {}).update(values)
        self.config = folder / "overread.toml"
        self.config.write_text(f"{_toml(tables)}\n{extra}", encoding="utf-8")
        self.records = Records(f"sqlite:///{self.root / 'overread.sqlite'}")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it is ready and a worker has registered."""
        with (self.folder / "node.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "node", "serve", "--config", str(self.config)],
                stdout=log,
                stderr=log,
                env={"OMP_NUM_THREADS": "2", **os.environ},
            )
        eventually("the node is ready", self.ready, 90)

    def ready(self) -> bool:
        """Whether /readyz says so."""
        assert self.process is not None
        assert self.process.poll() is None, self.log()[-3000:]
        try:
            return bool(self.get("/readyz"))
        except OSError:
            return False

    def get(self, path: str) -> str:
        """Return a page."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.web_port}{path}", timeout=10) as answer:
            return str(answer.read().decode())

    def log(self) -> str:
        """Return what all processes logged."""
        return (self.folder / "node.log").read_text(encoding="utf-8", errors="replace")

    def stop(self) -> int:
        """Stop with SIGTERM; returns the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def processes(self, role: str) -> list[psutil.Process]:
        """Return the child processes of a role (``receiver``, ``gateway``, ``worker``, ``valkey-server``)."""
        assert self.process is not None
        return children(role, self.process.pid)

    def workers(self) -> list[str]:
        """Return the workers that have told their models."""
        with self.records.read() as session:
            return [row.worker for row in session.scalars(select(ModelRegistration))]

    @property
    def broker_socket(self) -> str:
        """Path of the embedded broker's socket."""
        return str(embedded_socket(self.root))

    def studies(self) -> list[Study]:
        """Return all studies."""
        with self.records.read() as session:
            return list(session.scalars(select(Study).order_by(Study.id)))

    def settled(self, count: int) -> bool:
        """Whether ``count`` studies are settled and nothing of them is on its way."""
        with self.records.read() as session:
            done = session.scalar(select(func.count(Study.id)).where(Study.state.in_(SETTLED)))
            open_ = session.scalar(select(func.count(Delivery.id)).where(Delivery.state.not_in(TAKEN)))
        return done == count and open_ == 0

    def results(self, kind: str) -> list[Result]:
        """Return the built results of a kind."""
        with self.records.read() as session:
            return list(session.scalars(select(Result).where(Result.kind == kind).order_by(Result.id)))

    def jobs(self) -> list[Job]:
        """Return all jobs."""
        with self.records.read() as session:
            return list(session.scalars(select(Job).order_by(Job.created_at)))

    def events(self, kind: str) -> list[Event]:
        """Return the timeline's lines of a kind."""
        with self.records.read() as session:
            return list(session.scalars(select(Event).where(Event.kind == kind).order_by(Event.id)))


def _toml(tables: dict[str, dict[str, Any]]) -> str:
    """Write tables of plain values: JSON's texts, numbers, booleans and lists are TOML's too."""
    return "\n".join(
        f"[{name}]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items()) + "\n"
        for name, values in tables.items()
    )


@contextmanager
def running(folder: Path, extra: str = "", **sections: dict[str, Any]) -> Iterator[RunningNode]:
    """Run a node for a test."""
    folder.mkdir(parents=True, exist_ok=True)
    node = RunningNode(folder, extra, **sections)
    node.start()
    try:
        yield node
    finally:
        if node.process is not None and node.process.poll() is None:
            node.stop()
        node.records.close()
