from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from node.storage.direct import ALIGNMENT, EXPLORE, LEAST_BYTES, Direct, Way
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
    assert direct.way(LEAST_BYTES) == "direct"
    before = descriptors()
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing(errno.EINVAL))
        assert write(direct, tmp_path / "x", b"data") is None
    assert {direct.way(LEAST_BYTES) for _ in range(2 * EXPLORE)} == {"cached"}
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
    assert direct.way(LEAST_BYTES) == "direct"


def test_after_a_short_write_the_page_cache_has_to_do_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda descriptor, data, at: pwrite(descriptor, data[:ALIGNMENT], at))
    assert write(Direct(), tmp_path / "x", bytes(3 * ALIGNMENT)) is None


@pytest.mark.parametrize(("direct", "cached", "better"), [(1.0, 2.0, "direct"), (2.0, 1.0, "cached")])
def test_the_quicker_way_is_taken_and_the_other_one_tried_now_and_then(
    direct: float, cached: float, better: Way
) -> None:
    ways = Direct()
    taken = []
    for _ in range(10 * EXPLORE):
        way = ways.way(LEAST_BYTES)
        taken.append(way)
        ways.learn(way, LEAST_BYTES, direct if way == "direct" else cached)
    assert 0.95 < taken.count(better) / len(taken) < 1.0


def test_when_what_was_slow_becomes_quick_it_is_taken_again() -> None:
    ways = Direct()
    for seconds in ({"direct": 1.0, "cached": 2.0}, {"direct": 2.0, "cached": 1.0}):
        for _ in range(40 * EXPLORE):
            way = ways.way(LEAST_BYTES)
            ways.learn(way, LEAST_BYTES, seconds[way])
    assert [ways.way(LEAST_BYTES) for _ in range(3)] == ["cached"] * 3


def test_small_files_are_written_through_the_page_cache() -> None:
    assert {Direct().way(LEAST_BYTES - 1) for _ in range(2 * EXPLORE)} == {"cached"}
