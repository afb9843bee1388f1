from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

import pytest

from node.storage import system
from node.storage.system import FileSystem, rename_new, start_writing, sync_file_system


@pytest.mark.parametrize("flag_is_known", [True, False])
def test_a_name_is_given_once_and_never_taken_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flag_is_known: bool
) -> None:
    if not flag_is_known:  # NFS
        monkeypatch.setattr(system, "_renameat2", lambda *_: -1)
        monkeypatch.setattr(ctypes, "get_errno", lambda: errno.EINVAL)
    first, second, target = tmp_path / "1", tmp_path / "2", tmp_path / "name"
    first.write_bytes(b"first")
    second.write_bytes(b"second")
    assert rename_new(str(first), str(target))
    assert not rename_new(str(second), str(target))
    assert (target.read_bytes(), second.read_bytes(), first.exists()) == (b"first", b"second", False)


def test_a_name_that_cannot_be_given_is_an_error_with_its_number(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        rename_new(str(tmp_path / "none"), str(tmp_path / "name"))
    assert caught.value.errno == errno.ENOENT


def test_what_the_file_system_could_not_write_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync_file_system(tmp_path)
    monkeypatch.setattr(system, "_syncfs", lambda _: -1)
    monkeypatch.setattr(ctypes, "get_errno", lambda: errno.EIO)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        sync_file_system(tmp_path)


def test_one_file_system_is_asked_through_one_descriptor_for_as_long_as_it_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error is told to who has it open; who opens it anew may never hear of it (syncfs(2))."""
    asked: list[int] = []

    def answer(descriptor: int) -> int:
        asked.append(descriptor)
        return 0

    monkeypatch.setattr(system, "_syncfs", answer)
    file_system = FileSystem(tmp_path)
    for _ in range(3):
        file_system.sync()
    file_system.close()
    assert len(asked) == 3
    assert len(set(asked)) == 1
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(asked[0])


def test_a_hint_that_is_not_understood_is_no_error() -> None:
    start_writing(-1, 0, 4096)
