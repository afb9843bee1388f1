from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from node.storage import direct as module
from node.storage.direct import ALIGNMENT, LEAST_BYTES, Direct
from tests.node.storage.objects import buffer_with


def write(direct: Direct, path: Path, data: bytes) -> int | None:
    buffer = buffer_with(data)
    return direct.write(str(path), buffer.file, buffer.size)


@pytest.mark.parametrize("size", [1, ALIGNMENT - 1, ALIGNMENT, ALIGNMENT + 1, 3 * ALIGNMENT, 200_001])
def test_a_file_of_any_length_holds_what_was_written(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    descriptor = write(Direct(), tmp_path / "x", data)
    if descriptor is None:
        pytest.skip("this file system takes no direct writes")
    os.close(descriptor)
    assert (tmp_path / "x").read_bytes() == data


def descriptors() -> int:
    """Return how many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def failing(code: int) -> Callable[..., int]:
    def fail(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize("call", ["open", "pwrite"])
def test_a_file_system_that_does_not_know_direct_writes_is_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    direct = Direct()
    assert direct.pays(LEAST_BYTES)
    before = descriptors()
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing(errno.EINVAL))
        assert write(direct, tmp_path / "x", b"data") is None
    assert not direct.pays(LEAST_BYTES)
    assert descriptors() == before


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EMFILE])
@pytest.mark.parametrize("call", ["open", "pwrite"])
def test_a_disk_that_is_full_or_broken_is_an_error_and_direct_writes_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, call: str
) -> None:
    direct = Direct()
    before = descriptors()
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing(code))
        with pytest.raises(OSError) as caught:
            write(direct, tmp_path / "x", b"data")
    assert caught.value.errno == code
    assert descriptors() == before
    assert direct.pays(LEAST_BYTES)


def test_after_a_short_write_the_page_cache_has_to_do_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda descriptor, data, at: pwrite(descriptor, data[:ALIGNMENT], at))
    assert write(Direct(), tmp_path / "x", bytes(3 * ALIGNMENT)) is None


def test_a_slow_disk_is_left_in_peace_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr("node.storage.direct.time.monotonic", lambda: float(next(clock)))
    direct = Direct()
    while direct.pays(LEAST_BYTES):
        descriptor = write(direct, tmp_path / "x", bytes(LEAST_BYTES))
        if descriptor is None:
            pytest.skip("this file system takes no direct writes")
        os.close(descriptor)
    answers = [direct.pays(LEAST_BYTES) for _ in range(module.REST)]
    assert answers == [False] * (module.REST - 1) + [True]


def test_small_files_are_written_through_the_page_cache(tmp_path: Path) -> None:
    assert not Direct().pays(LEAST_BYTES - 1)
