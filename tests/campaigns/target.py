"""The receiver's code path in this process: bytes in over a socket pair, and everything that must hold afterwards."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, NoReturn

import psutil
import structlog

from node.dicom.indexer import header_of
from node.dicom.intake import Intake
from node.dicom.ledger import Entry, Stored
from node.dicom.receiver import spool_of
from node.dicom.scp.admission import Admission
from node.dicom.scp.association import Association
from node.dicom.scp.session import Port
from node.dicom.scp.wire import Limits, Wire
from node.dicom.services import commitment
from node.dicom.services.base import Resources
from node.errors import OverreadError
from node.records.engine import Records
from node.settings import Settings
from node.storage import layout
from node.storage.seal import is_whole

READ_SECONDS = 2.0
MOST_SECONDS = 5.0
"""No case may take longer; the peer has closed its side before it is served."""
AT_ONCE_BYTES = 60_000
"""What surely fits into a socket pair's buffer."""
MOST_MEMORY = 1 << 30
ERRORS = ("error", "critical")


class Sink:
    """Remembers what the indexer would have been told."""

    def __init__(self) -> None:
        self.stored: list[Stored] = []

    def put(self, entry: Entry) -> None:
        """Take an entry."""
        if isinstance(entry, Stored):
            self.stored.append(entry)


class Target:
    """A receiver without a port. Not for several threads."""

    def __init__(self, folder: Path, durability: str) -> None:
        url = f"sqlite:///{folder / 'records.sqlite'}"
        dicom = {
            "durability": durability, "journal_bytes": 1 << 20, "min_free_percent": 0.0, "min_free_bytes": 0,
            "max_instance_bytes": 3 << 20, "idle_seconds": READ_SECONDS, "read_seconds": READ_SECONDS,
        }  # fmt: skip
        self.settings = Settings.model_validate({"node": {"root": folder}, "dicom": dicom, "database": {"url": url}})
        self._memory_before = psutil.Process().memory_info().rss
        self.records = Records(url)
        self.records.migrate()
        self.spool = spool_of(self.settings, journal=True)
        self.spool.open()
        commitment.NAMING_SECONDS = 0.0  # nothing is on its way here
        self.sink = Sink()
        section = self.settings.dicom
        self._port = Port(
            section, Intake(self.spool, self.sink), Admission(self.spool.root / "associations", 4, 4),
            lambda: Resources(self.settings, self.records, self.spool),
        )  # fmt: skip
        self._limits = Limits(section.idle_seconds, section.read_seconds, section.max_pdu_bytes)
        self._logged: list[str] = []
        self.slowest = 0.0
        self.answers: dict[str, int] = {}
        _capture(self._logged)

    def close(self) -> None:
        """Let go of everything."""
        self._port.admission.close()
        self.spool.close()
        self.records.close()

    def run(self, stream: bytes) -> list[str]:
        """Serve one connection that brings these bytes; returns which promises were broken."""
        self._logged.clear()
        self.sink.stored.clear()
        threads = threading.active_count()
        began = time.monotonic()
        problems, said = self._serve(stream)
        took = time.monotonic() - began
        self.slowest = max(self.slowest, took)
        if took > MOST_SECONDS:
            problems.append(f"took {took:.1f} s")
        problems += [f"logged as an error: {line}" for line in self._logged]
        if b"internal error" in said:
            problems.append("answered 'internal error'")
        problems += self._answers(said)
        problems += self._left()
        if threading.active_count() > threads:
            problems.append("a thread is left")
        return problems

    def sweep(self) -> list[str]:
        """Look at every file of the spool and forget it; for every now and then."""
        problems = [f"{path} is not whole" for _, path in self.spool.files() if not is_whole(self.spool.root / path)]
        for fan in layout.fans():
            for path in (self.spool.root / fan).iterdir():
                path.unlink()
        if (memory := psutil.Process().memory_info().rss - self._memory_before) > MOST_MEMORY:
            problems.append(f"{memory >> 20} MiB of memory more are in use")
        return problems

    def _serve(self, stream: bytes) -> tuple[list[str], bytes]:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            said = bytearray()
            feeder = None
            if len(stream) <= AT_ONCE_BYTES:
                theirs.sendall(stream)
                theirs.shutdown(socket.SHUT_WR)
            else:
                feeder = threading.Thread(target=_feed, args=(theirs, stream), daemon=True)
                feeder.start()
            problems = []
            try:
                Association(Wire(ours, self._limits), "127.0.0.1", "fuzz", self._port).serve()
            except Exception as exc:
                problems.append(f"serve() raised {_told(exc)}")
            ours.close()
            if feeder is not None:
                feeder.join(10)
            _drain(theirs, said)
        return problems, bytes(said)

    def _answers(self, said: bytes) -> list[str]:
        """Judge the PDUs that came back."""
        position = 0
        while position < len(said):
            if position + 6 > len(said):
                return ["an answer is cut off"]
            kind, length = struct.unpack_from(">BxL", said, position)
            if kind not in (2, 3, 4, 6, 7) or position + 6 + length > len(said):
                return [f"an answer is no PDU: {said[position : position + 10].hex()}"]
            self.answers[f"PDU {kind}"] = self.answers.get(f"PDU {kind}", 0) + 1
            position += 6 + length
        return []

    def _left(self) -> list[str]:
        """Judge what the case left: nothing half-written, no entry taken, files that can be indexed."""
        problems = [f"{name} is left in incoming" for name in os.listdir(self._incoming) if name.endswith(".part")]  # noqa: PTH208
        if self._port.admission.count():
            problems.append("an association's entry was not given back")
        for entry in self.sink.stored:
            self.answers["stored"] = self.answers.get("stored", 0) + 1
            if not is_whole(self.spool.root / entry.path):
                problems.append(f"{entry.path} is not whole")
                continue
            try:
                header_of(self.spool.root, entry)
            except Exception as exc:
                problems.append(f"what was answered with Success cannot be indexed: {_told(exc)}")
        return problems

    @property
    def _incoming(self) -> Path:
        return self.spool.root / layout.INCOMING / "0"


def _feed(connection: socket.socket, stream: bytes) -> None:
    try:
        connection.sendall(stream)
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        return


def _drain(connection: socket.socket, said: bytearray) -> None:
    connection.settimeout(5)
    try:
        while piece := connection.recv(1 << 16):
            said += piece
    except OSError:
        return


def _told(exc: BaseException) -> str:
    frames = traceback.extract_tb(exc.__traceback__)[-2:]
    where = ", ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
    return f"{type(exc).__name__}: {str(exc)[:200]} ({where})"


def _capture(lines: list[str]) -> None:
    """Have what the node logs as an error put into ``lines``, and the rest forgotten."""

    def keep(_logger: Any, method: str, event: MutableMapping[str, Any]) -> NoReturn:
        error = event.get("error")
        if method in ERRORS and not isinstance(error, OverreadError):
            lines.append(f"{event['event']}: {_told(error) if isinstance(error, BaseException) else error}")
        raise structlog.DropEvent

    structlog.configure(processors=[keep], wrapper_class=structlog.make_filtering_bound_logger(40))
