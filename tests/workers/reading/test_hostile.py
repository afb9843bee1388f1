"""A damaged file is read, or refused with a sentence. `python -m tests.workers.reading.hostile` tries more."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.workers.reading import hostile
from workers.reading import inputs

KINDS = ("volume", "radiograph", "waveform", "record")


@pytest.mark.parametrize("kind", KINDS)
def test_whole_files_are_read(kind: str, tmp_path: Path) -> None:
    for sample in hostile.samples(tmp_path / "whole")[kind]:
        assert hostile.outcome(kind, sample.files, sample.needs, tmp_path) == "read"


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_read_or_refused(kind: str) -> None:
    counts = hostile.run(40, seed=1, kinds=[kind])[kind]
    assert counts["read"] + counts["refused"] == 40, counts
    assert counts["refused"]


def test_a_fault_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (sample, *_) = hostile.samples(tmp_path / "whole")["waveform"]
    monkeypatch.setattr(inputs, "read", lambda paths, needs: os.abort())
    assert hostile.outcome("waveform", sample.files, sample.needs, tmp_path) == "SIGABRT"
    monkeypatch.setattr(inputs, "read", lambda paths, needs: bytearray(hostile.MEMORY * 2))
    assert hostile.outcome("waveform", sample.files, sample.needs, tmp_path) == "MemoryError"
    monkeypatch.setattr(hostile, "SECONDS", 0.2)
    monkeypatch.setattr(inputs, "read", lambda paths, needs: [None for _ in iter(int, 1)])
    assert hostile.outcome("waveform", sample.files, sample.needs, tmp_path) == "SIGALRM"
