"""Keeping instances: what is stored here survives a power cut, or is not said to be stored.

How soon is a policy. ``instance``: before :meth:`Spool.keep` or :meth:`Incoming.finish` returns. ``association``: when
:meth:`Spool.settle` returns, which the receiver calls before it confirms a release. ``none``: when the system pleases.
Under each of them a file has its final name only once all of its bytes are written, and a name is never given twice.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from node import logs
from node.errors import DicomInputError, DuplicateInstance, OutOfResources
from node.storage import layout, recovery, slots
from node.storage.buffer import HEADROOM, Buffer
from node.storage.compare import same_dataset
from node.storage.incoming import Incoming, write_file
from node.storage.journal import Journal, Record
from node.storage.lasting import SUFFIX as MEMORY
from node.storage.lasting import Lasting, mark, unmark
from node.storage.layout import StoredFile
from node.storage.promise import Promise
from node.storage.room import Room, out_of_room
from node.storage.seal import Seal, seal_of
from node.storage.shelf import Shelf
from node.storage.system import FileSystem, rename_new, sync_file_system
from node.storage.writer import Writer, sync_file

Durability = Literal["instance", "association", "none"]
Duplicates = Literal["refuse", "keep"]
RETRY_SECONDS = 1.0
SMALL = 2 << 20
"""Longest data set that is received in memory and goes through the journal."""


class Spool(Shelf):
    """The spool of a node; any number of threads and processes may share it.

    Parameters
    ----------
    root
        Its folder, such as ``<node root>/spool``; made when something is stored.
    durability, duplicates
        The policies; see the module and :attr:`~node.settings.DicomSection.duplicates`.
    journal_bytes
        Size of this process's journal, where Success has to be durable; 0: files are synchronised one by one.
    room
        The watermark.
    """

    def __init__(
        self,
        root: Path,
        *,
        durability: Durability = "instance",
        duplicates: Duplicates = "refuse",
        journal_bytes: int = 0,
        room: Room | None = None,
    ) -> None:
        super().__init__(root)
        self.durability: Durability = durability
        self._duplicates: Duplicates = duplicates
        self._journal_bytes = journal_bytes if durability == "instance" else 0
        self._room = room or Room(root)
        self._lock = threading.Lock()
        self._slot: slots.Slot | None = None
        self._journal: Journal | None = None
        self._file_system: FileSystem | None = None
        self._incoming = ""
        self._owed: set[str] = set()  # part files of objects that were answered for and cannot be written yet
        #: What was recovered when the spool was opened: paths below it.
        self.recovered: list[str] = []

    # ------------------------------------------------------------------ keeping

    def open(self, tell: recovery.Tell = lambda _: None) -> None:
        """Make the folders, recover what an earlier process left, and take a place among the processes.

        Done by the first object where nobody calls it before.

        Parameters
        ----------
        tell
            Told of the files that were found, which the index may not know, before they can be forgotten.
        """
        incoming = self.root / layout.INCOMING
        with self._lock, out_of_room():
            if self._slot is not None:
                return
            self._make_folders()
            with slots.in_turn(incoming):
                slot = slots.take(incoming)
                try:
                    self._take_place(slot.number, tell)
                except BaseException:
                    slot.release()
                    raise
            self._slot = slot

    def _take_place(self, slot: int, tell: recovery.Tell) -> None:
        incoming = self.root / layout.INCOMING / str(slot)
        incoming.mkdir(exist_ok=True)
        self._incoming = str(incoming)
        self._writer = Writer(durable=self.durability == "instance")
        self.recovered = recovery.recover(self.root, slot, tell)
        path = layout.journal_of(self.root, slot)
        if not self._journal_bytes:
            path.unlink(missing_ok=True)
            return
        if self._file_system is None:
            self._file_system = FileSystem(self.root)
        self._journal = Journal(path, self._journal_bytes, self._file_system.sync, self._restore)
        self._journal.open()

    def close(self) -> None:
        """Give the place back; everything kept is durable by itself then."""
        with self._lock:
            if self._journal is not None:
                self._journal.close()
            if self._file_system is not None:
                self._file_system.close()
            if self._slot is not None:
                self._slot.release()
            self._slot = self._journal = self._file_system = None

    def require_room(self) -> None:
        """Do nothing if an object may be taken in.

        Raises
        ------
        OutOfResources
            Below the watermark, or while the files of earlier objects cannot be written: the journal would take a few
            more, whose senders would wait then.
        """
        if self._owed:
            raise OutOfResources("the spool has no room or cannot be written")
        self._room.require()

    def buffer(self) -> Buffer:
        """Return memory to receive small objects into; close it in the end."""
        lasting = None
        if self.durability != "instance":
            # Without room for it, files are written before they are answered for.
            with contextlib.suppress(OSError, OutOfResources):
                self._ensure_open()
                lasting = Lasting(f"{self._incoming}/{next(self._numbers)}{MEMORY}")
        try:
            return Buffer(SMALL, lasting)
        except BaseException:
            if lasting is not None:
                lasting.close()
            raise

    def keep(self, sop_instance: str, meta: bytes, buffer: Buffer) -> StoredFile:
        """Keep a small instance that lies in a buffer behind room for ``meta``; raises as :meth:`store` does."""
        entered = self.enter(sop_instance, meta, buffer)
        if not isinstance(entered, Promise):
            return entered
        try:
            return entered.fulfil()
        finally:
            entered.release()

    def enter(self, sop_instance: str, meta: bytes, buffer: Buffer) -> StoredFile | Promise:
        """Do for a small instance what has to be done before Success; raises as :meth:`store` does.

        Returns
        -------
        Promise
            Nothing can lose the object, but its file is still to be written: its two functions have to be called, by
            any thread, before the buffer is used anew.
        StoredFile
            It is kept.
        """
        name = layout.name_of(sop_instance)
        self._ensure_open()
        seal = seal_of(buffer.data)
        buffer.prepend(seal.preamble() + meta[132:])
        if os.path.exists(self._target(name)):  # noqa: PTH110  the hot path
            with out_of_room():
                return self._again(sop_instance, seal, meta, buffer)
        if (promise := self._promise(sop_instance, seal, buffer)) is not None:
            return promise
        with out_of_room():
            part = self._part()
            try:
                if self._writer.write_and_name(part, self._target(name), buffer):
                    return StoredFile(name, buffer.size, seal.text)
            except BaseException:
                Path(part).unlink(missing_ok=True)
                raise
            Path(part).unlink()
            return self._again(sop_instance, seal, meta, buffer)

    def begin(self, sop_instance: str, meta: bytes) -> Incoming:
        """Begin to keep an instance that comes in pieces; finish or discard what this returns."""
        name = layout.name_of(sop_instance)
        self._ensure_open()
        with out_of_room():
            return Incoming(self._part(), meta, sop_instance, name, durable=self.durability == "instance")

    def finish(self, incoming: Incoming) -> StoredFile:
        """Keep what :meth:`begin` began; raises as :meth:`store` does."""
        with out_of_room():
            try:
                seal = incoming.complete()
                final = self._target(incoming.name)
                while not rename_new(incoming.part, final):
                    if (kept := self._again_file(incoming, seal)) is not None:
                        return kept
                self._writer.sync_name(final)
                return StoredFile(incoming.name, incoming.size, seal.text)
            finally:
                incoming.discard()

    def store(self, sop_instance: str, meta: bytes, dataset: bytes | memoryview) -> StoredFile:
        """Keep an instance that is at hand as a whole, and return once it is as durable as the policy says.

        Parameters
        ----------
        sop_instance
            SOP Instance UID; whatever has not the form of a UID (PS3.5 section 9.1) is refused.
        meta
            Preamble and File Meta Information.
        dataset
            The data set, written as it is.

        Raises
        ------
        DuplicateInstance
            An instance of this UID with another data set is kept already and stays as it is, where the policy is to
            refuse.
        OutOfResources
            The disk is full, broken or read-only.
        """
        incoming = self.begin(sop_instance, meta)
        try:
            with out_of_room():
                incoming.write(dataset)
            return self.finish(incoming)
        finally:
            incoming.discard()

    def insist(self, work: Callable[[], object]) -> None:
        """Do what an object that was answered for still needs; tries until it succeeds, or the process ends.

        No other object is taken in meanwhile.
        """
        debt = f"{next(self._numbers)}.work"
        while True:
            try:
                work()
            except (OSError, OutOfResources) as exc:
                logs.get("spool").error("what was answered for cannot be finished yet", error=exc)
                self._owed.add(debt)
                time.sleep(RETRY_SECONDS)
            else:
                self._owed.discard(debt)
                return

    def settle(self) -> None:
        """Make durable what is not yet, where the policy is to do that at the end of an association."""
        if self.durability == "association":
            with out_of_room():
                sync_file_system(self.root)

    # ------------------------------------------------------------------ in detail

    def _ensure_open(self) -> None:
        if self._slot is None:
            self.open()

    def _make_folders(self) -> None:
        made = not (self.root / layout.fans()[-1]).exists()
        for name in (layout.INCOMING, layout.JOURNAL, layout.LEDGER, *layout.fans()):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        if made:
            sync_file_system(self.root)

    def _part(self) -> str:
        return f"{self._incoming}/{next(self._numbers)}.part"

    def _target(self, name: str) -> str:
        return f"{self.root}/{name}"

    def _promise(self, sop_instance: str, seal: Seal, buffer: Buffer) -> Promise | None:
        """Enter an object in the journal, or mark it in memory that lasts; None where there is neither."""
        if buffer.lasting is not None:
            mark(buffer.view, sop_instance, HEADROOM, buffer.size, seal)
            return Promise(lambda: self._fulfil(sop_instance, seal, buffer), lambda: unmark(buffer.view))
        journal = self._journal
        if journal is None or not journal.ready.is_set() or buffer.size + HEADROOM > journal.longest:
            return None
        place = journal.reserve(HEADROOM + buffer.size)
        try:
            place.write(buffer.view, sop_instance, HEADROOM, buffer.size)
        except BaseException as exc:
            journal.release(place)
            if not isinstance(exc, OSError):
                raise
            logs.get("spool").error("the journal cannot be written", error=exc)
            return None
        return Promise(lambda: self._fulfil(sop_instance, seal, buffer), lambda: journal.release(place))

    def _fulfil(self, sop_instance: str, seal: Seal, buffer: Buffer) -> StoredFile:
        """Write the file of an object that was answered for; tries until it is there, or the process ends.

        Where another object got the name in the meantime, both are kept: this one has been answered for. If the process
        ends first, the next start brings the object back.
        """
        name, part = layout.name_of(sop_instance), self._part()
        while True:
            try:
                self._writer.write_part(part, buffer)
                self._owed.discard(part)
                while not rename_new(part, self._target(name)):
                    if self._is_same(name, buffer.data):
                        Path(part).unlink()
                        return StoredFile(name, (self.root / name).stat().st_size, seal.text, new=False)
                    if not self.make_way(name):
                        return self._beside(part, sop_instance, seal, buffer.size)
            except OSError as exc:
                logs.get("spool").error("a file that is in the journal cannot be written yet", error=exc)
                self._owed.add(part)
                time.sleep(RETRY_SECONDS)
            else:
                return StoredFile(name, buffer.size, seal.text)

    def _restore(self, record: Record) -> None:
        """Write a file again that the disk may not have; one that was taken away in the meantime stays away."""
        if self._slot is not None and (self.root / layout.name_of(record.name)).exists():
            recovery.restore(self.root, self._slot.number, record)

    def _again(self, sop_instance: str, seal: Seal, meta: bytes, buffer: Buffer) -> StoredFile | Promise:
        """Judge an object in memory whose name is taken."""
        name = layout.name_of(sop_instance)
        if self._is_same(name, buffer.data):
            return StoredFile(name, (self.root / name).stat().st_size, seal.text, new=False)
        if self.make_way(name):
            return self.enter(sop_instance, meta, buffer)
        self._refuse_other()
        part = self._part()
        try:
            write_file(part, buffer.file[: buffer.size])
            return self._beside(part, sop_instance, seal, buffer.size)
        finally:
            Path(part).unlink(missing_ok=True)

    def _again_file(self, incoming: Incoming, seal: Seal) -> StoredFile | None:
        """Judge an object in a file whose name is taken; None: the name is free now."""
        name = incoming.name
        if self._is_same(name, Path(incoming.part)):
            return StoredFile(name, (self.root / name).stat().st_size, seal.text, new=False)
        if self.make_way(name):
            return None
        self._refuse_other()
        return self._beside(incoming.part, incoming.sop_instance, seal, incoming.size)

    def _is_same(self, name: str, other: Path | memoryview) -> bool:
        """Whether a name is taken by the same data set, which is durable then as the policy says."""
        try:
            if not same_dataset(self.root / name, other):
                return False
        except (DicomInputError, FileNotFoundError):
            return False  # what has the name is damaged, or was set aside a moment ago
        self._writer.sync_again(self.root / name)
        return True

    def _refuse_other(self) -> None:
        if self._duplicates == "refuse":
            raise DuplicateInstance("an instance with this UID and other content is kept already")

    def _beside(self, part: str, sop_instance: str, seal: Seal, size: int) -> StoredFile:
        if self.durability == "instance":
            sync_file(part)
        for number in itertools.count():
            name = layout.name_beside(sop_instance, seal.text, number)
            new = rename_new(part, self._target(name))
            if new or self._is_same(name, Path(part)):
                break
        if not new:
            Path(part).unlink()
        self._writer.sync_name(self._target(name))
        return StoredFile(name, size, seal.text, new=new, beside=True)
