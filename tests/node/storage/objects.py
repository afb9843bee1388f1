"""Small objects for tests of the spool. It does not look into data sets, so any bytes will do."""

from __future__ import annotations

from pathlib import Path

from node.dicom.part10 import Command, file_meta
from node.storage import Spool, StoredFile
from node.storage.buffer import Buffer

UID = "1.2.3"


def meta(uid: str = UID, calling: str = "MR1") -> bytes:
    """Return preamble and File Meta Information."""
    return file_meta(Command("1.2", uid, "1.2.840.10008.1.2.1", calling, "OVERREAD"))


def buffer_with(data: bytes, limit: int = 1 << 21, head: int = 0) -> Buffer:
    """Return a buffer that holds a data set behind room for ``head`` bytes."""
    buffer = Buffer(limit)
    buffer.clear(head)
    buffer.room(len(data))[:] = data
    buffer.advance(len(data))
    return buffer


def keep(spool: Spool, uid: str, data: bytes) -> StoredFile:
    """Keep an object by the way of small ones."""
    return spool.keep(uid, meta(uid), buffer_with(data, head=len(meta(uid))))


def keep_long(spool: Spool, uid: str, data: bytes) -> StoredFile:
    """Keep an object by the way of long ones."""
    return spool.store(uid, meta(uid), data)


def litter(spool: Spool) -> list[Path]:
    """Return what is under way, or was left there."""
    return [path for path in (spool.root / "incoming").rglob("*") if path.is_file() and path.suffix != ".lock"]
