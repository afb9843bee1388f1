"""A RIS: sends orders, notes, labs and admissions, takes what comes back over MLLP and keeps it in a folder.

Whoever it speaks of is made up.
"""

from __future__ import annotations

import os
import re
import socketserver
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from node.errors import Hl7InputError, OverreadError
from node.hl7 import ack as acks
from node.hl7.framing import FrameDecoder, frame
from node.hl7.message import peek
from node.hl7.mllp import READ_BYTES, send
from node.settings import Hl7Section
from node.simulator.ris_messages import NOTE_CHINESE, NOTE_ENGLISH, Person, admit, labs, note, order

__all__ = [
    "NOTE_CHINESE",
    "NOTE_ENGLISH",
    "Person",
    "RisSimulator",
    "admit",
    "labs",
    "note",
    "order",
    "run_ris",
    "send",
]

MAX_BYTES = 64 << 20


class RisSimulator:
    """An MLLP listener that keeps each message as a file of ``folder`` and answers.

    Parameters
    ----------
    answers
        What the next messages get, one each: ``AA``, ``AE``, ``AR``, ``close`` (no answer), ``wrong-id`` (an answer to
        another message) or ``delay:SECONDS`` (AA, late). After that all get AA.
    """

    def __init__(self, folder: Path, host: str = "127.0.0.1", port: int = 0, answers: Iterable[str] = ()) -> None:
        self.folder = folder
        self.answers: deque[str] = deque(answers)
        self.received: list[Path] = []
        self._changed = threading.Condition()
        ris = self

        class Connection(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                decoder = FrameDecoder(MAX_BYTES)
                while data := self.request.recv(READ_BYTES):
                    for raw in decoder.feed(data):
                        answer = ris._take(raw)
                        if answer is None:
                            return
                        self.request.sendall(frame(answer))

        folder.mkdir(parents=True, exist_ok=True)
        self._server = _Server((host, port), Connection)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="ris", daemon=True)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._server.server_address[1])

    def start(self) -> RisSimulator:
        """Listen in a thread."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> RisSimulator:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def wait(self, count: int, timeout: float = 10.0) -> list[Path]:
        """Wait until ``count`` messages were received; return all there are.

        Raises
        ------
        OverreadError
            They did not come in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.received) >= count, timeout):
                raise OverreadError(f"{len(self.received)} of {count} messages came within {timeout:g} s")
            return list(self.received)

    def _take(self, raw: bytes) -> bytes | None:
        """Keep a message; return the answer, None for none."""
        header = peek(raw)
        with self._changed:
            answer = self.answers.popleft() if self.answers else "AA"
            kind = re.sub(r"[^A-Z0-9]+", "-", header.type)[:20]
            control = re.sub(r"[^A-Za-z0-9]+", "-", header.control_id)[:40]
            path = self.folder / f"{len(self.received) + 1:06d}_{kind}_{control}.hl7"
            part = path.with_suffix(".part")
            part.write_bytes(raw)
            part.replace(path)
            self.received.append(path)
            self._changed.notify_all()
        if answer == "close":
            return None
        if answer.startswith("delay:"):
            time.sleep(float(answer.removeprefix("delay:")))
        return _answer(raw, answer)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


def _answer(raw: bytes, answer: str) -> bytes:
    header, settings = peek(raw), Hl7Section(application="RIS", facility="HOSPITAL")
    if answer in ("AE", "AR"):
        error = Hl7InputError("the simulator was told to refuse", error_code="207", location="MSH^1", ack=answer)
        return acks.refuse(header, settings, error)
    return acks.accept(replace(header, control_id="another") if answer == "wrong-id" else header, settings)


def run_ris(folder: Path, host: str = "127.0.0.1", port: int = 2576) -> None:
    """Run a RIS until the process is told to end (SIGTERM, SIGINT)."""
    ris = RisSimulator(folder, host, port).start()
    print(f"RIS listens on {host}:{ris.port}, messages go to {folder} (pid {os.getpid()})", flush=True)  # noqa: T201
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        ris.stop()
