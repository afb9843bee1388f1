"""A disk that fills up behind an object that was answered for already."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest

from node.errors import OutOfResources
from node.storage import Spool, writer
from node.storage import spool as module
from node.storage.incoming import write_file as write_really
from node.storage.seal import is_whole
from tests.node.storage.objects import UID, keep, litter
from tests.peers import eventually


def test_while_an_answered_object_waits_for_room_others_are_refused_and_then_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path, journal_bytes=1 << 20)
    spool.open()
    full = True

    def write(path: str, data: memoryview) -> None:
        if full:
            raise OSError(errno.ENOSPC, "no space left")
        write_really(path, data)

    monkeypatch.setattr(writer, "write_file", write)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    spool.require_room()
    keeping = threading.Thread(target=keep, args=(spool, UID, b"data set"))
    keeping.start()

    def refused() -> bool:
        try:
            spool.require_room()
        except OutOfResources:
            return True
        return False

    eventually("others are refused", refused, 5, 0.01)
    full = False
    keeping.join(5)
    assert not keeping.is_alive()
    spool.require_room()
    assert is_whole(tmp_path / spool.name(UID))
    assert litter(spool) == []
    spool.close()
