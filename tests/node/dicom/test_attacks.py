"""What might make the index fall silent, fall behind, or say that it knows what it does not."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.event import listen

from node.dicom import indexer as module
from node.dicom.indexer import Indexer, known_until
from node.dicom.ledger import READ_BYTES, Ended, Ledger, LedgerReader, Noted, Stored
from node.dicom.part10 import Command
from node.dicom.structure import scan
from node.records.engine import Records
from node.records.schema import Event, Instance
from tests.node.dicom.objects import EXPLICIT, MR, encoded, image
from tests.peers import eventually


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path / "ledger")
    yield made
    made.close()


@pytest.fixture
def indexer(records: Records, ledger: Ledger, tmp_path: Path) -> Iterator[Indexer]:
    made = Indexer(records, tmp_path)
    yield made
    if made._thread.ident is not None:
        made.stop(20.0)


def told(number: int, excerpt: bytes) -> Stored:
    """Return what a receiver tells of an object whose file nobody needs to open."""
    command = Command(MR, f"1.2.3.1.{number}", EXPLICIT, "MR1", "OVERREAD")
    return Stored("a", command, f"instances/{number}.dcm", 1, "0", excerpt)


def long_excerpt() -> bytes:
    """Make an excerpt of some six kilobytes, which a receiver still puts into the ledger."""
    return encoded(image(PixelData=None, SoftwareVersions="x" * 6000))


def entered(records: Records) -> int:
    with records.read() as session:
        return session.scalar(select(func.count(Instance.id))) or 0


def test_an_index_that_is_behind_takes_no_rest(
    records: Records, ledger: Ledger, indexer: Indexer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of long lines a batch holds fewer than a transaction takes: that is not the end of what is there."""
    monkeypatch.setattr(module, "POLL_SECONDS", 60.0)
    excerpt = long_excerpt()
    number = 3 * READ_BYTES // len(excerpt)
    for each in range(number):
        ledger.put(told(each, excerpt))
    indexer.start()
    eventually("all of it is entered", lambda: entered(records) == number, 15)


@pytest.mark.parametrize("step", ["sizes", "unread"])
def test_a_disk_that_fails_for_a_moment_does_not_end_the_index(
    records: Records, ledger: Ledger, indexer: Indexer, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    look, failed = getattr(LedgerReader, step), threading.Event()

    def fail_once(self: LedgerReader) -> Any:
        if not failed.is_set():
            failed.set()
            raise OSError(5, "Input/output error")
        return look(self)

    monkeypatch.setattr(LedgerReader, step, fail_once)
    indexer.start()
    assert failed.wait(10)
    ledger.put(told(1, encoded(image(PixelData=None))))
    eventually("it is entered", lambda: entered(records) == 1, 5)


def test_a_mark_that_cannot_be_set_for_a_moment_does_not_end_the_index(
    records: Records, ledger: Ledger, indexer: Indexer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    utime, failed = os.utime, threading.Event()

    def fail_once(*args: Any) -> None:
        if not failed.is_set():
            failed.set()
            raise OSError(5, "Input/output error")
        utime(*args)

    monkeypatch.setattr(os, "utime", fail_once)
    indexer.start()
    assert failed.wait(10)
    began = time.time()
    ledger.put(told(1, encoded(image(PixelData=None))))
    eventually("it is entered", lambda: entered(records) == 1, 5)
    eventually("it says so", lambda: known_until(tmp_path).timestamp() > began)


def test_a_part_that_is_no_file_stops_no_other_and_nothing_is_said_to_be_known(
    records: Records, ledger: Ledger, indexer: Indexer, tmp_path: Path
) -> None:
    loop = tmp_path / "ledger" / "00000000000000000001-1.jsonl"
    loop.parent.mkdir()
    loop.symlink_to(loop)
    indexer.start()
    ledger.put(told(1, encoded(image(PixelData=None))))
    eventually("the other is entered", lambda: entered(records) == 1, 5)
    assert known_until(tmp_path).timestamp() == 0
    loop.unlink()
    eventually("it says so", lambda: known_until(tmp_path).timestamp() > 0)


def test_a_ledger_that_cannot_be_listed_is_not_taken_for_one_that_is_empty(indexer: Indexer, tmp_path: Path) -> None:
    """Else a study would be judged quiet that is still coming."""
    (tmp_path / "ledger").touch()
    indexer.start()
    time.sleep(0.3)
    assert known_until(tmp_path).timestamp() == 0
    (tmp_path / "ledger").unlink()
    eventually("it says so", lambda: known_until(tmp_path).timestamp() > 0)


@pytest.mark.parametrize("associations", [False, True])
def test_thousands_of_refusals_cost_the_index_a_few_queries_a_batch(
    records: Records, ledger: Ledger, indexer: Indexer, associations: bool
) -> None:
    """Else one request with twenty thousand empty parts, or a thousand connections, put off the end of every study."""
    number = module.BATCH
    for each in range(number):
        ledger.put(Noted("instance.refused", f"Refusal {each % 7}."))
        if associations:
            ledger.put(Ended(f"127.0.0.1#{each}"))
    asked: list[str] = []
    listen(records.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    indexer.catch_up()
    with records.read() as session:
        assert session.scalar(select(func.count(Event.id))) == number
    assert len([statement for statement in asked if statement.startswith("SELECT")]) <= 10


def test_what_is_remembered_of_a_layout_depends_on_how_long_a_value_may_be() -> None:
    elements = scan(memoryview(encoded(image())), implicit=False)
    assert len(elements.spans((0x7FE00010,), 1 << 14)) == 1
    assert elements.spans((0x7FE00010,), 8) == []
