"""The instances that a spool holds: their names, all of them, and what is not whole put aside."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

from node import logs
from node.dicom.uid import is_uid
from node.durable import sync_folder
from node.storage import layout, slots
from node.storage.seal import is_whole


class Shelf:
    """The files of a spool.

    Parameters
    ----------
    root
        The spool's folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._numbers = itertools.count()

    def name(self, sop_instance: str) -> str:
        """Return the path of an instance below the spool, whether or not it is there."""
        return layout.name_of(sop_instance)

    def files(self) -> Iterator[tuple[str, str]]:
        """Yield ``(SOP Instance UID, path below the spool)`` of every stored instance, in no order."""
        for directory in sorted((self.root / layout.INSTANCES).glob("*")):
            for path in directory.glob(f"*{layout.SUFFIX}"):
                if is_uid(path.stem):
                    yield path.stem, str(path.relative_to(self.root))

    def make_way(self, path: str) -> bool:
        """Set a file aside if it is not what its seal says; whether its name is free."""
        file = self.root / path
        with slots.in_turn(self.root / layout.INCOMING):
            if file.exists() and is_whole(file):
                return False
            if file.exists():
                logs.get("spool").error("a stored file is not whole and was set aside", path=path)
                self.set_aside(path)
        return True

    def set_aside(self, path: str) -> None:
        """Move a file to where nobody takes it for an instance."""
        damaged = self.root / layout.DAMAGED
        damaged.mkdir(exist_ok=True)
        (self.root / path).rename(damaged / f"{Path(path).name}.{time.time_ns()}.{next(self._numbers)}")
        sync_folder((self.root / path).parent)
