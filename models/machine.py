"""What this machine gives to a process: cores and main memory, with the limits of a container; no torch."""

from __future__ import annotations

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
MEMINFO = Path("/proc/meminfo")
OWN_CGROUP = Path("/proc/self/cgroup")


def cpu_count() -> int:
    """Return how many cores this process may use: its affinity, and the quota of its control group; at least one."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    for folder in _own_cgroups():
        words = _words(folder / "cpu.max")
        if len(words) == 2 and words[0].isdigit() and words[1].isdigit() and int(words[1]) > 0:
            cores = min(cores, int(words[0]) // int(words[1]))
    return max(1, cores)


def threads_for(wanted: int, processes: int) -> int:
    """Return the threads of one of several processes: what the operator ``wanted``, or for 0 its share of the cores."""
    return wanted or max(1, cpu_count() // max(1, processes))


def physical_bytes() -> int:
    """Return the main memory of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def free_memory() -> int:
    """Return the kernel's estimate of what a new program may take, or what the control groups leave of it."""
    return min([_available(), *(_left(folder) for folder in _own_cgroups())])


def _available() -> int:
    for line in _lines(MEMINFO):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return physical_bytes()  # not Linux: the kernel does not tell


def _left(group: Path) -> int:
    """Return what a control group may still take; its file cache that nobody uses can be dropped, so it counts."""
    limit, used = _words(group / "memory.max"), _words(group / "memory.current")
    if not limit or not limit[0].isdigit() or not used:
        return physical_bytes()
    idle = next(
        (int(line.split()[1]) for line in _lines(group / "memory.stat") if line.startswith("inactive_file ")), 0
    )
    return max(0, int(limit[0]) - int(used[0]) + idle)


def _own_cgroups() -> list[Path]:
    """Return the folders of this process's control group (version 2) and those above it."""
    for line in _lines(OWN_CGROUP):
        if line.startswith("0::"):
            own = CGROUP / line[3:].strip().lstrip("/")
            return [folder for folder in (own, *own.parents) if folder.is_relative_to(CGROUP)]
    return []


def _words(path: Path) -> list[str]:
    return (_lines(path) or [""])[0].split()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
