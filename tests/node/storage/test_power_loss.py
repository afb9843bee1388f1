"""What a power cut, or the death of a process, leaves behind, and what is made of it at the next start.

A power cut is played by a copy of the spool: the journal as it is, since it is written past the page cache, and of the
instances' files, which nobody waited for, whatever hypothesis lets the disk have.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.storage import Spool, recovery, slots
from node.storage.recovery import restore
from node.storage.system import rename_new
from tests.node.storage.objects import UID, keep, keep_long, litter, meta

COUNT = 10


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Spool]]:
    """Give a function that makes a spool object on one folder; all are closed at the end."""
    made: list[Spool] = []

    def build(**settings: Any) -> Spool:
        made.append(Spool(tmp_path / "spool", **({"journal_bytes": 1 << 20} | settings)))
        return made[-1]

    yield build
    for spool in made:
        spool.close()


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, bytes], Path]]:
    """Give a spool that nobody closed, the files that it answered for, and a folder to play in."""
    folder = tmp_path_factory.mktemp("cut")
    spools = [Spool(folder / "spool", journal_bytes=1 << 20) for _ in range(2)]
    for number in range(COUNT):
        keep(spools[number % 2], f"1.2.{number}", os.urandom(1 + 4000 * number))
    files = {path: (spools[0].root / path).read_bytes() for _, path in spools[0].files()}
    shutil.copytree(spools[0].root, folder / "after")
    yield spools[0].root, files, folder / "after"
    for spool in spools:
        spool.close()


FATES = st.one_of(
    st.sampled_from(["whole", "gone", "empty", "zeros"]), st.tuples(st.just("cut"), st.floats(0, 1, exclude_max=True))
)


@settings(max_examples=40, deadline=None)
@given(st.lists(FATES, min_size=COUNT, max_size=COUNT))
def test_everything_that_was_answered_for_is_back_after_a_power_cut_and_whole(
    answered: tuple[Path, dict[str, bytes], Path], fates: list[Any]
) -> None:
    root, files, after = answered
    for journal in (root / "journal").iterdir():
        shutil.copy(journal, after / "journal")
    for (path, data), fate in zip(files.items(), fates, strict=True):
        (after / path).write_bytes(data)
        _suffer(after / path, data, fate)
    spool = Spool(after)
    spool.open()
    assert {path: (after / path).read_bytes() for _, path in spool.files()} == files
    assert (litter(spool), list((after / "journal").iterdir())) == ([], [])
    spool.close()


def _suffer(path: Path, data: bytes, fate: Any) -> None:
    if fate == "gone":
        path.unlink()
    elif fate != "whole":
        kept = {"empty": b"", "zeros": bytes(len(data))}.get(fate) if isinstance(fate, str) else None
        path.write_bytes(data[: int(len(data) * fate[1])] if kept is None else kept)


def test_a_second_start_finds_nothing_to_bring_back(make: Callable[..., Spool]) -> None:
    spool = make()
    stored = keep(spool, UID, b"data set")
    (spool.root / stored.path).unlink()
    _die(spool)
    again = make()
    again.open()
    before = (again.root / stored.path).stat()
    _die(again)
    third = make()
    third.open()
    assert (third.root / stored.path).stat().st_ino == before.st_ino


def test_an_object_that_came_again_before_is_not_replaced(make: Callable[..., Spool]) -> None:
    """A whole file under the name stays, whatever the journal has: it may be the one that was set right by hand."""
    spool = make()
    stored = keep(spool, UID, b"data set")
    _die(spool)
    other = make(journal_bytes=0)
    path = spool.root / stored.path
    path.unlink()
    path.write_bytes(meta() + b"put there by hand")
    other.open()
    assert path.read_bytes() == meta() + b"put there by hand"


def test_a_spool_without_a_journal_forgets_that_of_the_one_before(make: Callable[..., Spool]) -> None:
    spool = make()
    stored = keep(spool, UID, b"data set")
    _die(spool)
    (spool.root / stored.path).unlink()
    plain = make(durability="none")
    plain.open()
    assert list(plain.files()) == [(UID, stored.path)]
    assert list((plain.root / "journal").iterdir()) == []


def test_nothing_is_taken_in_before_every_dead_process_is_recovered(
    make: Callable[..., Spool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else another object could get a name that was answered for, and whose file is not back yet."""
    dead = make()
    stored = keep(dead, UID, b"answered with Success")
    (dead.root / stored.path).unlink()
    _die(dead)
    began = threading.Event()

    def slowly(*args: Any, **options: Any) -> str:
        began.set()
        time.sleep(0.2)
        return restore(*args, **options)

    monkeypatch.setattr(recovery, "restore", slowly)
    first = make()
    thread = threading.Thread(target=first.open)
    thread.start()
    assert began.wait(10)
    second = make(duplicates="keep")
    assert keep(second, UID, b"another object").beside
    thread.join()
    assert (dead.root / stored.path).read_bytes().endswith(b"answered with Success")


