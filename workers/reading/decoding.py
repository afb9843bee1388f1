"""Processes that decode compressed slices side by side: pydicom's decoders hold Python's lock while they work.

Each has its own piece of shared memory, an anonymous file that the kernel frees with the last process that holds it,
whatever ends them. They live as long as the worker and end with it: their standard input is closed then.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models import machine
from workers.reading import decoder

MAX_PROCESSES = 8
"""Most processes of one worker: more than that wait for the thread that converts what they decoded."""

MAX_BYTES = 1 << 28
"""Largest instance that goes through shared memory, decoded; a larger one is decoded by the worker itself."""

KEPT_BYTES = 1 << 24
"""Shared memory that a process keeps between requests."""

END_SECONDS = 2.0
"""How long a process may take to end before it is killed."""

ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""A thread's stack and buffers count as address space, of which a process has little."""


class Crashed(Exception):
    """A decoder ended its process, twice: the data is damaged, or made to do that."""


@dataclass(frozen=True)
class Request:
    """Where compressed pixels lie, and what they are.

    Parameters
    ----------
    path
        The file.
    offset
        Of the first item (the Basic Offset Table) in the file, in bytes.
    syntax
        Transfer syntax UID.
    plugin
        pydicom's name of the decoder; empty for its own choice.
    shape
        Frames, rows and columns.
    allocated, stored, signed
        Bits Allocated, Bits Stored, and whether Pixel Representation is 1.
    photometric
        Photometric Interpretation.
    """

    path: str
    offset: int
    syntax: str
    plugin: str
    shape: tuple[int, int, int]
    allocated: int
    stored: int
    signed: bool
    photometric: str

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the decoded values."""
        return np.dtype(f"<{'i' if self.signed else 'u'}{self.allocated // 8}")

    @property
    def nbytes(self) -> int:
        """Size of the decoded values."""
        frames, rows, columns = self.shape
        return frames * rows * columns * self.dtype.itemsize

    def line(self, *, quick: bool = True) -> bytes:
        """Return the request as it goes to a process; ``quick`` lets it use decoders that pydicom does not know."""
        frames, rows, columns = self.shape
        options = {
            "number_of_frames": frames,
            "rows": rows,
            "columns": columns,
            "samples_per_pixel": 1,
            "bits_allocated": self.allocated,
            "bits_stored": self.stored,
            "pixel_representation": int(self.signed),
            "photometric_interpretation": self.photometric,
        }
        message = {
            "path": self.path,
            "offset": self.offset,
            "syntax": self.syntax,
            "plugin": self.plugin,
            "quick": quick,
            "dtype": self.dtype.str,
            "options": options,
        }
        return json.dumps(message).encode() + b"\n"


def command(shared: int) -> list[str]:
    """Return the command line of a decoding process: the file alone, nothing of the folder around it."""
    return [sys.executable, "-P", str(Path(decoder.__file__)), str(shared)]


class DecoderPool:
    """Decoding processes, started when they are first needed, and anew when one has crashed. Threads may share it.

    Parameters
    ----------
    processes
        How many; 0 for one for each core of this process.
    command
        Gives the command line of a process; tests put their own.
    """

    def __init__(self, processes: int = 0, command: Callable[[int], Sequence[str]] = command) -> None:
        count = min(processes or machine.cpu_count(), MAX_PROCESSES) if hasattr(os, "memfd_create") else 0
        self._all = [_Process(command) for _ in range(count)]
        self._idle: queue.LifoQueue[_Process] = queue.LifoQueue()
        for process in self._all:
            self._idle.put(process)
        self._closed = threading.Event()
        weakref.finalize(self, _end_all, self._all)

    @property
    def processes(self) -> int:
        """How many processes there are at most; 0 where the system has no shared memory without a name."""
        return 0 if self._closed.is_set() else len(self._all)

    @property
    def pids(self) -> list[int]:
        """Process ids of those that were started."""
        return [process.pid for process in self._all if process.pid is not None]

    def decode(self, request: Request) -> npt.NDArray[Any] | None:
        """Decode one instance.

        Returns
        -------
        numpy.ndarray or None
            ``[frame, row, column]``; None where the decoder refuses, or the instance is not one for this: the worker
            decodes it in the ordinary way then, and says what is wrong with it.

        Raises
        ------
        Crashed
            If the decoder crashed or hung, twice: the worker must not try what this did to a process.
        MemoryError
            If the process was killed twice, as the system does when memory runs out.
        """
        line = request.line()
        if not self.processes or request.nbytes > MAX_BYTES or len(line) > decoder.LONGEST:
            return None
        with self._borrowed() as process:
            answer = process.ask(line)
            if not answer and self.processes:  # of a quicker decoder's fault, or none of the data's
                answer = process.ask(request.line(quick=False))
            if answer == decoder.DONE:
                return process.values(request)
            if answer or not self.processes:
                return None
            if process.ended == -signal.SIGKILL:
                raise MemoryError
            raise Crashed

    def close(self) -> None:
        """End the processes; threads that are at one decode the rest themselves."""
        self._closed.set()
        with suppress(queue.Empty):
            for _ in self._all:
                self._idle.get(timeout=END_SECONDS).end()
        for process in self._all:
            process.kill()

    @contextmanager
    def _borrowed(self) -> Iterator[_Process]:
        process = self._idle.get()
        try:
            yield process
        finally:
            if self._closed.is_set():
                process.end()
            self._idle.put(process)


class _Process:
    """One process through its restarts, with its shared memory. Used by one thread at a time."""

    def __init__(self, command: Callable[[int], Sequence[str]]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._shared = -1
        self.ended = 0

    @property
    def pid(self) -> int | None:
        """Process id, None while there is none."""
        return self._process.pid if self._process is not None else None

    def ask(self, line: bytes) -> bytes:
        """Send a request and wait for its answer; empty if the process ended over it."""
        process = self._started()
        assert process.stdin is not None  # noqa: S101
        assert process.stdout is not None  # noqa: S101
        try:
            process.stdin.write(line)
            answer = process.stdout.read(1)
        except (OSError, ValueError):  # a broken pipe, or closed by another thread
            answer = b""
        if not answer:
            self.end()
        return answer

    def values(self, request: Request) -> npt.NDArray[Any]:
        """Read what was decoded."""
        values = np.empty(request.shape, request.dtype)
        data = memoryview(values.reshape(-1).view("u1"))  # type: ignore[arg-type]
        at = 0
        while at < len(data):
            read = os.preadv(self._shared, [data[at:]], at)
            if not read:
                raise Crashed  # an answer without values is none
            at += read
        if request.nbytes > KEPT_BYTES:
            os.ftruncate(self._shared, 0)
        return values

    def kill(self) -> None:
        """Kill the process if there is one; the thread that waits for its answer buries it."""
        if (process := self._process) is not None:
            process.kill()

    def end(self) -> None:
        """End the process and wait for it; kill it if it does not end."""
        process, self._process = self._process, None
        shared, self._shared = self._shared, -1
        if shared >= 0:
            os.close(shared)
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        try:
            self.ended = process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            self.ended = process.wait()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._shared = os.memfd_create("decoded")
            self._process = subprocess.Popen(
                list(self._command(self._shared)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                pass_fds=(self._shared,),
                env={**os.environ, **ENVIRONMENT},
            )
        return self._process


def _end_all(processes: Sequence[_Process]) -> None:
    for process in processes:
        process.end()
