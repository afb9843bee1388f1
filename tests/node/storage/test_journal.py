from __future__ import annotations

import os
import shutil
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.errors import OutOfResources
from node.storage import journal as module
from node.storage.buffer import HEADROOM
from node.storage.journal import BLOCK, Journal, Record, records
from tests.node.storage.objects import buffer_with
from tests.peers import eventually

SIZE = 1 << 20
SYNCHRONOUS = os.O_DSYNC
HEAD = b"H" * 200
"""Stands for preamble and File Meta Information."""


class Disk:
    """A file system for a journal: what has its name is durable after a sync."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.named: set[str] = set()
        self.durable: set[str] = set()
        self.syncs = 0
        self.failures = 0
        self.restored: list[Record] = []
        self.free = threading.Event()
        self.free.set()

    def sync(self) -> None:
        """Do as syncfs(2) does."""
        seen = set(self.named)
        assert self.free.wait(20)
        if self.failures:
            self.failures -= 1
            raise OSError(5, "Input/output error")
        self.durable |= seen
        self.syncs += 1

    def entered(self) -> dict[str, bytes]:
        """Return what is found in a copy of the journal, as it lies on the disk now."""
        copy = self.path.with_suffix(f".{threading.get_ident()}")
        shutil.copyfile(self.path, copy)
        return {record.name: record.data for record in records(copy)}


@dataclass(repr=False)
class Image:
    """The bytes of a journal, where its records begin and the last one ends, and a path to write to."""

    data: bytes
    positions: list[int]
    path: Path


@contextmanager
def opened(folder: Path, size: int = SIZE) -> Iterator[tuple[Journal, Disk]]:
    disk = Disk(folder / "0.journal")
    journal = Journal(disk.path, size, disk.sync, disk.restored.append)
    journal.open()
    assert journal.ready.wait(10)
    try:
        yield journal, disk
    finally:
        disk.free.set()
        journal.close()


def enter(journal: Journal, disk: Disk, name: str, data: bytes, before: Callable[[], object] = int) -> bytes:
    """Enter an object as the spool does; returns the bytes of its file."""
    buffer = buffer_with(data, head=len(HEAD))
    buffer.prepend(HEAD)
    place = journal.reserve(HEADROOM + buffer.size)
    try:
        before()
        disk.named.add(name)
        place.write(buffer.view, name, HEADROOM, buffer.size)
    finally:
        journal.release(place)
    return HEAD + data


def test_what_was_entered_is_found_exactly_as_it_was_whichever_thread_entered_it(tmp_path: Path) -> None:
    with opened(tmp_path, 4 * SIZE) as (journal, disk), ThreadPoolExecutor(8) as pool:
        lengths = {f"1.2.{number}": 1 + number * 331 for number in range(64)}
        made = dict(
            pool.map(lambda item: (item[0], enter(journal, disk, item[0], os.urandom(item[1]))), lengths.items())
        )
        assert disk.entered() == made


def test_a_journal_that_was_closed_is_empty_and_everything_is_durable_without_it(tmp_path: Path) -> None:
    with opened(tmp_path) as (journal, disk):
        for number in range(5):
            enter(journal, disk, f"1.2.{number}", b"x" * 5000)
        assert not disk.syncs
    assert (disk.durable, disk.entered()) == (disk.named, {})
    with pytest.raises(OutOfResources):
        enter(journal, disk, "1.2.9", b"too late")


def test_every_answered_object_is_in_the_journal_or_on_the_disk_at_every_moment(tmp_path: Path) -> None:
    answered: list[str] = []
    running = threading.Event()

    def feed(thread: int) -> None:
        for number in range(80):
            name = f"1.{thread}.{number}"
            enter(journal, disk, name, os.urandom(1 + (thread * 7919 + number * 104729) % 60000))
            answered.append(name)

    def watch() -> int:
        looked = 0
        while not running.is_set() or not looked:
            syncs, said, durable = disk.syncs, set(answered), set(disk.durable)
            entered = set(disk.entered())
            if disk.syncs == syncs:  # else a half may have been emptied in between
                assert said <= durable | entered
                looked += 1
        return looked

    with opened(tmp_path) as (journal, disk), ThreadPoolExecutor(5) as pool:
        watcher = pool.submit(watch)
        for feeder in [pool.submit(feed, thread) for thread in range(4)]:
            feeder.result()
        running.set()
        assert watcher.result() > 0
        assert disk.syncs >= 4


def test_records_of_a_half_that_was_begun_anew_do_not_come_back(tmp_path: Path) -> None:
    with opened(tmp_path) as (journal, disk):
        for number in range(16):  # seven go into a half
            enter(journal, disk, f"1.2.{number}", bytes([number]) * 60000)
        eventually("both halves were begun anew", lambda: all(half.usable for half in journal._halves))
        assert set(disk.entered()) == {"1.2.14", "1.2.15"}
        assert disk.path.read_bytes().count(bytes([10]) * 60000) == 1  # its bytes are there, without a key


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_torn_record_hides_only_itself(torn_journal: Image, data: st.DataObject) -> None:
    image, positions, path = torn_journal.data, torn_journal.positions, torn_journal.path
    which = data.draw(st.integers(0, len(positions) - 2))
    length = positions[which + 1] - positions[which]
    start = data.draw(st.integers(0, 9000))
    count = data.draw(st.sampled_from([1, 512, 4096]))
    meaningful = [*range(module.HEAD_BYTES), *range(BLOCK, BLOCK + len(HEAD) + 9000)]
    start = meaningful[start % len(meaningful)]
    piece = image[positions[which] + start : positions[which] + min(start + count, length)]
    torn = bytes(byte ^ 0xA5 for byte in piece) if data.draw(st.booleans()) else bytes(len(piece))
    if torn == piece:
        return  # already zeros
    position = positions[which] + start
    path.write_bytes(image[:position] + torn + image[position + len(torn) :])
    assert [record.name for record in records(path)] == [f"1.2.{n}" for n in range(len(positions) - 1) if n != which]


@pytest.fixture(scope="module")
def torn_journal(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Give a journal with six records."""
    folder = tmp_path_factory.mktemp("torn")
    with opened(folder) as (journal, disk):
        for number in range(6):
            enter(journal, disk, f"1.2.{number}", os.urandom(9000))
        image = disk.path.read_bytes()
    return Image(image, [BLOCK + number * 4 * BLOCK for number in range(7)], folder / "copy")


