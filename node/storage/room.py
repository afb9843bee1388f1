"""Whether the spool may grow: the watermark below which objects are answered with A700."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

from node.errors import OutOfResources

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE})
REMEMBER_SECONDS = 0.25
"""How long an answer of statvfs(2) is believed: at a gigabyte a second, 256 MB, which the watermark is to exceed."""


class Room:
    """The free space of the spool's file system, against a watermark.

    Parameters
    ----------
    min_bytes, min_percent
        Least free space for unprivileged users; the larger of the two counts.
    """

    def __init__(self, folder: Path, min_bytes: int = 0, min_percent: float = 0.0) -> None:
        self._folder = folder
        self._min_bytes = min_bytes
        self._min_percent = min_percent
        self._asked_at = -REMEMBER_SECONDS
        self._enough = True

    def require(self) -> None:
        """Do nothing if there is room.

        Raises
        ------
        OutOfResources
            If less is free than the watermark asks for. What is kept already stays.
        """
        moment = time.monotonic()
        if moment - self._asked_at >= REMEMBER_SECONDS:
            self._asked_at = moment
            self._enough = self.free() >= self.needed()
        if not self._enough:
            raise OutOfResources("the spool is below its free space watermark")

    def free(self) -> int:
        """Return the free bytes."""
        found = os.statvfs(self._existing())
        return found.f_bavail * found.f_frsize

    def needed(self) -> int:
        """Return the bytes that have to stay free."""
        found = os.statvfs(self._existing())
        return max(self._min_bytes, int(found.f_blocks * found.f_frsize * self._min_percent / 100))

    def _existing(self) -> Path:
        return next(folder for folder in (self._folder, *self._folder.absolute().parents) if folder.exists())


@contextlib.contextmanager
def out_of_room() -> Iterator[None]:
    """Turn what a full, broken or read-only disk says into A700."""
    try:
        yield
    except OSError as exc:
        if exc.errno in NO_ROOM:
            raise OutOfResources("the spool has no room or cannot be written") from exc
        raise
