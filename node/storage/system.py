"""System calls that Python's ``os`` lacks (renameat2, syncfs, sync_file_range), each with what stands in for it."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from pathlib import Path

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_SYNC_FILE_RANGE_WRITE = 2
_libc = ctypes.CDLL(None, use_errno=True)
_renameat2 = getattr(_libc, "renameat2", None)
_syncfs = getattr(_libc, "syncfs", None)
_sync_file_range = getattr(_libc, "sync_file_range", None)
if _sync_file_range is not None:
    _sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


def rename_new(source: str, target: str) -> bool:
    """Give a file its name in one step; False where the name is taken, whoever takes it at the same moment."""
    if _renameat2 is not None:
        if not _renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE):
            return True
        code = ctypes.get_errno()
        if code == errno.EEXIST:
            return False
        if code not in (errno.EINVAL, errno.ENOSYS):  # the file system does not know the flag (NFS)
            raise OSError(code, os.strerror(code))
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    Path(source).unlink()
    return True


class FileSystem:
    """A file system that is written to its disk as a whole.

    It stays open: what could not be written is told once to everybody who has it open, and to those who come later
    only if nobody has heard it (syncfs(2), since Linux 5.8).

    Parameters
    ----------
    folder
        Any folder on it.
    """

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)

    def sync(self) -> None:
        """Write everything to the disk, contents and names; returns when it is there.

        Raises
        ------
        OSError
            If something could not be written.
        """
        if _syncfs is None:
            os.sync()
        elif _syncfs(self._descriptor):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)


def sync_file_system(folder: Path) -> None:
    """Write everything of a file system to its disk; raises as :meth:`FileSystem.sync` does."""
    with contextlib.closing(FileSystem(folder)) as file_system:
        file_system.sync()


def start_writing(descriptor: int, start: int, length: int) -> None:
    """Ask the system to begin to write a part of a file to the disk, so that less is left for the end; a hint."""
    if _sync_file_range is not None:
        with contextlib.suppress(OSError):
            _sync_file_range(descriptor, start, length, _SYNC_FILE_RANGE_WRITE)
