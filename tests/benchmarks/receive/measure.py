"""One run: a receiver on an empty folder, senders that start together, what it took, and whether all of it is there."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.receive import stored
from tests.benchmarks.receive.corpora import Corpus
from tests.benchmarks.receive.processes import Memory, Peak, busy_seconds, memory, wait_until_idle
from tests.benchmarks.receive.receivers import ReceiverFailed, Running, program

SEND_SECONDS = 900.0
INDEX_SECONDS = 120.0
PAUSE_SECONDS = 1.0
"""Before a run, after sync(2): what the run before and the start have left to write must not fall on it."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be measured."""

    case: str
    receiver: str
    corpus: Corpus
    associations: int
    nodelay: bool = True
    watch_memory: bool = False


@dataclass(frozen=True)
class Run:
    """What one run showed; ``error`` says why it does not count.

    Parameters
    ----------
    seconds
        From the start of the senders to the exit of the last one, after its last answer and release.
    cpu
        User and system seconds of each process of the receiver, until it was idle again.
    elsewhere
        CPU seconds per second that neither the receiver nor the senders used while they ran.
    indexed_after
        Seconds after ``seconds`` until the receiver's index knew everything.
    memory
        Highest memory while it received, ``each`` the highest PSS of each process, and ``idle`` that of all before.
    """

    case: str
    receiver: str
    round: int
    associations: int
    objects: int
    bytes: int
    seconds: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    elsewhere: float = 0.0
    stored: int = 0
    same_bytes: bool = False
    indexed_after: float | None = None
    memory: Memory | None = None
    each: dict[str, int] = field(default_factory=dict)
    idle: Memory | None = None
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether it counts: it ran, and everything that was sent is stored as it was sent."""
        return not self.error and self.stored == self.objects and self.same_bytes

    @property
    def speed(self) -> float:
        """Megabytes (10^6) a second."""
        return self.bytes / 1e6 / self.seconds

    def cpu_per_gb(self, without: str = "") -> float:
        """CPU seconds per 10^9 bytes, of all processes but those whose name starts with ``without``."""
        used = sum(seconds for name, seconds in self.cpu.items() if not (without and name.startswith(without)))
        return used / (self.bytes / 1e9)


def environment(nodelay: bool) -> dict[str, str]:
    """Return the environment of everybody: ours without settings of this shell, TCP_NODELAY for all or for nobody.

    DCMTK reads the variable, in Orthanc too; without it each object waits some 40 ms for a delayed acknowledgement.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith("OVERREAD_") and k != "TCP_NODELAY"}
    return {**kept, "TCP_NODELAY": "1"} if nodelay else kept


def measure(task: Task, number: int, folder: Path, pause: float = PAUSE_SECONDS) -> Run:
    """Measure once, as round ``number``; ``folder`` does not exist, and is left with empty files."""
    files = task.corpus.files
    sizes = [path.stat().st_size for path in files]
    basis = (task.case, task.receiver, number, task.associations, len(files), sum(sizes))
    try:
        with Running(task.receiver, folder, environment(task.nodelay)) as running:
            settle(pause)
            return _observe(task, running, files, basis)
    except (ReceiverFailed, OSError) as exc:
        return Run(*basis, error=str(exc))
    finally:
        empty(folder)


def empty(folder: Path) -> None:
    """Give the room of a run's files back, but not their inodes.

    For minutes ext4 without a journal gives no inode away that was just freed, and looks through all of those at every
    new file: what one run deletes would fall on the next.
    """
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # a process that was killed a moment ago may have left others
            if path.is_file() and not path.is_symlink():
                os.truncate(path, 0)


def settle(pause: float) -> None:
    """Have everything written that waits for the disk, and let the disk rest."""
    os.sync()
    time.sleep(pause)


def _observe(task: Task, running: Running, files: list[Path], basis: tuple[str, str, int, int, int, int]) -> Run:
    groups = tuple(running.groups.values())
    peak = Peak(running.groups) if task.watch_memory else None
    idle = memory(groups) if task.watch_memory else None
    before, sending, busy = running.cpu(), _senders_cpu(), busy_seconds()
    with peak or nullcontext():  # sampling costs time of its own: not where speed is compared
        seconds = send(task, running.port)
    during = running.cpu()
    sending, busy = _senders_cpu() - sending, busy_seconds() - busy
    indexed_after = _wait_for_index(running, len(files))
    wait_until_idle(groups)
    after = running.cpu()
    kept = stored.wait_for(running.plan.storage, files)
    return Run(
        *basis,
        seconds=seconds,
        cpu={name: round(after[name] - before[name], 3) for name in after},
        elsewhere=round(max(0.0, busy - sending - _difference(during, before)) / seconds, 2),
        stored=len(kept),
        same_bytes=stored.same_bytes(files, kept, 1 if task.watch_memory else 20),
        indexed_after=indexed_after,
        memory=peak.highest if peak else None,
        each=peak.each if peak else {},
        idle=idle,
    )


def send(task: Task, port: int) -> float:
    """Send a corpus over associations that start together; returns the seconds until the last sender has exited.

    Raises
    ------
    ReceiverFailed
        If a sender says that something went wrong.
    """
    base = (program("storescu"), "-nh", "+sd", "-aec", "OVERREAD", "127.0.0.1", str(port))
    shares = [task.corpus.share(number, task.associations) for number in range(task.associations)]
    env = environment(task.nodelay)
    senders: list[subprocess.Popen[str]] = []
    started = time.monotonic()
    try:
        for share in shares:
            senders.append(  # noqa: PERF401  what has been started is stopped if the next one cannot be
                subprocess.Popen(
                    (*base, *map(str, share)), env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
                )
            )
        said = [sender.communicate(timeout=SEND_SECONDS)[1] for sender in senders]
    except subprocess.TimeoutExpired as exc:
        raise ReceiverFailed(f"not all was sent within {SEND_SECONDS:g} s") from exc
    finally:
        for sender in senders:
            sender.kill()
            sender.wait()
    seconds = time.monotonic() - started
    wrong = [text for sender, text in zip(senders, said, strict=True) if sender.returncode or text.strip()]
    if wrong:
        raise ReceiverFailed(f"a sender failed: {wrong[0][-500:]}")
    return seconds


def _wait_for_index(running: Running, wanted: int) -> float | None:
    """Return after how many seconds the receiver's index knows everything; None where it has none."""
    running.check()
    indexed = running.plan.indexed
    if indexed is None:
        return None
    started = time.monotonic()
    while (known := indexed()) < wanted:
        running.check()
        if time.monotonic() - started > INDEX_SECONDS:
            raise ReceiverFailed(f"{known} of {wanted} objects are in the index after {INDEX_SECONDS:g} s")
        time.sleep(0.05)
    return round(time.monotonic() - started, 2)


def _senders_cpu() -> float:
    """Return the CPU time of the children of this process that have exited: the senders, while receivers run."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _difference(after: dict[str, float], before: dict[str, float]) -> float:
    return sum(after.values()) - sum(before.values())


def failures(runs: Sequence[Run]) -> list[str]:
    """Return a sentence for each run that does not count."""
    return [
        f"{run.case}, {run.receiver}, round {run.round}: "
        + (run.error or f"{run.stored} of {run.objects} objects stored, bytes {'' if run.same_bytes else 'not '}equal")
        for run in runs
        if not run.ok
    ]