def test_an_object_that_holds_a_copy_of_a_record_plants_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as (journal, disk):
        enter(journal, disk, "1.2.666", b"planted " * 2000)
        stolen = disk.path.read_bytes()[: 16 * BLOCK]
    with opened(tmp_path) as (journal, disk):
        enter(journal, disk, "1.2.1", bytes(BLOCK - len(HEAD)) + stolen)  # at the beginning of a block
        assert list(disk.entered()) == ["1.2.1"]
        image = bytearray(disk.path.read_bytes())
    image[BLOCK : BLOCK + 4] = b"torn"  # so that its blocks are looked at one by one
    disk.path.write_bytes(image)
    assert stolen in image
    assert list(records(disk.path)) == []


def test_a_head_with_a_foreign_checksum_is_no_record(tmp_path: Path) -> None:
    with opened(tmp_path) as (journal, disk):
        enter(journal, disk, "1.2.1", b"data")
        image = bytearray(disk.path.read_bytes())
    struct.pack_into("<Q", image, BLOCK + 16, 1 << 60)  # an absurd length under the right key
    disk.path.write_bytes(image)
    assert list(records(disk.path)) == []


def test_a_half_waits_for_files_that_have_no_name_yet(tmp_path: Path) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        entered.set()
        assert go_on.wait(20)

    with opened(tmp_path) as (journal, disk), ThreadPoolExecutor(1) as pool:
        slow = pool.submit(enter, journal, disk, "1.1", b"slow", hold)
        assert entered.wait(20)
        for number in range(9):
            enter(journal, disk, f"1.2.{number}", b"x" * 60000)
        time.sleep(0.05)
        assert (disk.syncs, journal._halves[0].usable) == (0, False)
        go_on.set()
        slow.result()
        eventually("the half is begun anew", lambda: journal._halves[0].usable)
        assert "1.1" in disk.durable


