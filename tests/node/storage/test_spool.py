from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.dicom.uid import is_uid
from node.errors import DicomInputError, OutOfResources
from node.storage import Spool, StoredFile, dataset_digest, writer
from node.storage import incoming as incoming_module
from node.storage import spool as module
from node.storage.incoming import write_file
from node.storage.promise import Promise
from node.storage.room import REMEMBER_SECONDS, Room
from node.storage.spool import Durability
from node.storage.system import FileSystem, rename_new
from tests.node.storage.objects import UID, buffer_with, keep, keep_long, litter, meta
from tests.part10 import read_file

Keep = Callable[[Spool, str, bytes], StoredFile]
BOTH = pytest.mark.parametrize("put", [keep, keep_long])
POLICIES: list[Durability] = ["instance", "association", "none"]
ENOUGH = 1 << 20


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Spool]]:
    """Give a function that makes a spool object on one folder; all are closed at the end."""
    made: list[Spool] = []

    def build(**settings: Any) -> Spool:
        made.append(Spool(tmp_path / "root" / "spool", **settings))
        return made[-1]

    yield build
    for spool in made:
        spool.close()


@pytest.fixture
def spool(make: Callable[..., Spool]) -> Spool:
    return make(journal_bytes=ENOUGH)


@BOTH
@pytest.mark.parametrize("journal_bytes", [0, ENOUGH])
@pytest.mark.parametrize("durability", POLICIES)
def test_an_instance_is_kept_as_it_came(
    make: Callable[..., Spool], put: Keep, journal_bytes: int, durability: Durability
) -> None:
    spool = make(journal_bytes=journal_bytes, durability=durability)
    stored = put(spool, UID, b"data set")
    path = spool.root / stored.path
    assert (stored.new, stored.beside) == (True, False)
    assert read_file(path)[1] == b"data set"
    assert path.read_bytes()[128:] == meta()[128:] + b"data set"
    assert stored.size == len(meta()) + 8 == path.stat().st_size
    assert stored.digest == dataset_digest(path)
    assert list(spool.files()) == [(UID, stored.path)]
    assert stored.path == spool.name(UID)
    assert litter(spool) == []


def test_an_object_longer_than_the_journal_takes_is_kept_without_it(spool: Spool) -> None:
    data = os.urandom(ENOUGH)
    stored = keep(spool, UID, data)
    assert read_file(spool.root / stored.path)[1] == data


def test_the_same_buffer_serves_one_object_after_the_other(spool: Spool) -> None:
    buffer = buffer_with(b"")
    for length in (400_000, 3, 5000):
        data = os.urandom(length)
        buffer.clear(len(meta(f"1.2.{length}")))
        for start in range(0, length, 70_000):
            piece = data[start : start + 70_000]
            target = buffer.room(len(piece))
            target[:] = piece
            buffer.advance(len(piece))  # ``target`` is looked at while the buffer grows for the next piece
        stored = spool.keep(f"1.2.{length}", meta(f"1.2.{length}"), buffer)
        assert read_file(spool.root / stored.path)[1] == data


