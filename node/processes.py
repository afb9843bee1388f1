"""What processes of the node do at their start."""

from __future__ import annotations

import ctypes
import resource
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1  # prctl(2)


def die_with_parent(number: int) -> Callable[[], None] | None:
    """Return what a child is to run first, so that it gets this signal when its parent ends (Linux; elsewhere None)."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, number)


def allow_descriptors() -> None:
    """Take all descriptors that the system allows: the usual 1024 would be fewer than the connections of two hosts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