def test_what_could_not_be_written_is_written_again_from_the_journal_before_it_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failed sync the system may take lost pages for written ones (fsync(2))."""
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.05)
    with opened(tmp_path) as (journal, disk):
        disk.failures = 2
        for number in range(8):
            enter(journal, disk, f"1.2.{number}", bytes([number]) * 60000)
        eventually("the file system failed", lambda: disk.failures < 2)
        assert "1.2.0" in disk.entered()
        eventually("the half is begun anew", lambda: journal._halves[0].usable)
        assert disk.failures == 0
        assert [record.name for record in disk.restored[-7:]] == [f"1.2.{number}" for number in range(7)]
        assert disk.restored[-1].data == HEAD + bytes([6]) * 60000
        disk.restored.clear()
        for number in range(8, 15):
            enter(journal, disk, f"1.2.{number}", b"x" * 60000)
        eventually("the other half too", lambda: journal._halves[1].usable)
        assert "1.2.7" in {record.name for record in disk.restored}  # it was there when the sync failed
        disk.restored.clear()
        for number in range(15, 22):
            enter(journal, disk, f"1.2.{number}", b"x" * 60000)
        eventually("the first half again", lambda: disk.syncs >= 3 and journal._halves[0].usable)
        assert disk.restored == []


def test_a_journal_that_cannot_be_emptied_at_the_end_is_left_for_the_next_start(tmp_path: Path) -> None:
    with opened(tmp_path) as (journal, disk):
        enter(journal, disk, "1.2.1", b"data")
        disk.failures = 1
    assert list(disk.entered()) == ["1.2.1"]


def test_full_halves_are_waited_for_and_then_it_is_out_of_resources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.05)
    with opened(tmp_path) as (journal, disk):
        disk.free.clear()
        for number in range(14):
            enter(journal, disk, f"1.2.{number}", b"x" * 60000)
        with pytest.raises(OutOfResources, match="keep up"):
            enter(journal, disk, "1.2.14", b"x" * 60000)
        assert len(disk.entered()) == 14
        disk.free.set()
        monkeypatch.setattr(module, "WAIT_SECONDS", 20.0)
        enter(journal, disk, "1.3", b"the disk is back")
        assert "1.3" in disk.entered()


def test_a_file_system_without_direct_writes_is_written_through_the_page_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "O_DSYNC", SYNCHRONOUS)
    flags_seen = []
    system_open = os.open

    def refuse(path: str | Path, flags: int, *rest: int) -> int:
        if str(path).endswith((".journal", ".part")):
            flags_seen.append(flags)
            if flags & os.O_DIRECT:
                raise OSError(22, "Invalid argument")
        return system_open(path, flags, *rest)

    monkeypatch.setattr(os, "open", refuse)
    with opened(tmp_path) as (journal, disk):
        assert flags_seen[-1] & SYNCHRONOUS
        data = enter(journal, disk, "1.2.1", b"data")
        assert disk.entered() == {"1.2.1": data}


def test_a_large_journal_is_made_in_the_background_and_used_when_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE_BYTES", 0)
    with opened(tmp_path) as (journal, disk):
        data = enter(journal, disk, "1.2.1", b"data")
        assert disk.entered() == {"1.2.1": data}
        assert disk.path.stat().st_size == SIZE


def test_a_journal_that_is_closed_while_it_is_made_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE_BYTES", 0)
    disk = Disk(tmp_path / "0.journal")
    began, go_on = threading.Event(), threading.Event()
    write = module._write_all

    def slow(descriptor: int, data: memoryview, position: int) -> None:
        began.set()
        assert go_on.wait(20)
        write(descriptor, data, position)

    monkeypatch.setattr(module, "_write_all", slow)
    journal = Journal(disk.path, 4 << 20, disk.sync, disk.restored.append)
    journal.open()
    assert began.wait(20)
    threading.Timer(0.05, go_on.set).start()
    journal.close()
    assert (disk.path.exists(), journal.ready.is_set()) == (False, False)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=3 * BLOCK))
def test_any_bytes_at_all_are_read_as_a_journal_without_records(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "any"
    path.write_bytes(data)
    assert list(records(path)) == []
