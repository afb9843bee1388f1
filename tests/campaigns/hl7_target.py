"""The listener as the supervisor starts it, processing behind it, and everything that must hold of both afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
from sqlalchemy import func, select

from node import config
from node.hl7.inbox import FILE, Inbox
from node.processes import die_with_parent
from node.records.engine import Records
from node.records.schema import Event, Message
from node.records.states import MessageState
from tests.campaigns.hl7_messages import PLANTED
from tests.campaigns.hl7_streams import MOST_BYTES
from tests.peers import eventually, free_port

START_SECONDS = 60.0
MOST_BEHIND = 1500
"""Messages that may wait to be taken over; senders pause while there are more."""
MOST_MEMORY = 400 << 20
"""Bytes that the listener may use: 128 MiB of messages that wait, and what Python needs."""
READY: Mapping[str, str] = {"listener": '"event": "mllp.listening"', "gateway": '"event": "started"'}
NEVER_LOGGED = (
    "internal error", "Traceback", "message.not_understood", "message.not_answered", "message.not_kept",
    "connection.failed", "loop.failed", "thread.failed", "message.failed", "messages.again", "mllp.not_accepted",
    "answers.not_known", '"level": "error"', "<withheld>",
)  # fmt: skip
"""Nothing that a sender does may bring these into a log."""
BUSY = '"error": "OperationalError", "event": "timeline.not_written"'
"""But this may come: the records were busy with messages for so long that a line was put off."""


class Target:
    """The two processes over one root."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root, self.port = folder, folder / "root", free_port()
        path = folder / "overread.toml"
        path.write_text(
            f"[node]\nroot = {json.dumps(str(self.root))}\n"
            f'[hl7]\nhost = "127.0.0.1"\nport = {self.port}\nmax_message_bytes = {MOST_BYTES}\n'
            'charset = "UNICODE UTF-8"\n[hl7.charsets]\n"LAB" = "8859/1"\n',
            encoding="utf-8",
        )
        self.settings = config.load(path, {})
        self.records = Records(self.settings.database_url)
        self.records.migrate()
        self._commands = {
            "listener": ["-m", "node.service", "listener", "--config", str(path)],
            "gateway": ["-m", "tests.campaigns.hl7_processor", str(path)],
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.peak_memory = 0
        self.behind = 0
        self._watching = threading.Event()
        self._watch = threading.Thread(target=self._look, name="watch", daemon=True)

    def start(self) -> None:
        """Start both, and wait until they work."""
        for name, arguments in self._commands.items():
            with self.log(name).open("ab") as log:
                self._processes[name] = subprocess.Popen(
                    [sys.executable, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    env={k: v for k, v in os.environ.items() if not k.startswith("OVERREAD_NODE")},
                    start_new_session=True, preexec_fn=die_with_parent(signal.SIGKILL),
                )  # fmt: skip
        eventually("both work", lambda: all(said in self.said(name) for name, said in READY.items()), START_SECONDS)
        self._watch.start()

    def log(self, name: str) -> Path:
        """Return the path of a process's log."""
        return self.folder / f"{name}.log"

    def said(self, name: str) -> str:
        """Return what a process logged."""
        return self.log(name).read_text(encoding="utf-8", errors="replace")

    def dead(self) -> list[str]:
        """Say which processes have ended."""
        return [f"the {name} ended with {p.poll()}" for name, p in self._processes.items() if p.poll() is not None]

    def memory(self) -> int:
        """Return the bytes that the listener holds."""
        return int(psutil.Process(self._processes["listener"].pid).memory_info().rss)

    def left(self) -> int:
        """Count the messages that are still to be taken over."""
        inbox = Inbox(self.root / FILE)
        try:
            waiting = inbox.count()
        finally:
            inbox.close()
        with self.records.read() as session:
            query = select(func.count(Message.id)).where(Message.state == MessageState.RECEIVED)
            return waiting + (session.scalar(query) or 0)

    def wait_for_room(self) -> None:
        """Return once processing is not far behind."""
        while self.behind > MOST_BEHIND and not self.dead():
            time.sleep(0.1)

    def outcomes(self, digests: list[str]) -> dict[str, tuple[MessageState, str, bytes | None]]:
        """Return state, reason and answer of messages by their digests."""
        query = select(Message.digest, Message.state, Message.reason, Message.ack).where(Message.digest.in_(digests))
        with self.records.read() as session:
            return {row.digest: (row.state, row.reason, row.ack) for row in session.execute(query)}

    def postponed(self) -> int:
        """Count how often the listener's lines for the timeline had to wait as the records were busy for seconds."""
        return sum(BUSY in line for line in self.said("listener").splitlines())

    def complaints(self) -> Iterator[str]:
        """Say what stands in the logs that should not."""
        for name in self._processes:
            for line in self.said(name).splitlines():
                if any(word in line for word in NEVER_LOGGED) and BUSY not in line:
                    yield f"the {name} logged: {line[:300]}"
                if any(word in line.lower() for word in PLANTED):
                    yield f"the {name} logged patient data: {line[:300]}"

    def leaks(self) -> Iterator[str]:
        """Say where the timeline or a reason quotes a patient, and which failures are the node's own."""
        with self.records.read() as session:
            for number, text in session.execute(select(Event.id, Event.text)):
                if any(word in text.lower() for word in PLANTED):
                    yield f"line {number} of the timeline has patient data"
            for number, reason in session.execute(select(Message.id, Message.reason).where(Message.reason != "")):
                if any(word in reason.lower() for word in PLANTED):
                    yield f"the reason of message {number} has patient data"
                if "internal error" in reason:
                    yield f"message {number} failed by a fault of the node: {reason}"

    def raw(self, number: int) -> bytes:
        """Return a message of the records."""
        with self.records.read() as session:
            return session.get_one(Message, number).raw

    def stop(self) -> list[str]:
        """End both with SIGTERM; returns what was wrong with that."""
        self._watching.set()
        for process in self._processes.values():
            process.terminate()
        found = []
        for name, process in self._processes.items():
            try:
                status = process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                status = process.wait()
            if status:
                found.append(f"the {name} ended with {status} when it was asked to stop")
        self.records.close()
        return found

    def _look(self) -> None:
        while not self._watching.wait(0.5):
            try:
                self.peak_memory = max(self.peak_memory, self.memory())
                self.behind = self.left()
            except psutil.NoSuchProcess:
                return


@contextmanager
def target(folder: Path) -> Iterator[Target]:
    """Run both processes."""
    found = Target(folder)
    try:
        found.start()
        yield found
    finally:
        found.stop()
