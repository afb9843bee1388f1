"""The indexer's start behind receivers that never pause."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.dicom.indexer import Indexer
from node.dicom.ledger import Entry, Ledger, LedgerReader, Noted
from node.records.engine import Records


def test_catching_up_ends_although_more_comes_all_the_time(
    records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(tmp_path / "ledger")
    for _ in range(3):
        ledger.put(Noted("kind", "text"))
    read = LedgerReader.batch
    calls = 0

    def batch(reader: LedgerReader, limit: int) -> tuple[list[Entry], int]:
        nonlocal calls
        calls += 1
        assert calls < 50, "it never ends"
        found = read(reader, limit)
        ledger.put(Noted("kind", "more"))
        return found

    monkeypatch.setattr(LedgerReader, "batch", batch)
    Indexer(records, tmp_path).catch_up()
    assert calls >= 1
    ledger.close()


def test_a_reader_is_past_what_was_there_when_it_has_read_it_and_not_before(tmp_path: Path) -> None:
    ledger, reader = Ledger(tmp_path), LedgerReader(tmp_path)
    assert reader.past(reader.sizes())
    ledger.put(Noted("kind", "text"))
    there = reader.sizes()
    assert not reader.past(there)
    reader.batch(10)
    ledger.put(Noted("kind", "text"))
    assert reader.past(there)
    assert not reader.past(reader.sizes())
    ledger.close()