def test_a_name_that_the_living_take_during_recovery_is_not_taken_from_them(
    make: Callable[..., Spool], monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, alive = make(), make(journal_bytes=0)
    stored = keep(dead, UID, b"answered first")
    (dead.root / stored.path).unlink()
    alive.open()
    _die(dead)

    def overtaken(source: str, target: str) -> bool:
        monkeypatch.setattr(recovery, "rename_new", rename_new)
        assert keep(alive, UID, b"answered meanwhile").new
        return rename_new(source, target)

    monkeypatch.setattr(recovery, "rename_new", overtaken)
    make().open()
    kept = {path.read_bytes()[len(meta()) :] for path in dead.root.glob("instances/*/*.dcm")}
    assert kept == {b"answered first", b"answered meanwhile"}


def test_leftovers_of_the_dead_are_removed_and_what_the_living_write_is_not(make: Callable[..., Spool]) -> None:
    dead, alive = make(), make()
    left, under_way = dead.begin("1.2.1", meta("1.2.1")), alive.begin("1.2.2", meta("1.2.2"))
    left.write(b"half")
    under_way.write(b"all of it")
    _die(dead)
    new = make()
    new.open()
    assert not Path(left.part).exists()
    assert Path(under_way.part).exists()
    assert alive.finish(under_way).new
    left.discard()


def test_a_process_that_is_killed_leaves_what_it_answered_for_and_nothing_half_written(
    make: Callable[..., Spool], tmp_path: Path
) -> None:
    program = textwrap.dedent("""
        import os, signal, sys
        from pathlib import Path
        from node.storage import Spool, layout
        from tests.node.storage.objects import keep, meta
        layout.FAN_OUT = 1
        spool = Spool(Path(sys.argv[1]), journal_bytes=1 << 20)
        print(keep(spool, "1.2.1", b"answered").path)
        spool.begin("1.2.2", meta("1.2.2")).write(b"half")
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    root = tmp_path / "spool"
    done = subprocess.run([sys.executable, "-c", program, str(root)], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    path = root / done.stdout.strip()
    path.write_bytes(path.read_bytes()[:100])
    spool = make()
    assert len(litter(spool)) == 1
    spool.open()
    assert litter(spool) == []
    assert path.read_bytes().endswith(b"answered")
    assert [uid for uid, _ in spool.files()] == ["1.2.1"]


def test_a_failing_disk_gets_the_files_from_the_journal_again_but_not_those_that_were_taken_away(
    make: Callable[..., Spool],
) -> None:
    spool = make()
    stays, removed = (keep(spool, f"1.2.{number}", b"data") for number in range(2))
    whole = (spool.root / stays.path).read_bytes()
    (spool.root / stays.path).write_bytes(b"what a failed write left")
    (spool.root / removed.path).unlink()
    assert spool._journal is not None
    for half in spool._journal._halves:
        half.doubtful = True
    spool.close()
    assert (spool.root / stays.path).read_bytes() == whole
    assert not (spool.root / removed.path).exists()


def test_a_long_object_needs_no_journal_to_come_back(make: Callable[..., Spool]) -> None:
    spool = make()
    stored = keep_long(spool, UID, os.urandom(3 << 20))
    assert spool._journal is not None
    _die(spool)
    (spool.root / "journal" / "0.journal").unlink()
    assert list(make().files()) == [(UID, stored.path)]


# ---------------------------------------------------------------- slots


def test_numbers_are_held_against_each_other_and_given_back(tmp_path: Path) -> None:
    first, second = slots.take(tmp_path), slots.take(tmp_path)
    assert (first.number, second.number) == (0, 1)
    assert slots.take_number(tmp_path, 0) is None
    first.release()
    third = slots.take(tmp_path)
    assert third.number == 0
    for slot in (second, third):
        slot.release()


def test_a_file_system_without_locks_is_an_error_and_no_search_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("node.storage.slots.fcntl.flock", refuse)
    with pytest.raises(OSError, match="No locks"):
        slots.take(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


def test_one_process_at_a_time_holds_a_lock(tmp_path: Path) -> None:
    with slots.only_one(tmp_path, "reconcile") as mine, slots.only_one(tmp_path, "reconcile") as other:
        assert (mine, other) == (True, False)
    with slots.only_one(tmp_path, "reconcile") as mine:
        assert mine


def _die(spool: Spool) -> None:
    """Give a spool's place back without a word, as the system does for a process that was killed."""
    assert spool._slot is not None
    spool._slot.release()
