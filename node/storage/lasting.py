"""Memory that outlives its process: what an object is received into where Success need not survive a power cut.

The memory is a file's in the page cache. An object in it is answered for once its head is written; after the death of
the process the next start finds the head, and writes the object's own file. Nothing is copied for that, and no disk is
waited for.

::

    head: magic, size, offset, name, digest of the data set, CRC; at ``offset``, the file's bytes

After a power cut head and bytes may be of different times: they are believed only where the digest says that they
belong together.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import zlib
from pathlib import Path

from node.dicom.part10 import dataset_start
from node.errors import DicomInputError
from node.storage.journal import Record
from node.storage.seal import Seal, read_seal, seal_of

SUFFIX = ".memory"
_HEAD = struct.Struct("<8sQL96s16s")
_CRC = struct.Struct("<L")
_MAGIC = b"OVRMEMO1"
HEAD_BYTES = _HEAD.size + _CRC.size


class Lasting:
    """One file's memory.

    Parameters
    ----------
    path
        The file; made, and removed by :meth:`close`.

    Raises
    ------
    OSError
        If it cannot be made.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)

    def map(self, size: int) -> mmap.mmap:
        """Return the memory, at least as long as it was; what is in it stays.

        Raises
        ------
        OSError
            If the disk has no room for it.
        """
        os.posix_fallocate(self._descriptor, 0, size)  # a page that has no room when it is touched is a SIGBUS
        return mmap.mmap(self._descriptor, size)

    def close(self) -> None:
        """Remove the file; the memory goes with the last who looks at it."""
        os.close(self._descriptor)
        with contextlib.suppress(OSError):
            os.unlink(self._path)  # noqa: PTH108


def mark(memory: memoryview, name: str, offset: int, size: int, seal: Seal) -> None:
    """Write the head: from now on the object survives the process."""
    head = _HEAD.pack(_MAGIC, size, offset, name.encode("ascii"), seal.digest)
    memory[:HEAD_BYTES] = head + _CRC.pack(zlib.crc32(head))


def unmark(memory: memoryview) -> None:
    """Say that the object has its own file."""
    memory[:HEAD_BYTES] = bytes(HEAD_BYTES)


def recovered(path: Path) -> Record | None:
    """Return the object that a dead process answered for, or None."""
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
        if len(head) < HEAD_BYTES or _CRC.unpack_from(head, _HEAD.size)[0] != zlib.crc32(head[: _HEAD.size]):
            return None
        magic, size, offset, name, digest = _HEAD.unpack_from(head)
        if magic != _MAGIC:
            return None
        stream.seek(offset)
        data = stream.read(size)
    try:
        start = dataset_start(data)
    except DicomInputError:
        return None
    found = seal_of(memoryview(data)[start:])
    if len(data) < size or found.digest != digest or read_seal(data[:128]) != found:
        return None
    return Record(name.rstrip(b"\0").decode("ascii"), data)
