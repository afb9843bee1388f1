"""The process that runs models: one a device, started by a worker, killed when it takes too long, started anew.

It holds no records and reads no files but weights: it gets sources and gives predictions. It ends when its parent does.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from models.contracts import ModelError, Source
from models.running import transport
from models.running.answers import Answers, failed, reason_of
from models.running.options import RunOptions

KILLED_FIRST = "500"
"""``oom_score_adj``: when the machine runs out of memory, the kernel takes this process before the node's own."""

READY = "ready"

Answering = Callable[[str, Sequence[Source]], Answers]
"""Runs a model, by its name, on some inputs."""

_PR_SET_PDEATHSIG = 1  # prctl(2)


@dataclass(frozen=True, eq=False)
class Request:
    """A model and its inputs."""

    model: str
    sources: tuple[Source, ...]


def main(connection: Connection, options: RunOptions, parent: int) -> None:
    """Answer requests until the parent closes its end."""
    belong_to(parent)
    warnings.simplefilter("ignore")  # libraries quote values in theirs
    if options.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read by cuBLAS when CUDA starts
    try:
        serve(connection, _answering(options), parent)
    except Exception as exc:  # a traceback would quote values
        sys.stderr.write(f"the process for models ended: {reason_of(exc)}\n")
        sys.exit(1)


def serve(connection: Connection, answer: Answering, parent: int) -> None:
    """Say that it is ready, then answer until the other end is closed."""
    with suppress(EOFError, OSError):
        connection.send_bytes(READY.encode())
        while True:
            request = transport.receive(connection)
            _reply(connection, answer(request.model, request.sources), parent)
            del request  # its memory goes before the next is waited for


def _answering(options: RunOptions) -> Answering:
    """Return what answers: a host, or the reason why there can be none, such as a GPU that is not there."""
    from models.running.host import Host, set_up
    from models.running.opening import estimated_bytes, open_catalogue

    try:
        set_up(options)
        catalogue = open_catalogue(options.site)
        return Host(options, catalogue, estimate=lambda name: estimated_bytes(catalogue, name)).answer
    except ModelError as exc:
        reason = reason_of(exc)
        return lambda _, sources: failed(reason, sources)


def _reply(connection: Connection, answers: Answers, parent: int) -> None:
    """Send answers; a model that gives what is no prediction must not end the process."""
    try:
        transport.send(connection, answers, parent)
    except (TypeError, AttributeError, pickle.PicklingError):
        transport.send(connection, failed("the model gave what is no prediction", answers.outcomes), parent)


def belong_to(parent: int) -> None:
    """Leave stopping to the parent, and end with it, however it ends.

    Service managers and terminals signal whole groups of processes; the parent decides what happens to a job at work.
    """
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(KILLED_FIRST, encoding="ascii")
    if os.getppid() != parent:  # it ended before the kernel knew of the wish
        os._exit(1)
