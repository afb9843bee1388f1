"""Files that survive a power cut: whole or not there at all, and on the disk when :func:`write` returns."""

from __future__ import annotations

import os
import threading
from pathlib import Path


def write(path: Path, data: bytes) -> None:
    """Write a file beside its name, synchronise it, rename it into place, and synchronise the folder.

    Folders that are missing are made. Several processes may write the same path; one of the contents stays, whole.

    Raises
    ------
    OSError
        If the disk does not take it; nothing is left under ``path`` then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
