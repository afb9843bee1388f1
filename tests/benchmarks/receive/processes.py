"""What the kernel says of a group of processes: its CPU time, its memory, and who listens on a port (Linux)."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")
_LISTEN = "0A"  # TCP_LISTEN of the kernel's tcp_states.h


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of a group of processes.

    ``pss`` shares pages between those who map them, ``anonymous`` is what no file backs.
    """

    pss: int
    anonymous: int


def _stat(pid: str) -> list[str]:
    """Return the fields of stat(5) after the name, which may hold spaces; the first one is the state."""
    return (PROC / pid / "stat").read_text().rpartition(")")[2].split()


def members(group: int) -> Iterator[str]:
    """Give the process ids of a process group, those of the dead who wait for their parent among them."""
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if int(_stat(entry.name)[2]) == group:
                    yield entry.name


def cpu_seconds(group: int) -> float:
    """Return user and system time of a process group, with that of the children that its members have waited for."""
    total = 0
    for pid in members(group):
        with suppress(OSError):
            total += sum(map(int, _stat(pid)[11:15]))  # utime, stime, cutime, cstime
    return total / TICKS


def memory(groups: Iterable[int]) -> Memory:
    """Return the memory of process groups together (proc(5), smaps_rollup)."""
    pss = anonymous = 0
    for pid in (pid for group in groups for pid in members(group)):
        with suppress(OSError):
            lines = (PROC / pid / "smaps_rollup").read_text().splitlines()[1:]
            values = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
            pss += values.get("Pss", 0) << 10
            anonymous += values.get("Anonymous", 0) << 10
    return Memory(pss, anonymous)


def listeners(port: int) -> int:
    """Return how many sockets listen on a TCP port: each process of a port that is shared has one of its own."""
    rows = [line.split() for name in ("tcp", "tcp6") for line in (PROC / "net" / name).read_text().splitlines()[1:]]
    return sum(row[3] == _LISTEN and int(row[1].rpartition(":")[2], 16) == port for row in rows)


def busy_seconds() -> float:
    """Return the CPU time of the whole machine since it started, without idle and I/O wait."""
    user, nice, system, _, _, irq, softirq, steal = map(int, (PROC / "stat").read_text().split("\n", 1)[0].split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS


def wait_until_idle(groups: Iterable[int], quiet: float = 0.3, timeout: float = 60.0) -> bool:
    """Wait until process groups have used (nearly) no CPU for ``quiet`` seconds; False if that takes too long."""
    groups = tuple(groups)
    deadline = time.monotonic() + timeout
    before = sum(map(cpu_seconds, groups))
    while time.monotonic() < deadline:
        time.sleep(quiet)
        now = sum(map(cpu_seconds, groups))
        if now - before <= max(1 / TICKS, 0.05 * quiet):
            return True
        before = now
    return False


class Peak:
    """Samples the memory of process groups while it is open; keeps the highest values of all and of each."""

    def __init__(self, groups: Mapping[str, int], interval: float = 0.05) -> None:
        self._groups, self._interval = dict(groups), interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.samples = 0
        self.highest = Memory(0, 0)
        self.each = dict.fromkeys(groups, 0)

    def _run(self) -> None:
        while True:
            self._sample()
            if self._stop.wait(self._interval):
                return

    def _sample(self) -> None:
        seen = {name: memory((group,)) for name, group in self._groups.items()}
        pss, anonymous = (sum(getattr(one, kind) for one in seen.values()) for kind in ("pss", "anonymous"))
        self.highest = Memory(max(pss, self.highest.pss), max(anonymous, self.highest.anonymous))
        self.each = {name: max(before, seen[name].pss) for name, before in self.each.items()}
        self.samples += 1

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
