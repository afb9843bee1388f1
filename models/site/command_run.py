"""Running a command within its time and room, and killing all that it started."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from models.contracts import ModelError

#: How often time and room are looked at.
LOOK_SECONDS = 0.1
MAX_LOG_BYTES = 4000
MAX_FOLDERS = 10_000

#: Started before the command, in its place a moment later: the kernel ends the command when the process that waits for
#: it is killed (prctl(2), PR_SET_PDEATHSIG), as a worker's is after its time. 127 is what shells give for no program.
LAUNCH = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
try:
    os.execvp(sys.argv[1], sys.argv[1:])
except OSError as error:
    sys.stderr.write(error.strerror)
    sys.exit(127)
"""
NOT_FOUND = 127

#: Name of the folders of runs, before the number of their process.
PREFIX = "overread-model-"

#: More than any disk has: what a folder of too many folders counts as.
TOO_MUCH = 1 << 62


class CommandFailed(ModelError):
    """A command ended with an error, or was killed; ``printed`` is the end of what it wrote, never part of the text."""

    def __init__(self, text: str, printed: str) -> None:
        super().__init__(text)
        self.printed = printed


def filled(part: str, values: dict[str, str]) -> str:
    """Put values in place of ``{input}`` and the like; other braces stay as they are."""
    for key, value in values.items():
        part = part.replace(f"{{{key}}}", value)
    return part


def run(argv: list[str], base: Path, environment: dict[str, str], seconds: float, room: int, answer: Path) -> None:
    """Run a command to its end, within its time and room; its whole group is killed in the end."""
    log = base / "log"
    process = _started(argv, base, environment, log)
    deadline = time.monotonic() + seconds
    why = ""
    try:
        while process.poll() is None and not why:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(LOOK_SECONDS)
            if time.monotonic() > deadline:
                why = f"the command was killed after {seconds:g} seconds (timeout_seconds)"
            elif used(answer) + used(log) > room:
                why = f"the command was killed after writing more than {room >> 20} MB (max_output_mb)"
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if not why and used(answer) > room:
        why = f"the command wrote more than {room >> 20} MB (max_output_mb)"
    if process.returncode == NOT_FOUND and not why:
        raise CommandFailed(f"the command cannot be started: {Path(argv[0]).name}", _end(log))
    if why or process.returncode:
        raise CommandFailed(why or f"the command ended with the status {process.returncode}", _end(log))


def _started(argv: list[str], base: Path, environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start a command in a process group of its own; what it prints goes to ``log``."""
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", LAUNCH, *argv],
            cwd=base,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """A folder of our own for one run, removed after it; what killed processes of ours left is removed before it.

    Images lie in it: it must not outlive its run.
    """
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        owner = path.name.removeprefix(PREFIX).partition("-")[0]
        if owner.isdigit() and path.lstat().st_uid == os.getuid() and not Path("/proc", owner).exists():
            shutil.rmtree(path, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-") as base:
        yield Path(base)


def used(path: Path) -> int:
    """Bytes of a file, or of a folder without following links."""
    if path.is_file():
        return path.stat().st_size
    total = 0
    for count, (base, _, files) in enumerate(os.walk(path)):
        if count > MAX_FOLDERS:
            return TOO_MUCH
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(base, name)).st_size  # noqa: PTH118
    return total


def _end(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - MAX_LOG_BYTES))
        return file.read().decode("utf-8", "replace")
