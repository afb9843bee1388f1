"""A worker's end of the process that runs models: start it, ask it, kill it with all that it started, start it anew."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import connection as connections
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from pathlib import Path

from models.contracts import Source
from models.running import child, transport
from models.running.answers import Answers, InferenceLost
from models.running.options import RunOptions

START_SECONDS = 180.0
"""Longest start: importing torch from a cold, slow disk."""

END_SECONDS = 2.0
"""How long a process that was told to end may take before it is killed."""

NO_MEMORY = frozenset({errno.ENOMEM, errno.ENOSPC})

Main = Callable[[Connection, RunOptions, int], None]


class ModelProcess:
    """One process that runs models, through its restarts.

    Used from the thread that made it only: the kernel ends the process with that thread.

    Parameters
    ----------
    options
        What it runs with.
    timeout_seconds
        Longest answer, the loading of the model included.
    main
        What it runs; tests put their own.
    """

    def __init__(self, options: RunOptions, timeout_seconds: float, main: Main = child.main) -> None:
        self._options, self._timeout, self._main = options, timeout_seconds, main
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None
        self._ready = False
        # Before multiprocessing waits for its children at this process's end, which this one would never reach.
        self._at_exit = Finalize(self, ModelProcess.kill, args=(self,), exitpriority=10)

    @property
    def pid(self) -> int | None:
        """Process id, None while there is none."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start the process if it does not run, without waiting until it is ready."""
        if self._process is not None and self._process.is_alive():
            return
        self.kill()
        context = get_context("spawn")  # never fork: CUDA does not survive it
        ours, theirs = context.Pipe()
        arguments = (theirs, self._options, os.getpid())
        self._process = context.Process(target=self._main, args=arguments, name="models", daemon=True)
        self._process.start()
        theirs.close()
        self._connection, self._ready = ours, False

    def ask(self, model: str, sources: Sequence[Source]) -> Answers:
        """Have a model run on some inputs.

        Raises
        ------
        InferenceLost
            If the process ended or took too long; it is gone then, and the next question starts another.
        """
        self.start()
        try:
            self._await_ready()
            assert self._connection is not None  # noqa: S101  start() made it
            transport.send(self._connection, child.Request(model, tuple(sources)), self.pid or 0)
            self._await(self._timeout, f"{model} did not answer within {self._timeout:g} s (workers.timeout_seconds)")
            answers = transport.receive(self._connection)
        except (EOFError, OSError) as exc:
            if isinstance(exc, OSError) and exc.errno in NO_MEMORY:
                self.kill()
                raise InferenceLost(f"there was no memory to hand the input of {model} over") from exc
            raise InferenceLost(self._ended(model)) from exc
        except transport.BadMessage as exc:
            self.kill()
            raise InferenceLost(f"{model} gave an answer that does not read") from exc
        if not isinstance(answers, Answers) or len(answers.outcomes) != len(sources):
            self.kill()
            raise InferenceLost(f"{model} gave an answer that is none")
        return answers

    def close(self) -> None:
        """Have the process end, and kill it if it does not."""
        if self._connection is not None:
            self._connection.close()  # it is waiting for a question, and ends
        if self._process is not None:
            self._process.join(END_SECONDS)
        self.kill()
        self._at_exit.cancel()

    def kill(self) -> None:
        """Kill the process and what it started."""
        process, self._process = self._process, None
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if process is None or process.pid is None:
            return
        if process.is_alive():
            for pid in reversed([process.pid, *descendants(process.pid)]):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        process.join()
        process.close()

    def _await_ready(self) -> None:
        if self._ready:
            return
        self._await(START_SECONDS, f"the process for models did not start within {START_SECONDS:g} s")
        assert self._connection is not None  # noqa: S101
        self._connection.recv_bytes(len(child.READY))
        self._ready = True

    def _await(self, seconds: float, late: str) -> None:
        """Wait until there is something to read; kill the process if that takes too long."""
        assert self._process is not None  # noqa: S101
        assert self._connection is not None  # noqa: S101
        deadline = time.monotonic() + seconds
        waited = connections.wait([self._connection, self._process.sentinel], max(0.0, deadline - time.monotonic()))
        if not waited:
            self.kill()
            raise InferenceLost(late)
        if self._connection not in waited:
            raise EOFError

    def _ended(self, model: str) -> str:
        """Say how the process ended, and bury it."""
        process = self._process
        code = None
        if process is not None:
            process.join(END_SECONDS)
            code = process.exitcode
        self.kill()
        if code == -signal.SIGKILL:
            return f"the process that ran {model} was killed, as the system does when memory runs out"
        if code is not None and code < 0:
            return f"the process that ran {model} crashed ({signal.Signals(-code).name})"
        return f"the process that ran {model} ended (exit status {code})"


def descendants(pid: int) -> list[int]:
    """Return the processes below one, parents before their children (Linux; elsewhere none)."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child_pid in map(int, path.read_text(encoding="ascii").split()):
                found += [child_pid, *descendants(child_pid)]
    return found
