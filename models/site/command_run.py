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

#: More than any disk has: what too many files and folders, or folders too deep in each other, count as.
TOO_MUCH = 1 << 62
MAX_ENTRIES = 100_000
MAX_DEPTH = 100

#: How often what a command left running is looked for, each time after all that was found was killed.
SWEEPS = 20


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


def run(argv: list[str], base: Path, environment: dict[str, str], seconds: float, room: int) -> None:
    """Run a command to its end, within its time and room; all that it started is killed in the end.

    Parameters
    ----------
    base
        Where it runs: its home, which no other command has. Processes that left the group are known by it.
    room
        Bytes that it may write there.
    """
    log = base / "log"
    most = room + used(base)
    process = _started(argv, base, environment, log)
    deadline = time.monotonic() + seconds
    why = ""
    try:
        while process.poll() is None and not why:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(LOOK_SECONDS)
            if time.monotonic() > deadline:
                why = f"the command was killed after {seconds:g} seconds (timeout_seconds)"
            elif used(base) > most:
                why = f"the command was killed after writing more than {room >> 20} MB (max_output_mb)"
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        _sweep(base)
    if not why and used(base) > most:
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


def _sweep(base: Path) -> None:
    """Kill what left the command's group, such as a daemon: processes that have ``base`` as home, or run in it."""
    home, base = f"HOME={base}".encode(), base.resolve()
    for _ in range(SWEEPS):
        left = [pid for pid in _own_processes() if _belongs(pid, home, base)]
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not left:
            return
        time.sleep(0.01)


def _own_processes() -> Iterator[int]:
    """Other processes of our user, by proc(5); none where there is no such file system."""
    with contextlib.suppress(OSError):
        for entry in os.scandir("/proc"):
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and int(entry.name) != os.getpid() and entry.stat().st_uid == os.getuid():
                    yield int(entry.name)


def _belongs(pid: int, home: bytes, base: Path) -> bool:
    try:
        if home in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            return True
        return Path(f"/proc/{pid}/cwd").readlink().is_relative_to(base)
    except OSError:
        return False


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """A folder of our own for one run, removed after it; what killed processes of ours left is removed before it.

    Images lie in it: it must not outlive its run.
    """
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        owner = path.name.removeprefix(PREFIX).partition("-")[0]
        if owner.isdigit() and path.lstat().st_uid == os.getuid() and not Path("/proc", owner).exists():
            remove(path)
    base = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    try:
        yield base
    finally:
        remove(base)


def remove(folder: Path) -> None:
    """Remove a folder that a command wrote in, however deep its folders are and whatever it forbade."""
    with contextlib.suppress(RecursionError):
        shutil.rmtree(folder, onerror=_allowed)
    if folder.exists():  # rm goes down without a limit
        subprocess.run(["chmod", "-R", "u+rwX", "--", str(folder)], check=False, stderr=subprocess.DEVNULL)
        subprocess.run(["rm", "-rf", "--", str(folder)], check=False, stderr=subprocess.DEVNULL)


def _allowed(action: object, path: str, trace: object) -> None:
    """What cannot be removed here is left to rm."""


def used(path: Path) -> int:
    """Bytes of a file, or of a folder without following links."""
    if path.is_file():
        return path.stat().st_size
    total = seen = 0
    waiting = [(path, 0)]
    while waiting:
        folder, depth = waiting.pop()
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                seen += 1
                if seen > MAX_ENTRIES or depth > MAX_DEPTH:
                    return TOO_MUCH
                with contextlib.suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append((Path(entry.path), depth + 1))
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
    return total


def _end(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - MAX_LOG_BYTES))
        return file.read().decode("utf-8", "replace")