def test_pieces_of_any_length_make_one_object(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(incoming_module, "WRITE_BEHIND", 1000)
    monkeypatch.setattr(incoming_module, "start_writing", lambda _, start, count: asked.append((start, count)))
    data = os.urandom(7777)
    incoming = spool.begin(UID, meta())
    for start in range(0, len(data), 1234):
        incoming.write(data[start : start + 1234])
    stored = spool.finish(incoming)
    assert read_file(spool.root / stored.path)[1] == data
    assert stored.digest == dataset_digest(spool.root / stored.path)
    ends = [start + count for start, count in asked]
    assert [start for start, _ in asked] == [0, *ends[:-1]]
    assert len(asked) >= 6


def test_an_object_that_is_discarded_leaves_nothing(spool: Spool) -> None:
    incoming = spool.begin(UID, meta())
    incoming.write(b"half")
    assert len(litter(spool)) == 1
    incoming.discard()
    incoming.discard()
    assert (litter(spool), list(spool.files())) == ([], [])


# ---------------------------------------------------------------- what is told to the disk before Success


def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Note, in order, what is told to the disk and of which file or folder."""
    said: list[tuple[str, str]] = []

    def spy(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(descriptor: int, *rest: Any) -> Any:
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            said.append((name, path.parent.parent.name if path.suffix == ".part" else path.parent.name))
            return original(descriptor, *rest)

        return call

    def renamed(source: str, target: str) -> bool:
        said.append(("rename", Path(target).parent.parent.name))
        return rename(source, target)

    def synced(self: FileSystem) -> None:
        said.append(("syncfs", ""))
        sync(self)

    rename, sync = rename_new, FileSystem.sync
    for name in ("fdatasync", "fsync", "pwrite"):
        monkeypatch.setattr(os, name, spy(name, getattr(os, name)))
    monkeypatch.setattr(module, "rename_new", renamed)
    monkeypatch.setattr(writer, "rename_new", renamed)
    monkeypatch.setattr(FileSystem, "sync", synced)
    return said


@pytest.mark.parametrize(
    ("durability", "journal_bytes", "put", "expected"),
    [
        ("instance", ENOUGH, keep, ["pwrite journal", "rename instances"]),
        ("instance", 0, keep, ["fdatasync incoming", "rename instances", "fsync instances"]),
        (
            "instance", ENOUGH, keep_long,
            ["pwrite incoming", "fdatasync incoming", "rename instances", "fsync instances"],
        ),
        ("association", ENOUGH, keep, ["rename instances"]),
        ("association", 0, keep_long, ["pwrite incoming", "rename instances"]),
        ("none", ENOUGH, keep, ["rename instances"]),
        ("none", 0, keep_long, ["pwrite incoming", "rename instances"]),
    ],
)  # fmt: skip
def test_success_is_said_only_after_everything_is_as_durable_as_the_policy_says(
    make: Callable[..., Spool],
    monkeypatch: pytest.MonkeyPatch,
    durability: Durability,
    journal_bytes: int,
    put: Keep,
    expected: list[str],
) -> None:
    spool = make(durability=durability, journal_bytes=journal_bytes)
    spool.open()
    said = told(monkeypatch)
    put(spool, UID, b"data set")
    assert [" ".join(item) for item in said] == expected


@pytest.mark.parametrize(("durability", "calls"), [("instance", 0), ("association", 1), ("none", 0)])
def test_a_release_waits_for_the_disk_where_that_is_the_policy(
    make: Callable[..., Spool], monkeypatch: pytest.MonkeyPatch, durability: Durability, calls: int
) -> None:
    spool = make(durability=durability)
    keep(spool, UID, b"data set")
    said = told(monkeypatch)
    spool.settle()
    assert said == [("syncfs", "")] * calls


def test_before_success_is_said_of_the_same_again_it_is_durable_by_itself(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(spool, UID, b"data set")
    said = told(monkeypatch)
    assert not keep(spool, UID, b"data set").new
    assert [what for what, _ in said] == ["fdatasync", "fsync"]


def test_the_folders_of_a_new_spool_are_durable_before_anything_is_in_them(
    make: Callable[..., Spool], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = told(monkeypatch)
    make().open()
    assert ("syncfs", "") in said


def test_where_the_journal_breaks_the_file_is_made_durable_by_itself(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.open()
    said = told(monkeypatch)

    def broken(*_: object) -> int:
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(os, "pwrite", broken)
    assert keep(spool, UID, b"data set").new
    assert [what for what, _ in said] == ["fdatasync", "rename", "fsync"]


# ---------------------------------------------------------------- disks that are full or broken


@BOTH
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("call", ["write", "fdatasync", "open", "rename"])
def test_a_disk_that_is_full_or_broken_is_out_of_resources_and_leaves_nothing(
    make: Callable[..., Spool], monkeypatch: pytest.MonkeyPatch, put: Keep, code: int, call: str
) -> None:
    spool = make()
    spool.open()

    def fail(*_: object) -> Any:
        raise OSError(code, "no")

    with monkeypatch.context() as patch:
        if call == "rename":
            patch.setattr(module, "rename_new", fail)
            patch.setattr(writer, "rename_new", fail)
        else:
            patch.setattr(os, call, fail)
        with pytest.raises(OutOfResources):
            put(spool, UID, b"data set")
    assert (litter(spool), list(spool.files())) == ([], [])
    assert put(spool, UID, b"data set").new


def test_the_preamble_that_cannot_be_written_is_out_of_resources_too(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no")

    with monkeypatch.context() as patch:
        incoming = spool.begin(UID, meta())
        patch.setattr(os, "pwrite", fail)
        with pytest.raises(OutOfResources):
            spool.finish(incoming)
    assert (litter(spool), list(spool.files())) == ([], [])


def test_a_spool_that_cannot_be_opened_now_is_opened_later(
    make: Callable[..., Spool], monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = make(journal_bytes=ENOUGH)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", fail)
        with pytest.raises(OutOfResources):
            keep(spool, UID, b"data set")
    assert keep(spool, UID, b"data set").new
    assert (spool.root / "incoming" / "0.lock").exists()
    assert not (spool.root / "incoming" / "1.lock").exists()  # the place was given back in between


def test_short_writes_are_continued(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:7]))
    for number, put in enumerate((keep, keep_long)):
        stored = put(spool, f"1.2.{number}", b"0123456789" * 10)
        assert read_file(spool.root / stored.path)[1] == b"0123456789" * 10


class Statvfs:
    """A file system with as much room as is told."""

    f_frsize = 4096
    f_blocks = 1000

    def __init__(self, free: int) -> None:
        self.f_bavail = free


def test_below_the_watermark_nothing_is_taken_and_afterwards_it_is_by_itself(
    make: Callable[..., Spool], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock, found = [100.0], Statvfs(50)
    monkeypatch.setattr("node.storage.room.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(os, "statvfs", lambda _: found)
    spool = make(room=Room(tmp_path / "not yet" / "there", 10 * 4096, 2.0))
    spool.require_room()
    found.f_bavail = 19  # two per cent are twenty blocks, more than ten
    spool.require_room()  # asked a moment ago
    clock[0] += REMEMBER_SECONDS
    with pytest.raises(OutOfResources, match="watermark"):
        spool.require_room()
    found.f_bavail = 20
    clock[0] += REMEMBER_SECONDS
    spool.require_room()


@pytest.mark.parametrize(("least", "percent", "blocks"), [(0, 0.0, 0), (4096 * 7, 0.0, 7), (4096 * 7, 5.0, 50)])
def test_the_larger_of_the_two_watermarks_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, least: int, percent: float, blocks: int
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: Statvfs(60))
    room = Room(tmp_path, least, percent)
    assert (room.needed(), room.free()) == (blocks * 4096, 60 * 4096)


# ---------------------------------------------------------------- names


@BOTH
@pytest.mark.parametrize(
    "hostile", ["../../x", "", "1", "1..2", ".1.2", "1.2.", "1.2/3", "1.2\n", "１.２", "1." + "1" * 63, "1.2~ab"]
)
def test_a_name_that_is_no_uid_is_refused(make: Callable[..., Spool], put: Keep, hostile: str) -> None:
    spool = make()
    with pytest.raises(DicomInputError):
        spool.keep(hostile, meta(), buffer_with(b"x")) if put is keep else spool.store(hostile, meta(), b"x")
    assert not spool.root.exists()


@given(st.text(alphabet="0123456789./\\\0 ab", max_size=70))
def test_whatever_passes_as_a_uid_stays_below_the_spool(text: str) -> None:
    if is_uid(text):
        path = Spool(Path("/spool")).name(text)
        assert Path(os.path.normpath(f"/spool/{path}")) == Path("/spool") / path
        assert len(Path(path).parts) == 3


def test_threads_that_open_a_spool_at_once_share_one_place(make: Callable[..., Spool]) -> None:
    spool = make(journal_bytes=ENOUGH)
    barrier = threading.Barrier(6)
    failed: list[BaseException] = []

    def put(number: int) -> None:
        barrier.wait()
        try:
            keep(spool, f"1.2.{number}", b"data")
        except BaseException as exc:
            failed.append(exc)

    threads = [threading.Thread(target=put, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(list(spool.files())) == 6
    assert [path.name for path in (spool.root / "incoming").glob("[0-9]*.lock")] == ["0.lock"]


def test_files_that_are_set_aside_never_replace_each_other(spool: Spool) -> None:
    for number in range(3):
        stored = keep(spool, UID, bytes([number]))
        spool.set_aside(stored.path)
    assert list(spool.files()) == []
    assert sorted(path.read_bytes()[-1] for path in (spool.root / "damaged").iterdir()) == [0, 1, 2]


# ---------------------------------------------------------------- answers before the file is there


def entered(spool: Spool, data: bytes = b"data set") -> Promise | StoredFile:
    """Do for an object what has to be done before its Success."""
    buffer = spool.buffer()
    buffer.clear(len(meta()))
    buffer.room(len(data))[:] = data
    buffer.advance(len(data))
    return spool.enter(UID, meta(), buffer)


@pytest.mark.parametrize("durability", ["instance", "association", "none"])
def test_success_may_be_said_once_nothing_can_lose_the_object(
    make: Callable[..., Spool], durability: Durability
) -> None:
    spool = make(journal_bytes=ENOUGH, durability=durability)
    spool.open()
    promise = entered(spool)
    assert isinstance(promise, Promise)
    assert not (spool.root / spool.name(UID)).exists()
    stored = promise.fulfil()
    promise.release()
    assert read_file(spool.root / stored.path)[1] == b"data set"


def test_without_a_journal_nothing_is_promised_that_has_to_be_durable(make: Callable[..., Spool]) -> None:
    stored = entered(make(journal_bytes=0))
    assert isinstance(stored, StoredFile)
    assert stored.new


def test_a_file_that_was_promised_is_tried_again_until_it_is_there(
    make: Callable[..., Spool], monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = make(journal_bytes=ENOUGH)
    spool.open()
    tries = iter([errno.ENOSPC, errno.EIO])

    def full(path: str, data: memoryview) -> None:
        if (code := next(tries, None)) is not None:
            raise OSError(code, "no")
        write_file(path, data)

    monkeypatch.setattr("node.storage.writer.write_file", full)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    stored = keep(spool, UID, b"data set")
    assert read_file(spool.root / stored.path)[1] == b"data set"
    assert litter(spool) == []


@pytest.mark.parametrize("durability", ["instance", "association", "none"])
@pytest.mark.parametrize("length", [1, 4096, 600_000])
def test_a_process_that_dies_between_answer_and_file_has_it_brought_back(
    make: Callable[..., Spool], durability: Durability, length: int
) -> None:
    spool = make(journal_bytes=8 << 20, durability=durability)
    spool.open()
    data = os.urandom(length)
    assert isinstance(entered(spool, data), Promise)
    assert not (spool.root / spool.name(UID)).exists()
    assert spool._slot is not None
    spool._slot.release()
    again = make(journal_bytes=8 << 20, durability=durability)
    again.open()
    assert again.recovered == [again.name(UID)]
    assert read_file(again.root / again.name(UID))[1] == data
    assert litter(again) == []


@pytest.mark.parametrize("durability", ["instance", "association", "none"])
def test_a_process_that_dies_before_it_told_of_the_file_has_it_found_by_the_next(
    make: Callable[..., Spool], durability: Durability
) -> None:
    spool = make(journal_bytes=ENOUGH, durability=durability)
    promise = entered(spool)
    assert isinstance(promise, Promise)
    path = promise.fulfil().path
    assert spool._slot is not None
    spool._slot.release()
    again = make(journal_bytes=ENOUGH, durability=durability)
    again.open()
    assert again.recovered == [path]


def test_a_process_that_dies_before_the_answer_leaves_nothing(make: Callable[..., Spool]) -> None:
    spool = make(durability="none")
    buffer = spool.buffer()
    buffer.clear(len(meta()))
    buffer.room(5)[:] = b"x" * 5
    assert spool._slot is not None
    spool._slot.release()
    again = make(durability="none")
    again.open()
    assert (again.recovered, list(again.files()), litter(again)) == ([], [], [])


def test_memory_whose_object_has_its_file_is_not_brought_back_over_a_later_one(make: Callable[..., Spool]) -> None:
    spool = make(durability="none")
    promise = entered(spool)
    assert isinstance(promise, Promise)
    spool.set_aside(promise.fulfil().path)
    promise.release()
    assert spool._slot is not None
    spool._slot.release()
    again = make(durability="none")
    again.open()
    assert (again.recovered, list(again.files())) == ([], [])


@pytest.mark.parametrize("durability", ["instance", "none"])
def test_a_process_that_dies_while_it_starts_leaves_everything_to_the_next(
    make: Callable[..., Spool], durability: Durability
) -> None:
    class Killed(BaseException):
        pass

    def die(_: Sequence[str]) -> None:
        raise Killed

    spool = make(journal_bytes=ENOUGH, durability=durability)
    assert isinstance(entered(spool), Promise)
    assert spool._slot is not None
    spool._slot.release()
    with pytest.raises(Killed):
        make(journal_bytes=ENOUGH, durability=durability).open(die)
    told: list[str] = []
    make(journal_bytes=ENOUGH, durability=durability).open(told.extend)
    assert told == [spool.name(UID)]


def test_after_a_power_cut_one_objects_head_does_not_name_another_ones_bytes(make: Callable[..., Spool]) -> None:
    """The system writes the pages of a file in any order: of equal length, both may be in order by themselves."""
    spool = make(durability="none")
    buffer = spool.buffer()
    heads = []
    for uid in (UID, "1.2.4"):
        data = f"data set of {uid}".encode()
        buffer.clear(len(meta(uid)))
        buffer.room(len(data))[:] = data
        buffer.advance(len(data))
        assert isinstance(spool.enter(uid, meta(uid), buffer), Promise)
        heads.append(bytes(buffer.view[:4096]))
    buffer.view[:4096] = heads[0]
    assert spool._slot is not None
    spool._slot.release()
    again = make(durability="none")
    again.open()
    assert (again.recovered, list(again.files())) == ([], [])


def test_what_was_answered_for_is_finished_later_and_nothing_is_taken_in_meanwhile(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[bool] = []

    def slept(_: float) -> None:
        with pytest.raises(OutOfResources):
            spool.require_room()
        refused.append(True)

    monkeypatch.setattr("node.storage.spool.time.sleep", slept)
    tries = iter([OSError(errno.EDQUOT, "no"), OutOfResources("no"), None])

    def work() -> None:
        if (error := next(tries)) is not None:
            raise error

    spool.insist(work)
    assert refused == [True, True]
    spool.require_room()
