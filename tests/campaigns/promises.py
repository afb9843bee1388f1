"""What must hold of a spool and its records, whatever was killed."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import select

from node.errors import DicomInputError
from node.records.engine import Records
from node.records.schema import Instance
from node.storage import layout
from node.storage.seal import seal_of_file
from tests.campaigns.console import Outcome
from tests.campaigns.senders import Told

Answers = Mapping[str, set[str]]
"""By SOP Instance UID, the digests of what was answered with Success."""
INDEX_SECONDS = 120.0
TIDY_SECONDS = 10.0
SCAN_PAUSE_SECONDS = 0.2


def content(path: Path) -> str | None:
    """Return the digest of a file's data set, or None if it is not what its seal says."""
    try:
        said, found = seal_of_file(path)
    except DicomInputError:
        return None
    return found.text if said == found else None


class Watcher(threading.Thread):
    """Looks at every instance that becomes visible, while everything runs: it has to be whole from the beginning."""

    def __init__(self, spool: Path, told: Told) -> None:
        super().__init__(name="watcher", daemon=True)
        self.over = threading.Event()
        self.looking = threading.Lock()  # held by who does not want to be seen
        self.seen: dict[str, int] = {}
        self.broken: list[str] = []
        self.looks = 0
        self._spool, self._told = spool, told

    def run(self) -> None:
        """Look, until :attr:`over` is set."""
        pause = SCAN_PAUSE_SECONDS
        while not self.over.wait(pause):
            began = time.monotonic()
            with self.looking:
                self.look()
            pause = SCAN_PAUSE_SECONDS + 2 * (time.monotonic() - began)

    def look(self) -> None:
        """Look at what is new or changed."""
        for fan in layout.fans():
            with os.scandir(self._spool / fan) as entries:
                for entry in entries:
                    self._judge(entry)

    def _judge(self, entry: os.DirEntry[str]) -> None:
        if self.seen.get(entry.name) == entry.inode():  # a file that has its name is replaced, never written to
            return
        try:
            digest = content(Path(entry.path))
        except FileNotFoundError:
            return
        self.looks += 1
        self.seen[entry.name] = entry.inode()
        with self._told.lock:
            asked = digest in self._told.asked.get(entry.name.removesuffix(layout.SUFFIX).split("~")[0], ())
        if digest is None:
            self.broken.append(f"{entry.name} is visible and not whole")
        elif not asked:
            self.broken.append(f"{entry.name} holds what nobody sent under this UID")


def kept(spool: Path, answered: Answers, outcome: Outcome) -> None:
    """Require that what was answered with Success is on disk, byte by byte."""
    for uid, digests in answered.items():
        path = spool / layout.name_of(uid)
        if not path.exists():
            outcome.violation(f"{uid} was answered with Success and is not there")
            continue
        found = {content(path)}
        if not digests <= found:
            found |= {content(other) for other in path.parent.glob(f"{uid}~*")}
        if not digests <= found:
            outcome.violation(f"{uid} was answered with Success and is {'not whole' if None in found else 'another'}")


def indexed(records: Records, answered: Answers, outcome: Outcome) -> float:
    """Require that it is in the records; returns how long that took."""
    began = time.monotonic()
    while lacking := _lacking(records, answered):
        if time.monotonic() - began > INDEX_SECONDS:
            outcome.violation(f"{len(lacking)} instances are not in the records, {lacking[0]} for one")
            break
        time.sleep(0.1)
    return time.monotonic() - began


def tidy(spool: Path, outcome: Outcome) -> None:
    """Require that nothing half-written is left once nobody sends."""
    deadline = time.monotonic() + TIDY_SECONDS
    while left := [path.name for path in (spool / layout.INCOMING).glob("*/*")]:
        if time.monotonic() > deadline:
            outcome.violation(f"{len(left)} files are left in incoming: {left[:3]}")
            return
        time.sleep(0.1)


def _lacking(records: Records, answered: Answers) -> list[str]:
    uids = list(answered)
    found: dict[str, str] = {}
    with records.read() as session:
        for start in range(0, len(uids), 500):
            query = select(Instance.uid, Instance.digest).where(Instance.uid.in_(uids[start : start + 500]))
            found |= {row.uid: row.digest for row in session.execute(query)}
    # What an answered object is beside of may be one that was sent and not answered.
    return [uid for uid in uids if uid not in found]
