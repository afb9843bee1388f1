"""The journal: what makes Success durable for small objects without waiting for the file system.

A file's contents and its name reach a disk in two or three steps of the file system, each of which a sender would
wait for. The journal is a file whose blocks are on the disk already; an object is written over them in one step.
The instance's own file is written without waiting, and once half of the journal is full, one syncfs(2) makes all files
of that half durable together: the cost is shared by every association of the process.

::

    half 0 | half 1        each: a header block, then records, each at a multiple of BLOCK
    header: magic, version, key, CRC           the key changes when the half is used anew
    record: key, size, offset, XXH3-64 of the file's bytes, name, CRC; then, at ``offset``, the file's bytes

A record is found by its key, which is random and never leaves the journal, so that no sender can plant one inside an
object. Recovery reads both halves block by block: a record that a power cut left torn does not hide those after it.

Where the file system could not write, asking it again proves nothing: it may have given up the pages and call them
written (fsync(2), syncfs(2)). Then the files of a half are written once more from its records before it is used anew.
"""

from __future__ import annotations

import mmap
import os
import secrets
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import xxhash

from node import logs
from node.durable import sync_folder
from node.errors import OutOfResources

BLOCK = 4096
AT_ONCE_BYTES = 16 << 20
"""A journal up to this size is made while :meth:`Journal.open` waits."""
WAIT_SECONDS = 30.0
"""How long an object waits for a half that is being written to the disk."""
RETRY_SECONDS = 1.0
"""How long after a failure the file system is asked again."""
_HEADER = struct.Struct("<8sQ16s")
_RECORD = struct.Struct("<16sQLQ96s")
_CRC = struct.Struct("<L")
_MAGIC = b"OVRJRNL1"
HEAD_BYTES = _RECORD.size + _CRC.size
"""Bytes that a record's head takes at the beginning of its first block."""


@dataclass(frozen=True, slots=True)
class Record:
    """One file as the journal holds it: its name (a SOP Instance UID, or what the spool made of it) and its bytes."""

    name: str
    data: bytes


