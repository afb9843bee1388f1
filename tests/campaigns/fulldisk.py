"""A spool on a full disk: nothing that was answered is lost, and objects are taken again when there is room again."""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.campaigns import promises
from tests.campaigns.console import Outcome
from tests.campaigns.objects import CLASS, SYNTAX, Maker
from tests.campaigns.processes import Services, connect, services
from tests.campaigns.senders import PIECE, Told, answer
from tests.node.dicom.scp.raw import ACCEPT, Raw, request, store

MEBI = 1 << 20
DISK_MEBI = 64
OUT_OF_RESOURCES = 0xA700
MOST_OBJECTS = 4000
RECOVER_SECONDS = 30.0
MOST_UNANSWERED = 2


class NoMount(Exception):
    """A small disk cannot be made here; the text says why."""


@contextmanager
def small_disk(folder: Path, mebi: int = DISK_MEBI) -> Iterator[Path]:
    """Mount a file system in memory.

    Raises
    ------
    NoMount
        Where that is not allowed.
    """
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={mebi}m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as exc:
        raise NoMount("mount is not there") from exc
    if done.returncode:
        raise NoMount(done.stderr.strip())
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


class Peer:
    """One sender; each object over the same association, which has to survive every refusal."""

    def __init__(self, node: Services, told: Told, maker: Maker) -> None:
        self._node, self.told, self._maker = node, told, maker
        self._numbers = itertools.count()
        self.refused = self.unanswered = 0
        self._raw: Raw | None = None

    def send(self, size: int) -> int | None:
        """Send an object; returns its status, or None where it was not answered: the association is another then."""
        sample = self._maker.sample(next(self._numbers), size)
        self.told.sent(sample)
        try:
            raw = self._raw = self._raw or self._associate()
            raw.send(store(1, sample.uid, sample.data, piece=PIECE))
            status = answer(raw)
        except OSError:
            self.close()
            self.unanswered += 1
            return None
        if status == OUT_OF_RESOURCES:
            self.refused += 1
        else:
            self.told.answered(sample, status)
        return status

    def close(self) -> None:
        """End the association."""
        if self._raw is not None:
            self._raw.socket.close()
        self._raw = None

    def _associate(self) -> Raw:
        raw = Raw(connect(self._node.port))
        raw.send(request({1: (CLASS, [SYNTAX])}, calling="DISK", max_pdu=0))
        assert raw.pdu()[0] == ACCEPT
        return raw


def run(folder: Path, outcome: Outcome, *, watermark: int = 0, disk_mebi: int = DISK_MEBI) -> None:
    """Fill the disk with objects of several sizes, free some of it, and go on; then kill everything and look again.

    ``watermark`` is ``dicom.min_free_bytes``: with 0 the disk itself says when it is full, in the middle of objects.

    Raises
    ------
    NoMount
        Where no small disk can be made.
    """
    with small_disk(folder / "disk", disk_mebi) as disk:
        ballast = disk / "ballast"
        _fill(ballast, disk_mebi * MEBI // 3)
        with services(folder, root=disk / "root", min_free_bytes=watermark) as node:
            _fill_and_free(node, ballast, outcome)


def _fill_and_free(node: Services, ballast: Path, outcome: Outcome) -> None:
    told = Told()
    watcher = promises.Watcher(node.spool, told)
    watcher.start()
    peer = Peer(node, told, Maker(77))
    for size in (60_000, 2_300_000, 3_000):  # what is refused has to fit nowhere: neither large, nor small
        _until_full(peer, size, outcome)
    # The ledger needs room too, and so does the mark of the indexer; what was answered before is told in any case.
    before = len(told.kept)
    ballast.unlink()
    outcome.figures["seconds until objects are taken again"] = round(_until_taken(peer, outcome), 2)
    for size in (3_000, 60_000, 2_300_000):
        outcome.require(peer.send(size) == 0, f"{size} bytes are refused although there is room again")
    peer.close()
    _look(node, told, outcome)
    for service in node.all:
        service.kill()
    node.start()
    _look(node, told, outcome)
    watcher.over.set()
    watcher.join()
    watcher.look()
    for text in (*watcher.broken, *told.wrong, *node.complaints()):
        outcome.violation(text)
    outcome.add("objects kept before the disk was full", before)
    outcome.add("objects answered A700", peer.refused)
    outcome.add("objects not answered while the disk was full", peer.unanswered)


def _until_full(peer: Peer, size: int, outcome: Outcome) -> None:
    for _ in range(MOST_OBJECTS):
        status = peer.send(size)
        if status == OUT_OF_RESOURCES:
            for _ in range(3):
                peer.send(size)
            return
        if status:
            outcome.violation(f"a full disk was answered with {status:04X}")
            return
        # One object may have been answered for before its file could be written; the next one waits behind it.
        if peer.unanswered > MOST_UNANSWERED:
            outcome.violation("a full disk is not answered at all")
            return
    outcome.violation("the disk never became full")


def _until_taken(peer: Peer, outcome: Outcome) -> float:
    began = time.monotonic()
    while peer.send(3_000) != 0:
        if time.monotonic() - began > RECOVER_SECONDS:
            outcome.violation("objects are refused although there is room again")
            break
        time.sleep(0.05)
    return time.monotonic() - began


def _look(node: Services, told: Told, outcome: Outcome) -> None:
    promises.indexed(node.records, told.answers(), outcome)
    promises.kept(node.spool, told.answers(), outcome)
    promises.tidy(node.spool, outcome)


def _fill(path: Path, size: int) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        os.posix_fallocate(descriptor, 0, size)
    finally:
        os.close(descriptor)
