from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.dicom.part10 import Command, file_meta, read_file
from node.dicom.uid import is_uid
from node.errors import DicomInputError, DuplicateInstance, OutOfResources
from node.storage import Spool, dataset_digest

META = file_meta(Command("1.2", "1.2.3", "1.2.840.10008.1.2.1", "MR1", "OVERREAD"))
UID = "1.2.3"


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "root" / "spool")


def test_an_instance_is_kept_as_it_came(spool: Spool) -> None:
    stored = spool.store(UID, META, b"data set")
    assert stored.new
    assert read_file(spool.root / stored.path)[1] == b"data set"
    assert stored.size == len(META) + 8 == (spool.root / stored.path).stat().st_size
    assert stored.sha256 == dataset_digest(spool.root / stored.path)
    assert list(spool.files()) == [(UID, stored.path)]


def test_the_same_again_changes_nothing(spool: Spool) -> None:
    first = spool.store(UID, META, b"data set")
    before = (spool.root / first.path).stat()
    again = spool.store(UID, file_meta(Command("1.2", UID, "1.2", "ANOTHER")), b"data set")
    assert not again.new
    assert (again.path, again.sha256, again.size) == (first.path, first.sha256, first.size)
    assert (spool.root / first.path).stat().st_mtime_ns == before.st_mtime_ns


def test_other_content_is_refused_and_the_first_kept(spool: Spool) -> None:
    first = spool.store(UID, META, b"data set")
    with pytest.raises(DuplicateInstance):
        spool.store(UID, META, b"data sex")
    assert read_file(spool.root / first.path)[1] == b"data set"
    assert list((spool.root / "incoming").iterdir()) == []


def test_success_is_said_only_after_everything_is_on_the_disk(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    said = _record(monkeypatch)
    stored = spool.store(UID, META, b"data set")
    folder = (spool.root / stored.path).parent
    root = spool.root.parent
    assert said == [
        ("fsync", root.parent),  # the name of the node's root, made on the way
        ("fsync", root),
        ("fsync", spool.root),
        ("fsync", spool.root),
        ("fsync", spool.root / "instances"),
        ("write", spool.root / "incoming"),
        ("write", spool.root / "incoming"),
        ("fdatasync", spool.root / "incoming"),
        ("rename", folder),
        ("fsync", folder),
    ]


def test_a_folder_that_is_known_to_be_durable_is_synced_once_more_for_its_new_name_only(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.store(UID, META, b"data set")
    said = _record(monkeypatch)
    monkeypatch.setattr(
        spool, "name", lambda uid: f"instances/{spool.root.joinpath(_path(spool)).parent.name}/{uid}.dcm"
    )
    spool.store("1.2.4", META, b"another")
    assert [what for what, _ in said] == ["write", "write", "fdatasync", "rename", "fsync"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("call", ["write", "fdatasync", "fsync"])
def test_a_disk_that_is_full_or_broken_is_out_of_resources_and_leaves_nothing(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, code: int, call: str
) -> None:
    def fail(*args: object) -> None:
        raise OSError(code, "no")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(OutOfResources):
            spool.store(UID, META, b"data set")
    assert [path for path in spool.root.rglob("*") if path.suffix in (".dcm", ".part")] == []
    assert spool.store(UID, META, b"data set").new


def test_short_writes_are_continued(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:7]))
    stored = spool.store(UID, META, b"0123456789" * 10)
    assert read_file(spool.root / stored.path)[1] == b"0123456789" * 10


def test_one_of_many_writers_of_one_uid_wins(spool: Spool) -> None:
    outcomes: list[str] = []
    barrier = threading.Barrier(8)

    def write(content: bytes) -> None:
        barrier.wait()
        try:
            outcomes.append("new" if spool.store(UID, META, content).new else "same")
        except DuplicateInstance:
            outcomes.append("refused")

    threads = [threading.Thread(target=write, args=(b"ab"[n % 2 : n % 2 + 1] * 100,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["new"] + ["refused"] * 4 + ["same"] * 3


def test_leftovers_are_swept_and_what_is_being_written_is_not(spool: Spool) -> None:
    spool.store(UID, META, b"data set")
    leftover = spool.root / "incoming" / "dead.part"
    leftover.write_bytes(b"half")
    alive, descriptor = spool._open_part()
    assert Spool(spool.root).sweep() == 1
    assert not leftover.exists()
    assert alive.exists()
    os.close(descriptor)
    assert spool.sweep() == 1


@pytest.mark.parametrize(
    "hostile", ["../../x", "", "1", "1..2", ".1.2", "1.2.", "1.2/3", "1.2\n", "１.２", "1." + "1" * 63]
)
def test_a_name_that_is_no_uid_is_refused(spool: Spool, hostile: str) -> None:
    with pytest.raises(DicomInputError):
        spool.store(hostile, META, b"data set")
    assert not spool.root.exists()


@given(st.text(alphabet="0123456789./\\\0 ab", max_size=70))
def test_whatever_passes_as_a_uid_stays_below_the_spool(text: str) -> None:
    if is_uid(text):
        path = Spool(Path("/spool")).name(text)
        assert Path(os.path.normpath(f"/spool/{path}")) == Path("/spool") / path
        assert len(Path(path).parts) == 3


def test_one_process_at_a_time_holds_a_lock(spool: Spool) -> None:
    with spool.only_one("reconcile") as mine, Spool(spool.root).only_one("reconcile") as other:
        assert (mine, other) == (True, False)
    with spool.only_one("reconcile") as mine:
        assert mine


def _path(spool: Spool) -> str:
    return next(spool.files())[1]


def _record(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path]]:
    """Note, in order, what is told to the disk and in which folder."""
    said: list[tuple[str, Path]] = []

    def spy(name: str, original: Callable[..., Any], folder_of: Callable[..., Path]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            said.append((name, folder_of(*args)))
            return original(*args)

        return call

    def opened(descriptor: int, *_: object) -> Path:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        return path if path.is_dir() else path.parent

    for name in ("write", "fdatasync", "fsync"):
        monkeypatch.setattr(os, name, spy(name, getattr(os, name), opened))
    monkeypatch.setattr(Path, "rename", spy("rename", Path.rename, lambda source, target: Path(target).parent))
    return said