class Half:
    """One half: where the next record goes, and how many of its files have not got their names yet."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.next = start + BLOCK
        self.key = b""
        self.open_files = 0
        self.usable = True
        self.doubtful = False


class Reserved:
    """A place in the journal, at which one record may be written."""

    def __init__(self, descriptor: int, half: Half, position: int, length: int) -> None:
        self._descriptor, self.half, self._position, self._length = descriptor, half, position, length

    def write(self, buffer: memoryview, name: str, offset: int, size: int) -> None:
        """Write the record; the object is durable when this returns.

        Parameters
        ----------
        buffer
            Page-aligned memory: at least one block that the journal may write its own head into (as far as ``offset``),
            the file's bytes at ``offset``, and room up to the next multiple of BLOCK.
        offset, size
            Where the file's bytes are. ``offset`` leaves room for the record's head.
        """
        check = xxhash.xxh3_64_intdigest(buffer[offset : offset + size])
        head = _RECORD.pack(self.half.key, size, offset, check, name.encode("ascii"))
        buffer[:HEAD_BYTES] = head + _CRC.pack(zlib.crc32(head))
        _write_all(self._descriptor, buffer[: self._length], self._position)


class Journal:
    """The journal of one process; its threads share it.

    Parameters
    ----------
    path
        Its file; made, and filled so that its blocks are allotted, where it is missing or has another size.
    size
        Bytes of both halves together.
    sync
        Makes all files durable that have their names, or raises OSError.
    restore
        Writes the file of a record again.
    """

    def __init__(self, path: Path, size: int, sync: Callable[[], None], restore: Callable[[Record], object]) -> None:
        self._path, self._sync, self._restore = path, sync, restore
        self._half_size = size // 2 // BLOCK * BLOCK
        self._descriptor = -1
        self._halves = (Half(0), Half(self._half_size))
        self._active = 0
        self._changed = threading.Condition()
        self._closing = False
        self._threads: list[threading.Thread] = []
        self.ready = threading.Event()
        self._log = logs.get("spool")

    @property
    def longest(self) -> int:
        """The longest record that is taken: a half holds several."""
        return self._half_size // 4

    def open(self) -> None:
        """Make the journal ready; what an earlier process left in it must have been recovered.

        A large file that has to be made is made in the background: :attr:`ready` is set when it can be used.
        """
        if self._path.exists() and self._path.stat().st_size == 2 * self._half_size:
            self._begin()
        elif 2 * self._half_size <= AT_ONCE_BYTES:
            self._fill()
            self._begin()
        else:
            self._run(self._fill_and_begin)

    def _fill_and_begin(self) -> None:
        try:
            self._fill()
            with self._changed:
                if not self._closing:
                    self._begin()
        except OSError as exc:
            self._log.error("the journal cannot be made; files are synchronised one by one", error=exc)

    def _begin(self) -> None:
        self._descriptor = _open_direct(self._path)
        for half in self._halves:
            self._renew(half)
        self._run(self._checkpoints)
        self.ready.set()

    def _run(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="journal", daemon=True)
        self._threads.append(thread)
        thread.start()

    def close(self) -> None:
        """Make all files durable by themselves; the journal is empty then, or the next start recovers from it."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in list(self._threads):
            thread.join()
        if not self.ready.is_set():
            return
        self.ready.clear()
        try:
            for half in self._halves:
                if not half.open_files:
                    self._write_back(half)
        except OSError as exc:
            self._log.error("the file system cannot be written", error=exc)
        finally:
            os.close(self._descriptor)
            self._descriptor = -1

    def reserve(self, length: int) -> Reserved:
        """Reserve a place for a record of ``length`` bytes; its half is not used anew before :meth:`release`.

        The record is written first, then the file gets its name; where another object gets the name in between, both
        are kept.

        Raises
        ------
        OutOfResources
            If the disk is so slow that no half is free.
        """
        length = -(-length // BLOCK) * BLOCK
        half, position = self._allot(length)
        return Reserved(self._descriptor, half, position, length)

    def release(self, place: Reserved) -> None:
        """Say that a record's file has its name, or that nothing was written."""
        with self._changed:
            place.half.open_files -= 1
            if self._due(place.half):  # else nobody waits for it
                self._changed.notify_all()

    def _allot(self, length: int) -> tuple[Half, int]:
        with self._changed:
            while not self._closing:
                half = self._halves[self._active]
                if half.usable and half.next + length <= half.start + self._half_size:
                    position, half.next = half.next, half.next + length
                    half.open_files += 1
                    return half, position
                if half.usable:
                    half.usable = False
                    self._changed.notify_all()
                if self._halves[self._active ^ 1].usable:
                    self._active ^= 1
                elif not self._changed.wait(WAIT_SECONDS):
                    break
        raise OutOfResources("the disk does not keep up")

    def _checkpoints(self) -> None:
        """Make full halves empty again, until closed."""
        while (half := self._next_due()) is not None:
            try:
                self._write_back(half)
            except OSError as exc:
                self._log.error("the file system cannot be written", error=exc)
                with self._changed:
                    for each in self._halves:
                        each.doubtful = True
                    self._changed.wait_for(lambda: self._closing, RETRY_SECONDS)
            else:
                with self._changed:
                    half.usable = True
                    self._changed.notify_all()

    def _next_due(self) -> Half | None:
        """Wait for a full half whose files have their names; None when closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or any(self._due(half) for half in self._halves))
            return None if self._closing else next(half for half in self._halves if self._due(half))

    def _write_back(self, half: Half) -> None:
        """Make the files of a half durable by themselves, and the half empty."""
        if half.doubtful:
            with self._path.open("rb") as stream:
                for record in _records(stream, half.start, half.start + self._half_size):
                    self._restore(record)
        self._sync()
        self._renew(half)

    def _due(self, half: Half) -> bool:
        return not half.usable and not half.open_files

    def _renew(self, half: Half) -> None:
        """Begin a half anew: records with the old key count no longer."""
        half.key = secrets.token_bytes(16)
        block = memoryview(mmap.mmap(-1, BLOCK))
        head = _HEADER.pack(_MAGIC, 1, half.key)
        block[: len(head) + _CRC.size] = head + _CRC.pack(zlib.crc32(head))
        _write_all(self._descriptor, block, half.start)
        half.next = half.start + BLOCK
        half.doubtful = False

    def _fill(self) -> None:
        """Write the file from end to end: blocks that were written once are overwritten without the file system."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        part = self._path.with_suffix(".part")
        part.unlink(missing_ok=True)
        part.touch(0o600)
        descriptor = _open_direct(part)
        try:
            zeros = memoryview(mmap.mmap(-1, 1 << 20))
            for start in range(0, 2 * self._half_size, len(zeros)):
                if self._closing:
                    return
                _write_all(descriptor, zeros[: 2 * self._half_size - start], start)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        part.replace(self._path)
        sync_folder(self._path.parent)


def records(path: Path) -> Iterator[Record]:
    """Yield the whole records of a journal that nobody writes.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    size = path.stat().st_size // 2
    with path.open("rb") as stream:
        for start in (0, size):
            yield from _records(stream, start, start + size)


def _records(stream: BinaryIO, start: int, end: int) -> Iterator[Record]:
    """Yield the whole records of a half."""
    stream.seek(start)
    key = _key(stream.read(BLOCK))
    position = start + BLOCK
    while key is not None and position < end:
        stream.seek(position)
        head = _record(stream.read(BLOCK), key)
        position += BLOCK
        if head is None:
            continue
        name, offset, length, check = head
        first = position - BLOCK + offset
        stream.seek(first)
        data = stream.read(length)
        if xxhash.xxh3_64_intdigest(data) == check:
            yield Record(name, data)
            position = -(-(first + length) // BLOCK) * BLOCK


def _key(block: bytes) -> bytes | None:
    head = block[: _HEADER.size]
    if len(block) < BLOCK or not head.startswith(_MAGIC):
        return None
    if _CRC.unpack_from(block, _HEADER.size)[0] != zlib.crc32(head):
        return None
    return bytes(head[-16:])


def _record(block: bytes, key: bytes) -> tuple[str, int, int, int] | None:
    """Return name, offset, length and digest of the contents from a record's first block; None if it is not one."""
    head = block[: _RECORD.size]
    if len(block) < BLOCK or not head.startswith(key):
        return None
    if _CRC.unpack_from(block, _RECORD.size)[0] != zlib.crc32(head):
        return None
    _, size, offset, check, name = _RECORD.unpack(head)
    return name.rstrip(b"\0").decode("ascii"), offset, size, check


def _open_direct(path: Path) -> int:
    """Open for synchronous writes past the page cache, or through it where the file system insists."""
    flags = os.O_RDWR | os.O_DSYNC | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags | getattr(os, "O_DIRECT", 0))
    except OSError:
        descriptor = os.open(path, flags)
    return descriptor


def _write_all(descriptor: int, data: memoryview, position: int) -> None:
    while len(data):
        count = os.pwrite(descriptor, data, position)
        data, position = data[count:], position + count
