"""The spool: received instances as files, which are the truth.

::

    spool/incoming/<random>.part      being written; locked by its writer
    spool/instances/<hh>/<UID>.dcm    durable; <hh> are two hexadecimal digits of the UID's SHA-256

:meth:`Spool.store` returns when a power cut can no longer lose the instance: contents, name and every directory above
it are on the disk (fsync(2): syncing a file does not sync the entry in its directory). A name depends on the SOP
Instance UID alone, so the file system itself keeps two objects with one UID apart, over all processes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from node.dicom.part10 import read_meta
from node.dicom.uid import is_uid
from node.durable import sync_folder
from node.errors import DicomInputError, DuplicateInstance, OutOfResources

INCOMING = "incoming"
INSTANCES = "instances"
FAN_OUT = 2
"""Hexadecimal digits that choose a directory: 256 of them keep ten million instances at some 40,000 names each."""
CHUNK = 1 << 20
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE})


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A durable file. ``path`` is relative to the spool; ``new`` is False where the same bytes were there already."""

    path: str
    size: int
    sha256: str
    new: bool


class Spool:
    """The spool of a node; any number of threads and processes may share it.

    Parameters
    ----------
    root
        Its folder, such as ``<node root>/spool``; made when something is stored.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._durable: set[Path] = set()
        self._lock = threading.Lock()

    def store(self, sop_instance: str, meta: bytes, dataset: bytes | memoryview) -> StoredFile:
        """Keep an instance and return once it is durable.

        Parameters
        ----------
        sop_instance
            SOP Instance UID; whatever has not the form of a UID (PS3.5 section 9.1) is refused.
        meta
            Preamble and File Meta Information.
        dataset
            The data set, written as it is.

        Raises
        ------
        DuplicateInstance
            An instance of this UID with another data set is kept already; it stays as it is.
        OutOfResources
            The disk is full, broken or read-only.
        """
        digest = hashlib.sha256(dataset).hexdigest()
        final = self.root / self.name(sop_instance)
        size = len(meta) + len(dataset)
        try:
            self._make_durable(self.root / INCOMING)
            self._make_durable(final.parent)
            new = not final.exists() and self._write(final, (meta, dataset))
            if not new:
                self._same(final, digest)
            sync_folder(final.parent)
        except OSError as exc:
            if exc.errno in NO_ROOM:
                raise OutOfResources("the spool has no room or cannot be written") from exc
            raise
        return StoredFile(str(final.relative_to(self.root)), size if new else final.stat().st_size, digest, new)

    def name(self, sop_instance: str) -> str:
        """Return the path of an instance below the spool, whether or not it is there."""
        if not is_uid(sop_instance):
            raise DicomInputError("SOP Instance UID is not a UID")
        fan = hashlib.sha256(sop_instance.encode("ascii")).hexdigest()[:FAN_OUT]
        return f"{INSTANCES}/{fan}/{sop_instance}.dcm"

    def sweep(self) -> int:
        """Remove what writers that died left in ``incoming``; returns how many files. Living writers hold a lock."""
        count = 0
        for path in (self.root / INCOMING).glob("*.part"):
            with contextlib.suppress(OSError), path.open("rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)
                count += 1
        return count

    def files(self) -> Iterator[tuple[str, str]]:
        """Yield ``(SOP Instance UID, path below the spool)`` of every stored instance, in no order."""
        for directory in sorted((self.root / INSTANCES).glob("*")):
            for path in directory.glob("*.dcm"):
                if is_uid(path.stem):
                    yield path.stem, str(path.relative_to(self.root))

    @contextlib.contextmanager
    def only_one(self, name: str) -> Iterator[bool]:
        """Hold a lock that one process of the node can have; gives False where another has it."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / f"{name}.lock").open("ab") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
            else:
                yield True

    def _write(self, final: Path, parts: tuple[bytes | memoryview, ...]) -> bool:
        """Write, sync and move to ``final``; False where another writer was there first."""
        part, descriptor = self._open_part()
        try:
            for data in parts:
                _write_all(descriptor, data)
            os.fdatasync(descriptor)
            with self._names():
                if final.exists():
                    return False
                part.rename(final)
                return True
        finally:
            part.unlink(missing_ok=True)
            os.close(descriptor)

    def _open_part(self) -> tuple[Path, int]:
        """Open a new file in ``incoming`` and lock it, so that :meth:`sweep` of another process leaves it alone."""
        while True:
            path = self.root / INCOMING / f"{secrets.token_hex(16)}.part"
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o640)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(descriptor).st_nlink:
                    return path, descriptor
            except BlockingIOError:
                pass  # a sweep is just removing it
            os.close(descriptor)

    @contextlib.contextmanager
    def _names(self) -> Iterator[None]:
        """Exclude other threads and processes between looking whether a name is free and taking it."""
        with (self.root / "names.lock").open("ab") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def _same(self, final: Path, digest: str) -> None:
        if dataset_digest(final) != digest:
            raise DuplicateInstance("an instance with this UID and other content is kept already")

    def _make_durable(self, directory: Path) -> None:
        """Make a directory and sync its name in its parent, once for each directory in the life of this process.

        A directory that is there already is synced too: another process may have made it a moment ago.
        """
        with self._lock:
            if directory in self._durable:
                return
            for folder in self._chain(directory):
                folder.mkdir(exist_ok=True)
                sync_folder(folder.parent)
                self._durable.add(folder)

    def _chain(self, directory: Path) -> list[Path]:
        """Return the directory and those above it whose names are not known to be durable, outermost first."""
        chain = []
        for folder in (directory, *directory.parents):
            outside = self.root not in (folder, *folder.parents)
            if folder in self._durable or (outside and folder.exists()):
                break
            chain.append(folder)
        return chain[::-1]


def dataset_digest(path: Path) -> str:
    """Return the SHA-256 of a Part 10 file's data set."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        read_meta(stream)
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _write_all(descriptor: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while len(view):
        view = view[os.write(descriptor, view) :]
