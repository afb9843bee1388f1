"""A folder that files are put into: what lies in it, and putting files away without losing one.

Names in such a folder often are patients' names, so no text made here holds one. Links are not followed, hidden files
and folders (``.accepted`` and ``.refused`` among them) are not looked at.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from node import durable

ACCEPTED, REFUSED, LOCK = ".accepted", ".refused", ".overread.lock"
MAX_DEPTH = 16
"""Folders below folders; what lies deeper is not looked at."""
MAX_FILES = 10_000
"""Files looked at in one round; the others have their turn when these are gone."""

NAME_BYTES = 160
"""Of a file's name that the names made from it have: file systems allow 255, and endings are added."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Tells a file from another of the same name, and from itself after a change."""

    device: int
    inode: int
    size: int
    modified: int

    @classmethod
    def of(cls, found: os.stat_result) -> Identity:
        """Return the identity of what was found."""
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


class Gone(Exception):
    """The file is not there any more, or it is another one."""


class Folder:
    """The tree below a path.

    :meth:`hold` lets one process at a time work on it: another one waits, and goes on where the first one ends.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: BinaryIO | None = None

    def hold(self) -> bool:
        """Take the folder's lock, or keep it; False where another process has it.

        Raises
        ------
        OSError
            If the folder is not there or cannot be written.
        """
        if self._lock is not None and self._lock_is_there():
            return True
        self.release()
        stream = (self.path / LOCK).open("ab")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            stream.close()
            if exc.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return False
            raise
        self._lock = stream
        return True

    def release(self) -> None:
        """Let another process have the folder."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def files(self) -> tuple[dict[Path, Identity], OSError | None]:
        """Return the regular files in order of their names, and the first error met on the way.

        Raises
        ------
        OSError
            If the folder itself cannot be read.
        """
        found: dict[Path, Identity] = {}
        problems: list[OSError] = []
        for entry in itertools.islice(_walk(str(self.path), 0, problems), MAX_FILES):
            with contextlib.suppress(FileNotFoundError):
                found[Path(entry.path)] = Identity.of(entry.stat(follow_symlinks=False))
        return found, problems[0] if problems else None

    @contextlib.contextmanager
    def reading(self, path: Path, identity: Identity) -> Iterator[BinaryIO]:
        """Open the file that was seen.

        Raises
        ------
        Gone
            If it is another one by now.
        OSError
            If it cannot be read.
        """
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError as exc:
            raise Gone from exc
        with os.fdopen(descriptor, "rb", buffering=0) as stream:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or Identity.of(found) != identity:
                raise Gone
            yield stream

    def delete(self, path: Path, identity: Identity) -> None:
        """Delete a file that was taken in.

        Raises
        ------
        Gone
            If it is another one by now, which stays.
        OSError
            If it cannot be deleted.
        """
        self._move(path, identity, self.path / ACCEPTED / path.name).unlink()

    def accept(self, path: Path, identity: Identity) -> None:
        """Move a file that was taken in to ``.accepted``; raises as :meth:`delete`."""
        self._move(path, identity, self.path / ACCEPTED / path.relative_to(self.path))

    def refuse(self, path: Path, identity: Identity, why: str) -> None:
        """Move a file that was refused to ``.refused``, and write beside it why; raises as :meth:`delete`."""
        target = self._move(path, identity, self.path / REFUSED / path.relative_to(self.path))
        name = os.fsdecode(os.fsencode(target.name)[:NAME_BYTES])
        durable.write(_free(target.with_name(f"{name}.txt")), f"{why}\n".encode())

    def _move(self, path: Path, identity: Identity, wanted: Path) -> Path:
        """Move a file to a free name, look whether it is the one that was read, and put it back if it is not.

        The look comes last because a sender may put another file under the name at any moment.
        """
        target = _free(wanted)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.rename(target)
        except FileNotFoundError as exc:
            raise Gone from exc
        if Identity.of(target.lstat()) == identity:
            durable.sync_folder(target.parent)
            return target
        try:
            os.link(target, path, follow_symlinks=False)
        except OSError:
            # The name is taken again, or the file system has no links: what came between gets another name.
            target.rename(_free(path))
        else:
            target.unlink()
        raise Gone

    def _lock_is_there(self) -> bool:
        """Whether the lock is still the folder's own: somebody may have replaced the folder."""
        assert self._lock is not None  # noqa: S101  the caller looked
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat((self.path / LOCK).stat(), os.fstat(self._lock.fileno()))
        return False


def _walk(folder: str, depth: int, problems: list[OSError]) -> Iterator[os.DirEntry[str]]:
    """Yield regular files, folder by folder; an error in the topmost folder is raised, others are gathered."""
    try:
        with os.scandir(folder) as entries:
            listed = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda item: item.name)
    except FileNotFoundError:
        if not depth:
            raise
        return
    except OSError as exc:
        if not depth:
            raise
        problems.append(exc)
        return
    for entry in listed:
        if entry.is_dir(follow_symlinks=False):
            if depth < MAX_DEPTH:
                yield from _walk(entry.path, depth + 1, problems)
        elif entry.is_file(follow_symlinks=False):
            yield entry


def _free(path: Path) -> Path:
    """Return the path, or one like it that nothing has."""
    short = os.fsdecode(os.fsencode(path.name)[:NAME_BYTES])
    names = itertools.chain([path], (path.with_name(f"{short}.{number}") for number in itertools.count(1)))
    return next(name for name in names if not os.path.lexists(name))
