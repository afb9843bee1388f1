"""An intake in memory for the tests of inlets, and Part 10 files to put into them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from node.dicom.intake import Intake
from node.dicom.ledger import Ended, Entry, Noted, Stored
from node.dicom.part10 import Command, file_meta
from node.storage import Spool
from tests.node.dicom.objects import EXPLICIT, command_for, encoded, image


class MemoryTaker:
    """Keeps what it is handed and answers as it is told."""

    def __init__(self, answer: Callable[[Command], tuple[int, str]] = lambda _: (0, "")) -> None:
        self.answer = answer
        self.taken: list[tuple[str, Command, bytes]] = []
        self.refused: list[tuple[int, str]] = []
        self.notes: list[tuple[str, str]] = []
        self.ended: list[str] = []
        self.threads: set[str] = set()

    def take(self, association: str, command: Command, dataset: memoryview) -> tuple[int, str]:
        self.threads.add(threading.current_thread().name)
        status, comment = self.answer(command)
        if status == 0 or status >> 12 == 0xB:
            self.taken.append((association, command, bytes(dataset)))
        return status, comment

    def refuse(self, association: str, calling: str, status: int, reason: str, study_uid: str = "") -> tuple[int, str]:
        self.refused.append((status, reason))
        return status, reason

    def end(self, association: str) -> None:
        self.ended.append(association)

    def note(self, kind: str, text: str, study_uid: str = "") -> None:
        self.notes.append((kind, text))

    @property
    def uids(self) -> list[str]:
        return [command.sop_instance for _, command, _ in self.taken]


class ListSink:
    """A ledger in memory."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def put(self, entry: Entry) -> None:
        self.entries.append(entry)

    @property
    def stored(self) -> list[Stored]:
        return [entry for entry in self.entries if isinstance(entry, Stored)]

    @property
    def ended(self) -> list[str]:
        return [entry.association for entry in self.entries if isinstance(entry, Ended)]

    @property
    def notes(self) -> list[Noted]:
        return [entry for entry in self.entries if isinstance(entry, Noted)]


def real_intake(root: Path) -> tuple[Intake, ListSink]:
    """Return the node's own intake, with the spool where the inlets expect it."""
    sink = ListSink()
    return Intake(Spool(root / "spool"), sink), sink


def part10(syntax: str = EXPLICIT, **values: Any) -> tuple[str, bytes]:
    """Return the UID and the bytes of a Part 10 file that is in order."""
    ds = image(**values)
    command = command_for(ds, syntax)
    return str(ds.SOPInstanceUID), file_meta(command) + encoded(ds, syntax)
