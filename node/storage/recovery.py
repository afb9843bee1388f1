"""When a spool is opened: what dead processes answered for, and did not write or the disk lost, is brought back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from node.dicom.part10 import dataset_start
from node.storage import layout, slots
from node.storage.compare import same_dataset
from node.storage.incoming import write_file
from node.storage.journal import Record, records
from node.storage.lasting import SUFFIX as MEMORY
from node.storage.lasting import recovered
from node.storage.seal import is_whole, seal_of
from node.storage.system import rename_new, sync_file_system

Tell = Callable[[Sequence[str]], None]
"""Takes paths below the spool."""


def recover(root: Path, slot: int, tell: Tell) -> list[str]:
    """Recover from the journals and the memory of dead processes and remove what they were writing.

    Nobody was told that the half-written ones are kept. ``slot`` is the caller's own number: its journal stays, for
    the caller to begin anew or to remove; those of the dead are gone afterwards. One process of a node at a time, and
    none takes objects in before it has done this.

    ``tell`` is called with the files of each dead process while they can still be found again: a process that is killed
    at its start must not be the last that knew of them.

    Returns
    -------
    list of str
        The files of everything that was found there, below ``root``: the index may not have been told of them.
    """
    found: list[str] = []
    incoming = root / layout.INCOMING
    numbers = {int(lock.stem) for lock in incoming.glob("*.lock") if lock.stem.isdigit()}
    for number in sorted(numbers | {slot}):
        held = None if number == slot else slots.take_number(incoming, number)
        if number != slot and held is None:
            continue
        journal = layout.journal_of(root, number)
        paths = [restore(root, slot, record, again=False) for record in _answered(incoming / str(number), journal)]
        if journal.exists():
            sync_file_system(root)
        tell(paths)
        found += paths
        for part in (incoming / str(number)).glob("*"):
            part.unlink()
        if held is not None:
            journal.unlink(missing_ok=True)
            held.release()
    return found


def _answered(place: Path, journal: Path) -> Iterator[Record]:
    """Yield what a dead process answered for, as its memory and its journal hold it."""
    for memory in place.glob(f"*{MEMORY}"):
        if (record := recovered(memory)) is not None:
            yield record
    if journal.exists():
        yield from records(journal)


def restore(root: Path, slot: int, record: Record, *, again: bool = True) -> str:
    """Write a record's file unless it is there; it is durable after the next sync. Returns its path below ``root``.

    Where another object has the name, the record's is kept beside it: it was answered for. With ``again`` a file that
    looks whole is written nevertheless, since a disk that failed may have lost what memory still shows.
    """
    name = layout.name_of(record.name)
    data = memoryview(record.data)
    dataset = data[dataset_start(record.data) :]
    final = root / name
    if final.exists() and is_whole(final) and not same_dataset(final, dataset):
        name = layout.name_beside(record.name, seal_of(dataset).text)
        final = root / name
    if again or not (final.exists() and is_whole(final)):
        part = root / layout.INCOMING / str(slot) / "restored.part"
        write_file(str(part), data)
        if final.exists():
            part.replace(final)
        elif not rename_new(str(part), str(final)):  # a process that lives took the name a moment ago
            part.unlink()
            return restore(root, slot, record, again=again)
    return name
