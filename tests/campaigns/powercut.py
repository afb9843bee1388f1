"""What a power cut can take from a spool, taken from it while no process runs.

Instances that a journal still answers for need not be on the disk yet: their names may be gone, their blocks missing,
of their length or shorter. Lines of the ledger are never synchronised. Objects that no journal takes are synchronised
before they get their names, and records when they are committed: they stay.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from node.storage import layout
from node.storage.journal import records


@dataclass(frozen=True, slots=True)
class Loss:
    """What was taken: instances that the journals hold, and parts of the ledger."""

    journaled: int = 0
    ledger: int = 0


def cut(spool: Path, chance: random.Random) -> Loss:
    """Take a random part of what may be lost."""
    held = {record.name for path in (spool / layout.JOURNAL).glob("*.journal") for record in records(path)}
    share = chance.choice((0.1, 0.5, 1.0))
    lost = [uid for uid in sorted(held) if chance.random() < share and _spoil(spool / layout.name_of(uid), chance)]
    return Loss(len(lost), sum(_shorten(path, chance) for path in (spool / layout.LEDGER).glob("*.jsonl")))


def _spoil(path: Path, chance: random.Random) -> bool:
    """Remove, shorten, empty or blank a file; False if it is not there."""
    if not path.exists():
        return False
    size = path.stat().st_size
    fate = chance.randrange(5)
    if fate == 0:
        path.unlink()
    elif fate == 1:
        path.write_bytes(b"")
    elif fate == 2:
        with path.open("r+b") as stream:
            stream.truncate(chance.randrange(size))
    elif fate == 3:
        path.write_bytes(bytes(size))  # its length is on the disk, its blocks are not
    else:
        with path.open("r+b") as stream:
            start = chance.randrange(size) // 4096 * 4096
            stream.seek(start)
            stream.write(bytes(min(4096, size - start)))
    return True


def _shorten(path: Path, chance: random.Random) -> bool:
    """Take the end of a part of the ledger, or all of it."""
    fate = chance.random()
    if fate < 0.4:
        path.unlink()
    elif fate < 0.8:
        with path.open("r+b") as stream:
            stream.truncate(chance.randrange(path.stat().st_size + 1))
    return fate < 0.8
