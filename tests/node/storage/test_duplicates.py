"""Objects that come under a SOP Instance UID that is known."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from node.errors import DuplicateInstance, OutOfResources
from node.storage import Spool, StoredFile, layout, writer
from node.storage import spool as module
from node.storage.spool import Duplicates
from node.storage.system import rename_new
from tests.node.storage.objects import UID, buffer_with, keep, keep_long, litter, meta
from tests.part10 import read_file

Keep = Callable[[Spool, str, bytes], StoredFile]
BOTH = pytest.mark.parametrize("put", [keep, keep_long])


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Spool]]:
    """Give a function that makes a spool object on one folder; all are closed at the end."""
    made: list[Spool] = []

    def build(duplicates: Duplicates = "refuse", **settings: Any) -> Spool:
        made.append(Spool(tmp_path / "spool", duplicates=duplicates, journal_bytes=1 << 20, **settings))
        return made[-1]

    yield build
    for spool in made:
        spool.close()


@BOTH
def test_the_same_again_changes_nothing_whatever_its_file_meta_says(make: Callable[..., Spool], put: Keep) -> None:
    spool = make()
    first = keep(spool, UID, b"data set")
    before = (spool.root / first.path).stat()
    other_meta = meta(calling="ANOTHER")
    if put is keep:
        again = spool.keep(UID, other_meta, buffer_with(b"data set", head=len(other_meta)))
    else:
        again = spool.store(UID, other_meta, b"data set")
    assert (again.new, again.beside) == (False, False)
    assert (again.path, again.digest, again.size) == (first.path, first.digest, first.size)
    after = (spool.root / first.path).stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert litter(spool) == []


@BOTH
@pytest.mark.parametrize("other", [b"data sex", b"data se", b"data set!", b""])
def test_other_content_is_refused_and_the_first_kept(make: Callable[..., Spool], put: Keep, other: bytes) -> None:
    spool = make()
    first = put(spool, UID, b"data set")
    with pytest.raises(DuplicateInstance):
        put(spool, UID, other)
    assert read_file(spool.root / first.path)[1] == b"data set"
    assert (litter(spool), len(list(spool.files()))) == ([], 1)


@BOTH
def test_other_content_is_kept_beside_the_first_and_only_once_where_both_are_wanted(
    make: Callable[..., Spool], put: Keep
) -> None:
    spool = make("keep")
    first = put(spool, UID, b"data set")
    before = (spool.root / first.path).stat().st_mtime_ns
    beside, again, third = (put(spool, UID, data) for data in (b"another", b"another", b"a third"))
    assert [(item.new, item.beside) for item in (beside, again, third)] == [(True, True), (False, True), (True, True)]
    assert beside.path == again.path != third.path
    assert read_file(spool.root / beside.path)[1] == b"another"
    assert (spool.root / beside.path).stat().st_size == beside.size
    assert (spool.root / first.path).stat().st_mtime_ns == before
    assert list(spool.files()) == [(UID, first.path)]
    assert litter(spool) == []


@BOTH
def test_an_object_whose_digest_was_forged_is_not_taken_for_another(
    make: Callable[..., Spool], put: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = make("keep")
    put(spool, UID, b"data set")
    name = layout.name_beside
    monkeypatch.setattr(layout, "name_beside", lambda uid, _, number=0: name(uid, "xxh128:0011223344556677", number))
    kept = [put(spool, UID, data) for data in (b"another", b"forged", b"forged", b"another")]
    assert [item.new for item in kept] == [True, True, False, False]
    assert [read_file(spool.root / item.path)[1] for item in kept] == [b"another", b"forged", b"forged", b"another"]
    assert litter(spool) == []


@BOTH
def test_what_cannot_be_kept_beside_leaves_nothing(
    make: Callable[..., Spool], put: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = make("keep")
    put(spool, UID, b"data set")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(OutOfResources):
        put(spool, UID, b"another")
    assert (litter(spool), len(list((spool.root / "instances").rglob("*.dcm")))) == ([], 1)


@BOTH
@pytest.mark.parametrize("damage", [b"", b"\0" * 500, None])
def test_a_file_that_a_power_cut_damaged_makes_way_for_the_object_that_comes_again(
    make: Callable[..., Spool], put: Keep, damage: bytes | None
) -> None:
    spool = make()
    path = spool.root / put(spool, UID, b"data set").path
    path.write_bytes(path.read_bytes()[:-1] if damage is None else damage)
    again = put(spool, UID, b"data set")
    assert again.new
    assert read_file(path)[1] == b"data set"
    assert len(list((spool.root / "damaged").iterdir())) == 1


@pytest.mark.parametrize("round_", range(4))
def test_exactly_one_of_many_writers_in_two_processes_gives_the_name(make: Callable[..., Spool], round_: int) -> None:
    outcomes: list[tuple[str, bytes]] = []
    spools = [make(), make()]
    barrier = threading.Barrier(8)

    def write(number: int) -> None:
        content = (b"ab"[number % 2 : number % 2 + 1]) * 5000
        put = keep if number % 4 < 2 else keep_long
        barrier.wait()
        try:
            stored = put(spools[number // 4], UID, content)
            outcome = "beside" if stored.beside else "new" if stored.new else "same"
        except DuplicateInstance:
            outcome = "refused"
        outcomes.append((outcome, content))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [content for outcome, content in outcomes if outcome == "new"]
    assert read_file(spools[0].root / spools[0].name(UID))[1] == winner
    for outcome, content in outcomes:  # who was told Success at the very moment another won the name is kept beside it
        assert outcome in (("new", "same") if content == winner else ("refused", "beside"))
    beside = [read_file(path)[1] for path in spools[0].root.glob(f"instances/*/{UID}~*.dcm")]
    assert set(beside) == {content for outcome, content in outcomes if outcome == "beside"}
    assert litter(spools[0]) == []


def test_of_two_objects_that_are_answered_for_at_one_moment_both_are_kept_and_come_back(
    make: Callable[..., Spool], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    loser, winner = make(), make()
    loser.open()

    def overtaken(source: str, target: str) -> bool:
        monkeypatch.setattr(module, "rename_new", rename_new)
        monkeypatch.setattr(writer, "rename_new", rename_new)
        keep(winner, UID, b"answered with Success")
        return rename_new(source, target)

    monkeypatch.setattr(module, "rename_new", overtaken)
    monkeypatch.setattr(writer, "rename_new", overtaken)
    beside = keep(loser, UID, b"a moment later")
    assert (beside.beside, beside.new) == (True, True)
    (loser.root / loser.name(UID)).unlink()
    (loser.root / beside.path).unlink()
    for spool in (loser, winner):
        assert spool._slot is not None
        spool._slot.release()
    recovered = make()
    recovered.open()
    kept = {read_file(path)[1] for path in recovered.root.glob("instances/*/*.dcm")}
    assert kept == {b"answered with Success", b"a moment later"}
