"""Numbers that processes of one node hold against each other, and that the system gives back when one dies."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


class Slot:
    """A number, held until :meth:`release` or the end of the process."""

    def __init__(self, number: int, stream: BinaryIO) -> None:
        self.number = number
        self._stream = stream

    def release(self) -> None:
        """Give the number back."""
        self._stream.close()


def take(folder: Path) -> Slot:
    """Take the lowest free number."""
    folder.mkdir(parents=True, exist_ok=True)
    number = 0
    while (slot := take_number(folder, number)) is None:
        number += 1
    return slot


def take_number(folder: Path, number: int) -> Slot | None:
    """Take this number, or None where another process (or this one) holds it."""
    stream = (folder / f"{number}.lock").open("ab")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.close()
        return None
    except OSError:  # a file system without locks: no number would ever be free
        stream.close()
        raise
    return Slot(number, stream)


@contextlib.contextmanager
def in_turn(folder: Path) -> Iterator[None]:
    """Wait until no other process (or thread) is within this block for the folder."""
    with (folder / "turn.lock").open("ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def only_one(root: Path, name: str) -> Iterator[bool]:
    """Hold a lock that one process of the node can have; gives False where another has it."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / f"{name}.lock").open("ab") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
