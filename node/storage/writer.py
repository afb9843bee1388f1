"""Writing one file and giving it its name, as durable as the policy says."""

from __future__ import annotations

import os
import time
from pathlib import Path

from node.durable import sync_folder
from node.storage.buffer import Buffer
from node.storage.direct import Direct
from node.storage.incoming import write_file
from node.storage.system import rename_new


class Writer:
    """Writes the files of one spool; threads share it.

    Parameters
    ----------
    durable
        Whether a file survives a power cut when it has its name.
    """

    def __init__(self, *, durable: bool) -> None:
        self._durable = durable
        self._direct = Direct()

    def write_part(self, part: str, buffer: Buffer) -> None:
        """Write an object to a file without a name, by the way that costs least, and without waiting for the disk."""
        began = time.monotonic()
        way = self._direct.way(buffer.size)
        descriptor = self._direct.write(part, buffer.file, buffer.size) if way == "direct" else None
        if descriptor is not None:
            os.close(descriptor)
        else:
            way = "cached"
            write_file(part, buffer.file[: buffer.size])
        self._direct.learn(way, buffer.size, time.monotonic() - began)

    def write_and_name(self, part: str, final: str, buffer: Buffer) -> bool:
        """Write an object and give it its name, as durable as the policy says; False if the name is taken.

        Its contents are durable before it has the name: after a failure the system may take them for written, and say
        so to the next who asks. An object that has no name then is sent and written anew.
        """
        self.write_part(part, buffer)
        if self._durable:
            sync_file(part)
        if not rename_new(part, final):
            return False
        self.sync_name(final)
        return True

    def sync_name(self, final: str) -> None:
        """Make a name durable, where that is the policy."""
        if self._durable:
            sync_folder(Path(final).parent)

    def sync_again(self, kept: Path) -> None:
        """Before Success is said again: another process may have given the name a moment ago."""
        if self._durable:
            sync_file(str(kept))
            sync_folder(kept.parent)


def sync_file(path: str) -> None:
    """Make the contents of a file durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
