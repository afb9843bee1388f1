"""Processes that a test has started, which may end while they are looked at."""

from __future__ import annotations

import os
from contextlib import suppress

import psutil

WORDS = 4
"""How many words of a command line say what it runs; behind them stand paths, which may say anything."""


def children(said: str, parent: int | None = None) -> list[psutil.Process]:
    """Return a process's own children, by default this one's, the beginning of whose command line holds a text.

    One that ends meanwhile, or has ended and only waits to be buried, is none.
    """
    found = []
    for child in psutil.Process(parent or os.getpid()).children():
        with suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE and said in " ".join(child.cmdline()[:WORDS]):
                found.append(child)
    return found
