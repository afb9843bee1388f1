"""Writing one file and giving it its name, as durable as the policy says."""

from __future__ import annotations

import os
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
    folder
        Where files lie before they have their names.
    durable
        Whether a file survives a power cut when it has its name.
    """

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self._durable = durable
        self._direct = Direct(folder)

    def write_part(self, part: str, buffer: Buffer) -> None:
        """Write an object to a file without a name, by the way that costs least, and without waiting for the disk."""
        if self._direct.pays(buffer.size, durable=False):
            descriptor = self._direct.write(part, buffer.file, buffer.size)
            if descriptor is not None:
                os.close(descriptor)
                return
        write_file(part, buffer.file[: buffer.size])

    def write_and_name(self, part: str, final: str, buffer: Buffer) -> bool:
        """Write an object and give it its name, as durable as the policy says; False if the name is taken."""
        descriptor = None
        if self._direct.pays(buffer.size, durable=self._durable):
            descriptor = self._direct.write(part, buffer.file, buffer.size)
        direct = descriptor is not None
        if descriptor is None:
            write_file(part, buffer.file[: buffer.size])
            descriptor = os.open(part, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return self.sync_and_name(descriptor, part, final, name_first=direct and self._direct.keeps_names)
        finally:
            os.close(descriptor)

    def sync_and_name(self, descriptor: int, part: str, final: str, name_first: bool = False) -> bool:
        """Name a written file. With ``name_first`` one fsync(2) makes contents and name durable.

        Contents in the page cache are made durable before: after a failure the system may take them for written, and
        say so to the next who asks. An object that has no name then is sent and written anew.
        """
        durable = self._durable
        if durable and not name_first:
            os.fdatasync(descriptor)
        if not rename_new(part, final):
            return False
        if durable and name_first:
            os.fsync(descriptor)
        elif durable:
            sync_folder(Path(final).parent)
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
